"""One view over all work that is not at its end, wherever the store keeps it (Q-01)."""

import fnmatch
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reconciler.retries import MOST, is_bounded
from state.queue import QueueJob
from state.store import Store

Kind = Literal["job", "verb", "retry", "notice"]


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of work: a one-off call, an open verb, a step that failed, an event to be told.

    `most` is how often it is tried; None: for ever. `next` is when, None: by the next run.
    """

    kind: Kind
    id: str
    target: str
    action: str
    server: str
    status: str
    attempts: int = 0
    most: int | None = None
    priority: int = 0
    next: datetime | None = None
    by: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which work is shown, and in what order; empty: all."""

    status: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    vm: str = ""
    search: str = ""
    sort: str = "next"

    def has(self, work: Work) -> bool:
        if self.status and work.status not in self.status:
            return False
        if self.kinds and work.kind not in self.kinds:
            return False
        if self.vm and not fnmatch.fnmatchcase(work.target, self.vm):
            return False
        words = f"{work.id} {work.action} {work.error} {work.by}".lower()
        return self.search.lower() in words


def listed(store: Store, at: datetime, chosen: Chosen) -> list[Work]:
    """Return the chosen work, in order."""
    everything = (*_jobs(store), *_verbs(store), *_retries(store), *_notices(store))
    return _sorted((one for one in everything if chosen.has(one)), at, chosen.sort)


def _sorted(work: Iterable[Work], at: datetime, sort: str) -> list[Work]:
    found = sorted(work, key=lambda one: (one.kind, one.target, one.id))
    found.sort(key=lambda one: -one.priority)
    found.sort(key=lambda one: one.next or at)
    if sort == "priority":
        found.sort(key=lambda one: -one.priority)
    elif sort == "attempts":
        found.sort(key=lambda one: -one.attempts)
    elif sort in ("server", "target"):
        found.sort(key=lambda one: one.server if sort == "server" else one.target)
    return found


def _jobs(store: Store) -> Iterator[Work]:
    for job in store.queue.all():
        yield Work(
            "job",
            str(job.id),
            job.key,
            _action(job),
            "/".join(filter(None, job.server)),
            job.status,
            job.attempts,
            job.max_attempts,
            job.priority,
            job.not_before if job.status == "queued" else job.finished_at,
            job.by,
            job.error,
        )


def _action(job: QueueJob) -> str:
    said = " ".join(f"{name}={value}" for name, value in sorted(job.params.items()))
    return f"{job.call} {said}".rstrip()


def _verbs(store: Store) -> Iterator[Work]:
    bindings = store.bindings.all()
    for intent in store.verbs.open():
        binding = bindings.get(intent.key)
        verb = intent.kind.partition(".")[2]
        where = binding.cluster if binding else ""
        yield Work("verb", f"{intent.key}:{verb}", intent.key, verb, where, "running")


def _retries(store: Store) -> Iterator[Work]:
    bindings = store.bindings.all()
    for one in store.attempts.all():
        binding = bindings.get(one.subject)
        yield Work(
            "retry",
            f"{one.subject}:{one.handler}",
            one.subject,
            one.handler,
            binding.cluster if binding else "",
            "queued",
            one.count,
            MOST if is_bounded(one.handler) else None,
            next=one.not_before,
            error=one.error,
        )


def _notices(store: Store) -> Iterator[Work]:
    """Those that are on their way; who failed or is held waits for a person."""
    told = {"waiting": "queued", "claimed": "running", "handing": "running"}
    for one in store.notices.in_state("waiting", "claimed", "handing", "held", "failed"):
        yield Work(
            "notice",
            str(one.id),
            one.key,
            f"{one.event} to {one.recipient}",
            one.channel,
            told.get(one.state, "error"),
            error=one.error,
        )
