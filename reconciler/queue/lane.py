"""One cluster's jobs in one run: what was sent is followed, what is due is sent."""

import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from desired.catalog import Limits
from reconciler.backoff import spread
from reconciler.loops.loop import Occasion
from reconciler.pve.contact import Contact
from reconciler.pve.tasks import task_status
from reconciler.queue.gate import Checkpoint, looked
from reconciler.queue.lost import found_task, is_over
from reconciler.queue.rules import Refused as NotForQueue
from reconciler.queue.rules import Rule, rule_of
from reconciler.retries import next_try
from state.api import (
    ApiError,
    Contention,
    Json,
    Locked,
    MaybeRunning,
    NotFound,
    PartlyApplied,
    Refused,
    Unavailable,
)
from state.change import Call, Effect, Method
from state.queue import QueueJob, QueueStatus
from state.store import Store

WORK = "process_queue"
SOON = timedelta(minutes=1)
"""How long a job waits that could not be sent, though nothing was wrong with it."""

SENT = 10.0
"""Seconds after which a call without an answer is asked after."""


@dataclass(slots=True)
class Batch:
    """How many calls a run may still send, on all clusters."""

    left: int
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        with self._turn:
            self.left -= 1
            return self.left >= 0


@dataclass(slots=True)
class Lane:
    """One cluster's part of a run. `away` are the nodes that did not answer in it (Q-09)."""

    occasion: Occasion
    name: str
    api: Contact
    batch: Batch
    away: set[str] = field(default_factory=set)
    passed: set[int] = field(default_factory=set)
    ended: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.occasion.store

    def round(self) -> bool:
        """Follow what runs, send what is due; tell whether something of this run is on its way.

        A task of an earlier run has taken long already: it is asked after once, not waited for.
        """
        for job in self._mine("running"):
            if job.node not in self.away:
                self._follow(job)
        now = self.occasion.clock.now()
        due = [one for one in self._mine("queued") if one.not_before <= now]
        due = [one for one in due if one.id not in self.passed]
        if due and not self.occasion.out_of_time():
            self._send_due(due)
        mine = (one for one in self._mine("running") if one.id in self.passed)
        return any(one.node not in self.away for one in mine)

    def _mine(self, status: QueueStatus) -> list[QueueJob]:
        found = self.store.queue.all(status)
        return [one for one in found if one.cluster == self.name]

    def _send_due(self, due: list[QueueJob]) -> None:
        limits: Limits = self.occasion.opened.fleet.limits
        fleet = self.occasion.opened.fleet
        view = looked(self.api, self.name, self.occasion.clock.now())
        point = Checkpoint(view, self.api, fleet, self.store)
        running = self._mine("running")
        at_work = Counter(one.node for one in running)
        busy = {one.vmid for one in running if one.vmid}
        for job in due:
            node = point.node_of(job)
            if self.occasion.out_of_time() or self.batch.left <= 0:
                return
            full = at_work[node] >= limits.queue_per_server
            if node in self.away or full or job.vmid in busy:
                continue
            self.passed.add(job.id)
            if self._begin(job, point, node):
                at_work[node] += 1
                busy |= {job.vmid} if job.vmid else set()

    def _begin(self, job: QueueJob, point: Checkpoint, node: str) -> bool:
        """Send one job's call, if it may go out now; tell whether it is on its way then."""
        now = self.occasion.clock.now()
        try:
            rule, _ = rule_of(job.method, job.path)
            verdict = point.judge(job, rule)
        except NotForQueue as error:
            self._never(job, str(error))
            return False
        except Unavailable as error:
            self._later(job, error.text, away=node)
            return False
        except ApiError as error:
            self._failed(job, error.text)
            return False
        if verdict.word == "wait":
            self.store.queue.postpone(
                job, now, verdict.until or self._soon(job), verdict.why, counts=False
            )
            return False
        if verdict.word == "never":
            self._never(job, verdict.why)
            return False
        if verdict.word == "fail":
            self._failed(job, verdict.why)
            return False
        claimed = self.store.queue.claim(job, now, node) if self.batch.take() else None
        return claimed is not None and self._send(claimed, rule)

    def _send(self, job: QueueJob, rule: Rule) -> bool:
        """Commit what must outlive us, then send; the answer is kept before anything else."""
        queue, now = self.store.queue, self.occasion.clock.now()
        if job.vmid is not None:
            self.store.cache.mark_dirty(self.name, job.vmid, now)
            if rule.effect is Effect.STOP_START:
                self.store.journal.effect(job.key, Effect.STOP_START, now)
        sent = queue.sending(job, now)
        if sent is None:
            return False
        try:
            answer = self.api.send(call_of(sent), heavy=True)
        except ApiError as error:
            return self._answered_badly(sent, error)
        now = self.occasion.clock.now()
        if isinstance(answer, str) and answer.startswith("UPID:"):
            queue.follows(sent, answer, now, "began")
            return True
        self._done(sent, told(answer))
        return False

    def _answered_badly(self, job: QueueJob, error: ApiError) -> bool:
        """Sort an error by the tree of `state.api`; True where the call may be at work."""
        if isinstance(error, MaybeRunning):
            now = self.occasion.clock.now()
            if job.vmid is not None:
                self.store.cache.mark_dirty(self.name, job.vmid, now, "maybe-running")
            self.store.queue.lose(job, now, error.text)
            return True
        if isinstance(error, Unavailable):
            self._later(job, error.text, away=job.node)
        elif isinstance(error, Locked | Contention):
            self._later(job, error.text)
        elif isinstance(error, PartlyApplied) or (isinstance(error, Refused) and error.keys):
            self._never(job, error.text)
        else:
            self._failed(job, error.text)
        return False

    def _follow(self, job: QueueJob) -> None:
        """Ask after a call that was sent, by this run or one before."""
        if job.sent_at is None:
            now = self.occasion.clock.now()
            self.store.queue.postpone(
                job, now, now, "its run ended before it was sent", counts=False
            )
        elif job.upid is None:
            self._look_for(job)
        else:
            self._ask_after(job, job.upid)

    def _ask_after(self, job: QueueJob, upid: str) -> None:
        try:
            end = task_status(self.api, upid)
        except (NotFound, Refused, ValueError):
            self._never(job, f"its task {upid} is not known any more: look what came of it")
            return
        except ApiError:
            self.away.add(job.node)
            return
        if end is None:
            return
        if job.vmid is not None:
            self.store.cache.mark_dirty(self.name, job.vmid, self.occasion.clock.now())
        if end.ok:
            self._done(job, end.text)
        elif isinstance(end.error, Locked | Contention):
            self._later(job, end.text)
        else:
            self._failed(job, end.text)

    def _look_for(self, job: QueueJob) -> None:
        """Its answer was lost: it is never sent again before its fate is known as far as it is."""
        now = self.occasion.clock.now()
        if job.sent_at is None or (now - job.sent_at).total_seconds() < SENT:
            return
        rule, _ = rule_of(job.method, job.path)
        if rule.task:
            try:
                known = {one.upid for one in self.store.queue.all() if one.upid}
                upid = found_task(self.api, job, rule, known)
            except (ApiError, ValueError):
                self.away.add(job.node)
                return
            if upid is not None:
                self.store.queue.follows(job, upid, now, "found its task")
                return
            if not is_over(job, now):
                return
        if rule.repeatable:
            self._failed(job, "its answer was lost; sent twice it does the same")
            return
        self._never(
            job,
            "its answer was lost, and no task of it is to be found: most likely it was not "
            f"carried out. Look, then: reconcile queue retry {job.id}"
            if rule.task
            else "its answer was lost, and nothing tells whether it was carried out. Look, then: "
            f"reconcile queue retry {job.id}",
        )

    def _done(self, job: QueueJob, result: str) -> None:
        if self.store.queue.succeed(job, self.occasion.clock.now(), result):
            self.ended += 1
            self.occasion.note(f"job {job.id}: {job.call}: done", job.key)

    def _failed(self, job: QueueJob, why: str) -> None:
        """Count a failure: tried again later, or given up (Q-04)."""
        now = self.occasion.clock.now()
        again = next_try(str(job.id), WORK, job.attempts + 1, now, job.max_attempts)
        if again is None:
            self._never(job, why)
        elif self.store.queue.postpone(job, now, again, why, counts=True):
            self.passed.add(job.id)
            self.occasion.warn(f"job {job.id}: {job.call}: {why}; tried again", job.key)

    def _never(self, job: QueueJob, why: str) -> None:
        if self.store.queue.give_up(job, self.occasion.clock.now(), why):
            self.failed.append(f"job {job.id}: {job.call}: {why}")
            self.occasion.warn(self.failed[-1], job.key)

    def _later(self, job: QueueJob, why: str, away: str = "") -> None:
        """Nothing was begun, and nothing is wrong with the job: it does not count as a try."""
        if away:
            self.away.add(away)
        now = self.occasion.clock.now()
        self.store.queue.postpone(job, now, self._soon(job), why, counts=False)

    def _soon(self, job: QueueJob) -> datetime:
        return self.occasion.clock.now() + SOON * spread(f"queue/{job.id}")


def call_of(job: QueueJob) -> Call:
    """Return a job's call, to the node that its VM is on now."""
    path = re.sub(r"^/nodes/[^/]+", f"/nodes/{job.node}", job.path)
    params = {name: str(value) for name, value in job.params.items()}
    return Call(Method(job.method), path, params)


def told(answer: Json) -> str:
    """Return an answer as a line; of one that says nothing, nothing."""
    return "" if answer is None else msgspec.json.encode(answer).decode()
