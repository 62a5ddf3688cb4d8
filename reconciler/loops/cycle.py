"""One run of all that is due: `process_vms` first, then the others, each under its own lock.

They share one time budget, of which each has its least share (FRM-11). A loop whose lock is held
is left out of this run (LOCK-01); one that fails stops none of the others.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.clock import Clock, SystemClock
from reconciler.config import Opened, Opening, open_live
from reconciler.location import FleetLocks, fleet_locks
from reconciler.lock import Lock, LockHeld
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.loops.perform import claimed, perform
from reconciler.loops.registry import built_in
from reconciler.loops.slots import Slot, slot_of, slots_of
from reconciler.metrics import write_metrics
from reconciler.notices.accept import begin
from reconciler.options import RunOptions
from reconciler.own.loops import own_loops, remark_on
from reconciler.past import pull
from reconciler.report import PROCESS_VMS, Level, Remark, Reporter, Summary
from reconciler.show.text import count_of, show_when
from reconciler.vitals import beat
from state.store import Store

LEAST = timedelta(seconds=10)
"""What each due loop has of a run's time at least; of a short run the half is shared equally."""

Locks = Callable[[str], Lock]
"""The lock of each loop by its name."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of a run: the result of each loop that ran, and who holds `process_vms`' lock.

    `troubles` are a site's own jobs that cannot run: their code is gone, or their metadata wrong.
    """

    results: Mapping[str, LoopResult]
    held: str = ""
    troubles: int = 0

    @property
    def summary(self) -> Summary | None:
        """The run of `process_vms`; None when it was not due, or not ours to run."""
        found = self.results.get(PROCESS_VMS)
        return found.summary if found else None

    @property
    def failed(self) -> bool:
        failed = any(result.status == "error" for result in self.results.values())
        return failed or self.troubles > 0


def run_due(
    options: RunOptions,
    reporter: Reporter,
    clock: Clock | None = None,
    opening: Opening = open_live,
    *,
    loops: Sequence[Loop] | None = None,
    stopped: threading.Event | None = None,
    lock: Lock | None = None,
) -> Tally:
    """Run every loop that is due. A run for some VMs only, or to approve, is `process_vms` alone.

    `lock` is that of `process_vms`, when the caller has it and keeps it. Raises LockHeld when
    nothing but `process_vms` could run and another run has it, UnusableSource, GitError,
    StoreError, BrokenSpecs, ApprovalRefused.
    """
    clock = clock or SystemClock()
    chosen = tuple(built_in() if loops is None else loops)
    partly = bool(options.only or options.approve)
    if partly:
        chosen = tuple(one for one in chosen if one.name == PROCESS_VMS)
    known = fleet_locks(options.fleet, options.database, none=options.no_lock)
    first = lock or known.of(PROCESS_VMS)
    begun = clock.now()
    mine = first.acquire()
    try:
        if not mine and len(chosen) < 2:
            raise LockHeld(first.holder())
        if options.pull and mine:
            reporter.report(Remark(clock.now(), str(pull(options.fleet))))
        with opening(options.fleet, options.database, begun) as opened:
            options.insist(opened.fleet)
            beat(opened.store, begun, options.by)
            if mine:  # Else the first run with a channel would leave its loop out.
                begin(opened.fleet, opened.store, begun)
            cycle = Cycle(
                opened,
                options,
                reporter,
                clock,
                begun,
                locks_of(known, first),
                stopped or threading.Event(),
                keeps=lock is not None,
            )
            if loops is None and not partly:
                own, found = own_loops(opened.fleet)
                chosen = (*chosen, *own)
                cycle.troubles = remark_on(found, chosen, opened.store, cycle.remark)
            if options.no_lock:
                cycle.remark("--no-lock: nothing keeps another run from working too", "warning")
            tally = cycle.go(chosen)
            if said := write_metrics(opened, clock.now()):
                cycle.remark(said, "warning")
            return tally
    finally:
        if lock is None:
            first.release()


def locks_of(known: FleetLocks, first: Lock) -> Locks:
    """Return what knows every loop's lock; that of `process_vms` is `first`."""
    return lambda name: first if name == PROCESS_VMS else known.of(name)


