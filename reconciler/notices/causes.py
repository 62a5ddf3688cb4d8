"""What has failed for good, by its cause: what many VMs have in common is one (Q-06)."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from desired.source import Fleet
from state.conditions import Condition
from state.memory import Binding, Phase
from state.store import Store

LASTING = {"StartFailed": "start", "StopFailed": "stop", "Unknown": "reach"}
"""Conditions that are a failure once they have stood for a while, and what failed."""

WORDS = {
    "end": "cannot be ended",
    "start": "does not start",
    "stop": "cannot be stopped",
    "reach": "cannot be reached",
    "work": "has work that was given up",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One VM (or other subject) that failed at an operation, in a cluster, for a reason."""

    operation: str
    cluster: str
    subject: str
    reason: str
    plain: str

    @property
    def cause(self) -> str:
        """The same for all that fail alike: numbers and the VM's own names make no difference."""
        digest = hashlib.sha256(self.plain.encode()).hexdigest()[:12]
        return f"{self.operation}/{self.cluster}/{digest}"


@dataclass(frozen=True, slots=True)
class Cause:
    """Everything that fails for one reason; `reason` is that of the first subject, by name."""

    name: str
    operation: str
    cluster: str
    reason: str
    subjects: tuple[str, ...]

    @property
    def subject(self) -> str:
        """A line for the ticket."""
        first, more = self.subjects[0], len(self.subjects) - 1
        others = f" and {more} other{'s' if more > 1 else ''}" if more else ""
        return f"{first}{others} {WORDS[self.operation]} ({self.cluster})"


def causes(store: Store, fleet: Fleet, at: datetime, after: float) -> dict[str, Cause]:
    """Return what stands, by its name; conditions count once they are `after` seconds old."""
    found: dict[str, dict[str, Failure]] = {}
    bindings = store.bindings.all()
    for one in (
        *_ends(store, bindings.values()),
        *_conditions(store, bindings, at - timedelta(seconds=after)),
        *_work(store),
    ):
        found.setdefault(one.cause, {})[one.subject] = one
    return {name: _cause(name, failures) for name, failures in sorted(found.items())}


def _cause(name: str, failures: dict[str, Failure]) -> Cause:
    subjects = tuple(sorted(failures))
    first = failures[subjects[0]]
    return Cause(name, first.operation, first.cluster, first.reason, subjects)


def _ends(store: Store, bindings: Iterable[Binding]) -> Iterator[Failure]:
    """VMs whose DELETE failed; they are left alone until a person steps in (TERM-08)."""
    stuck = [one for one in bindings if one.phase is Phase.ERROR_TERMINATE]
    said: dict[str, str] = {}
    for event in store.outbox.past("terminate_failed", 10_000) if stuck else ():
        said[event.key] = str(event.detail.get("text", ""))
    for one in stuck:
        yield _failure("end", one, said.get(one.key, "its end has failed"))


def _conditions(store: Store, bindings: dict[str, Binding], before: datetime) -> Iterator[Failure]:
    for key, conditions in store.conditions.all().items():
        for one in conditions:
            if key in bindings and _lasts(one, before):
                yield _failure(LASTING[one.type], bindings[key], one.message)


def _lasts(condition: Condition, before: datetime) -> bool:
    return condition.status and condition.type in LASTING and condition.since <= before


def _work(store: Store) -> Iterator[Failure]:
    """Jobs of the queue that have given up, until somebody clears or repeats them."""
    for job in store.queue.all("error"):
        subject = job.key or f"{job.method} {job.path}"
        plain = _plain(job.error, job.key, str(job.vmid or ""))
        yield Failure("work", job.cluster, subject, job.error, plain)


def _failure(operation: str, binding: Binding, reason: str) -> Failure:
    plain = _plain(reason, binding.key, binding.name, binding.uuid or "")
    return Failure(operation, binding.cluster, binding.key, reason, plain)


def _plain(text: str, *names: str) -> str:
    """A reason without what is only this VM's."""
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = text.replace(name, "VM")
    return re.sub(r"\d+", "#", text)
