"""The loop `process_vms` itself, as one among the others."""

from dataclasses import replace

from desired.timetable import read_timetable
from reconciler.loop import Run
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.report import PROCESS_VMS, Summary


def process_vms() -> Loop:
    """Return the loop that makes every VM what its spec says."""
    return Loop(
        PROCESS_VMS,
        "make every VM what its spec says; the same as --once",
        _run,
        read_timetable("1min"),
        ("process_virtual_machines", "processVirtualMachines"),
    )


def _run(occasion: Occasion) -> LoopResult:
    limit = (occasion.deadline - occasion.start).total_seconds()
    options = replace(occasion.options, time_limit=limit)
    run = Run(
        occasion.opened,
        options,
        occasion.reporter,
        occasion.clock,
        occasion.start,
        occasion.stopped,
    )
    return result_of(run.go())


def result_of(summary: Summary) -> LoopResult:
    """Return what a run of `process_vms` comes to as a loop's result."""
    return LoopResult(
        "error" if summary.failed else "success",
        processed=len(summary.results),
        errors=summary.failed,
        message=f"{summary.ready} of {summary.vms} VMs ready",
        summary=summary,
    )