@dataclass(slots=True)
class Cycle:
    """One run over an opened fleet; it `keeps` the lock of `process_vms` when that is not its own.

    Every loop's run counts from `start`, so that an interval is one from run to run, however long
    the loops before it took.
    """

    opened: Opened
    options: RunOptions
    reporter: Reporter
    clock: Clock
    start: datetime
    locks: Locks
    stopped: threading.Event
    keeps: bool = False
    results: dict[str, LoopResult] = field(default_factory=dict)
    held: str = ""
    troubles: int = 0

    @property
    def store(self) -> Store:
        return self.opened.store

    @property
    def end(self) -> datetime:
        return self.start + timedelta(seconds=self.options.time_limit)

    def go(self, loops: Sequence[Loop]) -> Tally:
        """Run what is due: `process_vms`, then what has waited longest."""
        slots = [self._asked(one) for one in slots_of(loops, self.opened.fleet, self.store)]
        due = [slot for slot in slots if slot.is_due(self.start) and self._has_work(slot)]
        due.sort(key=lambda slot: (slot.name != PROCESS_VMS, slot.next_run() or self.start))
        others = sum(slot.name != PROCESS_VMS for slot in due)
        for place, slot in enumerate(due, 1):
            if place > 1 and self._out_of_time():
                left = ", ".join(one.name for one in due[place - 1 :])
                self.remark(f"the time is out: {left} left to the next run")
                break
            self._run(slot, self._deadline(len(due) - place, len(due)))
        if others and self.results:
            self._tell_end()
        elif not due:
            self.remark(self._idle(slots))
        return Tally(self.results, self.held, self.troubles)

    def _has_work(self, slot: Slot) -> bool:
        return slot.loop.has_work(self.store, self.start)

    def _asked(self, slot: Slot) -> Slot:
        """The slot, with what the options ask of it; a run for some VMs only uses none up."""
        partly = bool(self.options.only or self.options.approve)
        if slot.name != PROCESS_VMS or not (partly or self.options.beat is not None):
            return slot
        return replace(slot, asked=True, unkept=slot.unkept or partly)

    def _deadline(self, behind: int, due: int) -> datetime:
        """When a loop must end, so that those behind it have their least share."""
        whole = timedelta(seconds=self.options.time_limit)
        least = min(LEAST, whole / (2 * due))
        return self.end - least * behind

    def _out_of_time(self) -> bool:
        return self.stopped.is_set() or self.clock.now() >= self.end

    def _run(self, slot: Slot, deadline: datetime) -> None:
        lock, name = self.locks(slot.name), slot.name
        if not lock.acquire():
            holder = lock.holder() or "another runner"
            self.held = holder if name == PROCESS_VMS else self.held
            self.remark(f"{name} skipped: already running ({holder})")
            return
        try:
            self.store.fenced(lock.insist)
            if slot.unkept:
                self.results[name], _ = perform(slot, self._occasion(name, deadline))
            else:
                fresh = slot_of(slot.loop, self.opened.fleet, self.store)
                self._take(self._asked(fresh), deadline)
            self.store.fenced()
        finally:
            if not (self.keeps and name == PROCESS_VMS):
                lock.release()

    def _take(self, slot: Slot, deadline: datetime) -> None:
        """Take the slot, if it still is to be had now that the lock is ours, and run."""
        if not slot.is_due(self.start):
            return
        if slot.was_killed():
            self.remark(f"{slot.name}: its last run was killed; it is run again", "warning")
        result = claimed(slot, self._occasion(slot.name, deadline), self.start)
        if result is not None:
            self.results[slot.name] = result

    def _occasion(self, name: str, deadline: datetime) -> Occasion:
        return Occasion(
            name,
            self.opened,
            self.options,
            self.reporter,
            self.clock,
            self.start if name == PROCESS_VMS else self.clock.now(),
            deadline,
            self.stopped,
            by=self.options.by,
        )

    def _idle(self, slots: Sequence[Slot]) -> str:
        """Say when something is due, where nothing is now."""
        on = (slot for slot in slots if slot.row.active and self._has_work(slot))
        coming = [(at, slot.name) for slot in on if (at := slot.next_run()) is not None]
        if not coming:
            return "nothing is due: every job is switched off; see reconcile job list"
        at, name = min(coming)
        return (
            f"nothing is due until {show_when(at)} ({name}); reconcile job run {name} runs it now"
        )

    def _tell_end(self) -> None:
        """The final line of a run of several loops (TASK-08)."""
        processed = sum(one.processed for one in self.results.values())
        errors = sum(one.errors for one in self.results.values()) + self.troubles
        took = (self.clock.now() - self.start).total_seconds()
        names = ", ".join(self.results)
        text = f"Run of {count_of(len(self.results), 'loop')} done ({took:.1f}s): {names}"
        self.remark(f"{text} — processed: {processed}, errors: {errors}")

    def remark(self, text: str, level: Level = "note") -> None:
        self.reporter.report(Remark(self.clock.now(), text, level))
