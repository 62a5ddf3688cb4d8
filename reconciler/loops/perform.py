"""One run of one loop: its lines, its errors, its row, and the same for a dry run."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.clock import Clock, SystemClock
from reconciler.config import Opened, Opening, open_live, open_preview
from reconciler.location import fleet_locks
from reconciler.lock import LockHeld
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.loops.recorder import Recorder
from reconciler.loops.slots import Slot, slot_of
from reconciler.options import RunOptions
from reconciler.report import PROCESS_VMS, JobDone, Remark, Reporter
from reconciler.secrets import SecretError
from state.api import ApiError
from state.loops import Ending
from state.store import StoreError

logger = logging.getLogger(__name__)


def perform(slot: Slot, occasion: Occasion) -> tuple[LoopResult, str]:
    """Run the loop; return its result and what it said. Raises StoreError.

    Whatever else it raises is its own error; that of `process_vms` is the whole run's.
    """
    recorder = Recorder(occasion.reporter)
    if slot.name == PROCESS_VMS:
        return slot.loop.run(occasion), ""
    try:
        result = slot.loop.run(replace(occasion, reporter=recorder, last=slot.row.last_run))
    except StoreError:
        raise
    except Exception as error:
        text = str(error)
        if not isinstance(error, ApiError | SecretError):
            logger.exception("loop %s failed", slot.name)
            text = f"{type(error).__name__}: {error}"
        result = LoopResult("error", errors=1, message=text)
    _tell(slot, occasion, result)
    return result, "\n".join(filter(None, (recorder.output, *result.details)))


def claimed(slot: Slot, occasion: Occasion, at: datetime) -> LoopResult | None:
    """Take the loop's slot, run it, and write down how it ended; None if another has the slot.

    `at` is when the run that it is part of began: its next slot is the first one after that.
    What is killed meanwhile stays `running` in its row, and the next run begins it again.
    """
    loops = occasion.store.loops
    row = replace(slot.row, planned=slot.planned)
    taken = loops.claim(row, at, slot.after(at), occasion.by)
    if taken is None:
        return None
    try:
        result, output = perform(slot, replace(occasion, number=taken.number))
    except Exception as error:
        loops.finish(taken, occasion.clock.now(), Ending("error", str(error), errors=1))
        raise
    ending = Ending(
        result.status,
        result.message,
        result.processed,
        result.errors,
        output,
        result.deactivate,
    )
    if not loops.finish(taken, occasion.clock.now(), ending):
        occasion.warn(f"{slot.name}: another run of it has begun meanwhile; this one is not kept")
    return result


def run_loop(
    loop: Loop,
    options: RunOptions,
    reporter: Reporter,
    clock: Clock | None = None,
    opening: Opening = open_live,
) -> LoopResult:
    """Run one loop now, whether it is due or not (CLI-04); its next slot counts from now.

    Raises LockHeld when it is at work elsewhere, UnusableSource, StoreError, BrokenSpecs.
    """
    clock = clock or SystemClock()
    lock = fleet_locks(options.fleet, options.database, none=options.no_lock).of(loop.name)
    with lock, opening(options.fleet, options.database, clock.now()) as opened:
        options.insist(opened.fleet)
        opened.store.fenced(lock.insist)
        occasion = _occasion(loop, opened, options, reporter, clock)
        slot = slot_of(loop, opened.fleet, opened.store)
        result = claimed(slot, occasion, occasion.start)
    if result is None:
        raise LockHeld(f"another run of {loop.name}, which has just begun")
    return result


def dry_loop(
    loop: Loop,
    options: RunOptions,
    reporter: Reporter,
    clock: Clock | None = None,
    opening: Opening = open_preview,
) -> LoopResult:
    """Return what a run of one loop would do; nothing is written anywhere (FRM-06)."""
    clock = clock or SystemClock()
    with opening(options.fleet, options.database, clock.now()) as opened:
        options.insist(opened.fleet)
        occasion = _occasion(loop, opened, options, reporter, clock)
        return loop.run(replace(occasion, dry=True))


def _occasion(
    loop: Loop, opened: Opened, options: RunOptions, reporter: Reporter, clock: Clock
) -> Occasion:
    start = clock.now()
    end = start + timedelta(seconds=options.time_limit)
    return Occasion(loop.name, opened, options, reporter, clock, start, end, by=options.by)


def _tell(slot: Slot, occasion: Occasion, result: LoopResult) -> None:
    """Tell how a loop ended (TASK-08); one over VMs has told what is good of it already."""
    now, say = occasion.clock.now(), occasion.reporter.report
    if result.summary is None:
        done = JobDone(
            now,
            slot.name,
            result.status,
            result.processed,
            result.errors,
            (now - occasion.start).total_seconds(),
            result.message,
            slot.row.last_run,
        )
        say(done)
    if result.deactivate:
        text = f"{slot.name} has switched itself off; reconcile job enable {slot.name}"
        say(Remark(now, text))
