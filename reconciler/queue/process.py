"""The loop `process_queue`: sends the one-off calls that are due, and follows them to their end."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from desired.timetable import read_timetable
from reconciler.clock import Workers
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.pve.contact import ClosedApi, Contact, FencedApi
from reconciler.queue.lane import WORK, Batch, Lane
from reconciler.report import Traced
from reconciler.secrets import SecretError
from reconciler.show.text import count_of
from reconciler.sim.embedded import EmbeddedFailed
from state.api import ApiError
from state.queue import FINISHED

FOLLOW = timedelta(seconds=30)
"""How long one run waits for the tasks that it began; the next one goes on with them."""

POLL = 1.0
KEPT = timedelta(days=30)
"""How long a job that ended stays in the list."""

LOGGED = timedelta(days=365)
"""How long the log tells of jobs that are gone."""


def process_queue() -> Loop:
    """Return the loop that works off the queue."""
    return Loop(
        WORK,
        "send the one-off calls that are due, and follow them",
        lambda occasion: Shift(occasion).go(),
        read_timetable("every_run"),
        ("queue",),
        has_work=lambda store, at: store.queue.has_work(at, at - KEPT),
    )


@dataclass(frozen=True, slots=True)
class Shift:
    """One run of the loop; `follow` is how long it waits for tasks."""

    occasion: Occasion
    follow: timedelta = FOLLOW

    def go(self) -> LoopResult:
        """Every cluster by itself: what is wrong with one delays no other (Q-09)."""
        occasion, queue = self.occasion, self.occasion.store.queue
        jobs = queue.all("queued", "running")
        if occasion.dry:
            return self._dry()
        batch = Batch(occasion.opened.fleet.limits.queue_batch)
        names = sorted({one.cluster for one in jobs})
        lanes = [Lane(occasion, name, self._api(name), batch) for name in names]
        Workers(max(1, len(lanes))).map(self._drive, lanes)
        queue.clean(FINISHED, occasion.start - KEPT)
        queue.purge_log(occasion.start - LOGGED)
        ended, failed = sum(one.ended for one in lanes), [x for one in lanes for x in one.failed]
        left = len(queue.all("queued", "running"))
        return LoopResult(
            "error" if failed else "success",
            processed=ended + len(failed),
            errors=len(failed),
            details=tuple(failed),
            message=f"{count_of(ended, 'job')} done, {len(failed)} given up, {left} left",
        )

    def _drive(self, lane: Lane) -> None:
        occasion = self.occasion
        until = min(occasion.clock.now() + self.follow, occasion.deadline)
        while lane.round() and not occasion.out_of_time() and occasion.clock.now() < until:
            occasion.clock.sleep(POLL)

    def _api(self, name: str) -> Contact:
        """One cluster's API, which sends nothing once the loop's lock is lost."""
        if name not in self.occasion.opened.fleet.clusters:
            return ClosedApi(f"the fleet has no cluster {name} any more")
        try:
            api = self.occasion.opened.connect(name)
        except (ApiError, SecretError, EmbeddedFailed) as error:
            return ClosedApi(str(error))
        api.trace = partial(self._traced, name)
        return FencedApi(api, self.occasion.store.insist)

    def _traced(self, cluster: str, method: str, path: str, seconds: float, status: int) -> None:
        now = self.occasion.clock.now()
        self.occasion.reporter.report(Traced(now, method, path, status, seconds, cluster))

    def _dry(self) -> LoopResult:
        due = [
            one
            for one in self.occasion.store.queue.all("queued")
            if one.not_before <= self.occasion.start
        ]
        return LoopResult(
            processed=len(due),
            details=tuple(f"job {one.id}: {one.call} on {one.cluster}" for one in due),
            message=f"{count_of(len(due), 'job')} due",
        )
