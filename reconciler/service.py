"""`reconcile run`: the same run every interval until told to stop, and one leader per store."""

import gc
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.clock import Clock
from reconciler.config import Opening, open_live
from reconciler.location import fleet_locks
from reconciler.lock import PROCESS_VMS, Lock
from reconciler.loops.cycle import run_due
from reconciler.notify import Notifier
from reconciler.options import RunOptions
from reconciler.report import Event, Level, Remark, Reporter, Summary
from reconciler.signals import Rest
from state.place import Place

logger = logging.getLogger(__name__)
ASK_AGAIN = 5.0
"""Seconds after which a standby asks again whether the leader has gone."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A run every `interval` seconds, each up to `jitter` seconds late, by chance."""

    interval: float = 60.0
    jitter: float = 0.0

    def slot(self, due: datetime, now: datetime) -> datetime:
        """Return the first slot after `now`; those that were missed are not caught up."""
        step = timedelta(seconds=self.interval)
        return due + step * ((now - due) // step + 1)


@dataclass(slots=True)
class Alive:
    """Passes a run's events on; each is progress, and that is what the watchdog hears of."""

    reporter: Reporter
    notify: Notifier

    def report(self, *events: Event) -> None:
        self.notify.alive()
        self.reporter.report(*events)


@dataclass(slots=True)
class Service:
    """Runs for as long as `rest` lets it; no error of a single run ends it.

    `words` tells an error that a person can mend, empty for one that is a defect of ours; `roll`
    returns a number from 0 to 1. `tidy` follows each run: what that leaves are cycles, and Python
    by itself would let them come to a gigabyte a day.
    """

    options: RunOptions
    rhythm: Rhythm
    reporter: Reporter
    clock: Clock
    rest: Rest
    notify: Notifier
    words: Callable[[Exception], str]
    roll: Callable[[], float]
    opening: Opening = open_live
    tidy: Callable[[], object] = gc.collect
    _place: Place | None = field(default=None)
    _lock: Lock | None = field(default=None)
    _leader: str = field(default="")

    def serve(self) -> None:
        """Run, rest, run again; return once told to stop."""
        self.notify.tell(READY="1", STATUS="started")
        due = self.clock.now()
        try:
            while not self.rest.ended:
                if self._safely():
                    self.tidy()
                    due = self.rhythm.slot(due, self.clock.now())
                    self._rest(due + timedelta(seconds=self.roll() * self.rhythm.jitter))
                else:
                    self._rest(self.clock.now() + timedelta(seconds=ASK_AGAIN))
                    due = self.clock.now()
        finally:
            self.notify.tell(STOPPING="1", STATUS="stopping")
            self._let_go()
        self._remark("stopped, as told; the next run goes on from here")

    def _safely(self) -> bool:
        """Run once, if this is the leader; return whether it is (or may be, for all we know)."""
        try:
            if not self._leads():
                return False
            self._run()
        except Exception as error:
            text = self.words(error)
            if not text:
                logger.exception("the run failed")
                text = f"{type(error).__name__}: {error}"
            for line in text.splitlines():
                self._remark(line, "error")
            self.notify.tell(STATUS=f"the last run failed: {text}")
        return True

    def _run(self) -> None:
        stopped = threading.Event()
        self.rest.watch(stopped)
        reporter = Alive(self.reporter, self.notify)
        tally = run_due(
            self.options, reporter, self.clock, self.opening, stopped=stopped, lock=self._lock
        )
        if tally.summary is not None:
            self.notify.tell(STATUS=_status(tally.summary))

    def _leads(self) -> bool:
        """Whether the lock is ours: held still, or taken now. It goes where the store goes."""
        known = fleet_locks(self.options.fleet, self.options.database)
        place = known.place
        if self._lock is not None and place == self._place and self._lock.held():
            return True
        self._let_go()
        lock = known.of(PROCESS_VMS)
        if lock.acquire():
            self._place, self._lock = place, lock
            if self._leader:
                self._remark("the other runner has gone: this one goes on")
            self._leader = ""
            return True
        leader = lock.holder() or "another runner"
        if leader != self._leader:
            self._leader = leader
            self._remark(f"standing by: {leader} is at work")
            self.notify.tell(STATUS=f"standing by: {leader} is at work")
        return False

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _rest(self, until: datetime) -> None:
        """Wait until then, telling the watchdog now and then; end early when told to."""
        while not self.rest.ended and (left := (until - self.clock.now()).total_seconds()) > 0:
            self.notify.alive()
            longest = self.rhythm.interval + self.rhythm.jitter + ASK_AGAIN
            if left > longest:  # the clock was set back
                until = self.clock.now() + timedelta(seconds=self.rhythm.interval)
                continue
            if self.rest.wait(min(left, self.notify.every)):
                return

    def _remark(self, text: str, level: Level = "note") -> None:
        self.reporter.report(Remark(self.clock.now(), text, level))


def _status(summary: Summary) -> str:
    counts = f"{summary.ready} of {summary.vms} VMs ready"
    waiting = f", {summary.waiting} waiting" if summary.waiting else ""
    failed = f", {summary.failed} failed" if summary.failed else ""
    return f"{counts}{waiting}{failed}; the last run took {summary.seconds:.1f} s"
