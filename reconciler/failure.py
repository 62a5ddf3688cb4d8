"""The last thing that went wrong with a VM, which stands until something goes right (LOG-03)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from state.journal import VMRun
from state.memory import Memory


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed: the action (`deploy`, `change`), its step or handler, the message, and when."""

    action: str
    step: str
    message: str
    at: datetime


def last_failure(runs: Sequence[VMRun], memory: Memory) -> Failure | None:
    """Return the newest failure since the last success, of runs that come newest first.

    What failed beside a VM that is ready has no run of its own: its attempts tell.
    """
    for run in runs:
        if run.result == "success":
            break
        if run.result == "error":
            return _of_run(run)
    attempts = sorted(memory.attempts.values(), key=lambda one: one.at)
    if not attempts:
        return None
    newest, action = attempts[-1], runs[0].action if runs else "change"
    return Failure(action, newest.handler, newest.error, newest.at)


def _of_run(run: VMRun) -> Failure:
    for step in reversed(run.steps):
        if step.result == "error":
            return Failure(run.action, step.label, step.detail or run.error, step.at)
    return Failure(run.action, run.state_after, run.error, run.finished_at or run.started_at)
