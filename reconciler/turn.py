"""One VM's turn in a tick, and its story: pipeline steps for the reporter and the journal."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from desired.spec import VMSpec
from reconciler import pipeline
from reconciler.execute import Done
from reconciler.guard import Guarded
from reconciler.report import (
    Action,
    Reporter,
    Step,
    StepResult,
    VMDone,
    VMError,
    VMPaused,
    VMStarted,
)
from reconciler.show.text import show_change
from state.change import Change
from state.journal import Journal, StepRecord, VMRun
from state.memory import Phase
from state.observed import SeenVM


class Standing(StrEnum):
    """Where a VM's turn stands: to be looked at again, or over for this tick."""

    ACTIVE = "active"
    TASK = "task"
    WAITING = "waiting"
    PAUSED = "paused"
    FAILED = "failed"
    READY = "ready"


@dataclass(slots=True)
class Turn:
    """What this tick knows of one VM beyond its rows; `spent` is seconds by handler.

    `not_before` is when it may be looked at again; `again` counts the looks that were begun anew,
    `told` the steps that were told.
    """

    spec: VMSpec
    standing: Standing = Standing.ACTIVE
    phase: Phase = Phase.DEPLOY
    state: str = ""
    action: Action = "deploy"
    first_state: str = ""
    started_at: datetime | None = None
    not_before: datetime | None = None
    again: int = 0
    closed: bool = False
    wrote: bool = False
    told: int = 0
    why: str = ""
    last: Guarded | None = None
    spent: dict[str, float] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.spec.key

    def enter(self, phase: Phase) -> None:
        """Set the phase; until the story has begun it says whether this is a deploy or a change."""
        self.phase = phase
        if self.started_at is None and (phase is Phase.READY) != (self.action == "change"):
            ready = phase is Phase.READY
            self.action, self.state = ("change", "ready") if ready else ("deploy", "")


@dataclass(slots=True)
class Narrator:
    """Tells every turn's story once to the reporter and, of what was worked on, to the journal.

    A dry run has no journal.
    """

    reporter: Reporter
    journal: Journal
    run: int

    def progress(self, turn: Turn, seen: SeenVM, remaining: Iterable[tuple[str, str]]) -> None:
        """Tell the steps that have landed since the last look, in the order of the table."""
        if turn.phase is not Phase.DEPLOY:
            return
        state = pipeline.derive(frozenset(remaining))
        if not turn.state:
            turn.state = self._recorded(turn)
        self.begin(turn, seen)
        passed = pipeline.passed(turn.state, state)
        self._steps(turn, [self._landed(turn, *moved, seen.at) for moved in passed])
        turn.state = state

    def _recorded(self, turn: Turn) -> str:
        """The state that an earlier run left the VM in: its steps are not told twice.

        A VM that is deployed is not ready: if the last run says so it tells of a former machine.
        """
        runs = self.journal.vm_runs(turn.key, 1)
        known = runs and runs[0].action == "deploy" and runs[0].state_after
        states = pipeline.DEPLOY.names
        return str(known) if known in states[:-1] else states[0]

    def begin(self, turn: Turn, seen: SeenVM) -> None:
        """Tell that work on a VM begins; only the first call says so."""
        if turn.started_at is None:
            turn.started_at, turn.first_state = seen.at, turn.state
            binding = seen.memory.binding
            vmid = binding.vmid if binding else None
            self.reporter.report(VMStarted(seen.at, turn.key, turn.action, turn.state, vmid))

    def _landed(self, turn: Turn, label: str, before: str, after: str, at: datetime) -> Step:
        state = pipeline.DEPLOY.states[pipeline.DEPLOY.names.index(after)]
        mine = [c for c in turn.changes if state.waits_for((c.handler, c.field))]
        handlers = {change.handler for change in mine}
        seconds = sum(turn.spent.pop(name, 0.0) for name in sorted(handlers))
        made = bool(mine) or after in ("set_ip", "clone", "starting", "ready")
        result: StepResult = "success" if made else "skip"
        return Step(at, turn.key, label, before, after, result, seconds=seconds)

    def changed(self, turn: Turn, seen: SeenVM, done: Done, sent: Iterable[Change]) -> None:
        """Tell what was changed on a VM that is past its deploy: one line by handler."""
        if turn.phase is Phase.DEPLOY:
            return
        self.begin(turn, seen)
        by_handler: dict[str, list[Change]] = {}
        for change in sent:
            by_handler.setdefault(change.handler, []).append(change)
        steps = []
        for name, changes in by_handler.items():
            outcome = done.outcomes.get(name)
            if outcome is None or outcome.error or outcome.retry_at:
                continue
            detail = ", ".join(map(_shown, changes))
            seconds = done.seconds.get(name, 0.0)
            label = f"Change {name}"
            step = Step(
                seen.at, turn.key, label, turn.state, turn.state, "success", detail, seconds
            )
            steps.append(step)
        self._steps(turn, steps)

    def failed(self, turn: Turn, at: datetime, handler: str, error: str) -> None:
        """Tell a step that failed: the state stays where it is (DEP-05)."""
        deploys = turn.phase is Phase.DEPLOY
        label = pipeline.DEPLOY.label_for(handler, turn.state) if deploys else ""
        label = label or f"Change {handler}"
        seconds = turn.spent.pop(handler, 0.0)
        step = Step(at, turn.key, label, turn.state, turn.state, "error", error, seconds)
        self._steps(turn, [step])

    def _steps(self, turn: Turn, steps: Iterable[Step]) -> None:
        """Write the steps down in one transaction, then tell them."""
        told = [replace(step, action=turn.action) for step in steps]
        records = [
            StepRecord(
                one.label, one.before, one.after, one.result, one.seconds, one.at, one.detail
            )
            for one in told
        ]
        if records:
            turn.told += len(records)
            self.journal.step(self.run, turn.key, turn.action, *records)
            self.reporter.report(*told)

    def ended(self, turn: Turn, at: datetime) -> None:
        """Tell how a turn ended: what is not ready shows in every run (DEP-06).

        A turn without a step adds nothing to the VM's history, which keeps only so many runs.
        """
        since, state = turn.started_at, turn.state
        if turn.standing is Standing.READY and since is not None:
            took = (at - since).total_seconds()
            self.reporter.report(VMDone(at, turn.key, turn.action, state, took))
        elif since is not None or turn.standing not in (Standing.READY, Standing.FAILED):
            state = state or self._recorded(turn)
            self.reporter.report(VMPaused(at, turn.key, turn.action, state, turn.why))
        if since is None or not turn.told:
            return
        result = {Standing.READY: "success", Standing.FAILED: "error"}.get(turn.standing, "waiting")
        error = "" if turn.standing is Standing.READY else turn.why
        last = VMRun(
            turn.key,
            turn.action,
            since,
            at,
            state_before=turn.first_state,
            state_after=turn.state,
            result=result,  # type: ignore[arg-type]
            error=error,
        )
        self.journal.record(self.run, last)

    def broke(self, turn: Turn, at: datetime, error: str) -> None:
        """Tell an error of the VM that is no step's."""
        binding = turn.last.plan.seen.memory.binding if turn.last else None
        vmid = binding.vmid if binding else None
        self.reporter.report(VMError(at, turn.key, error, turn.action, turn.state, vmid))


def _shown(change: Change) -> str:
    field, moved = show_change(change)
    return f"{field}: {moved}"
