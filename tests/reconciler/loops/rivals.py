"""Two processes that come to the same moments with the same loop, as two crons would."""

import multiprocessing
import os
from datetime import datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path

from desired.timetable import read_timetable
from reconciler.loops.cycle import run_due
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.loops.process import process_vms
from reconciler.options import RunOptions
from tests.engine import HandClock, Told

PATIENCE = 60.0


def run_side_by_side(
    folder: Path, where: str, ledger: Path, begin: datetime, hours: int
) -> list[str]:
    """Run two processes; return the lines of every run that took place."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    args = (str(folder), where, str(ledger), begin, hours, barrier)
    both = [context.Process(target=come, args=args) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(PATIENCE)
    assert [one.exitcode for one in both] == [0, 0]
    return ledger.read_text().splitlines()


def come(
    folder: str, where: str, ledger: str, begin: datetime, hours: int, barrier: Barrier
) -> None:
    """Be there at each hour, together with the other one."""

    def write(occasion: Occasion) -> LoopResult:
        line = f"{occasion.start:%H} {occasion.number}\n"
        descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)
        return LoopResult(processed=1)

    loop = Loop("ledger", "write a line", write, read_timetable("hourly"))
    for hour in range(hours):
        clock = HandClock(begin + timedelta(hours=hour))
        options = RunOptions(Path(folder), where, by=str(os.getpid()))
        barrier.wait(PATIENCE)
        run_due(options, Told(), clock, loops=(process_vms(), loop))
