"""Which loops are due: the schedule of each, and the slot that it stands before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from desired.schedule import JOBS
from desired.source import Fleet
from desired.timetable import Timetable, read_timetable
from reconciler.loops.loop import Loop
from reconciler.report import PROCESS_VMS
from state.loops import LoopRow
from state.store import Store

MOST_KILLS = 3
"""A loop whose process was killed so often in a row waits for its next slot."""

ALWAYS = 60.0
"""Seconds: `process_vms` of such an interval or less is due whenever it is asked."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One loop with its row and schedule.

    Of an `unkept` one no row says when it is due, or that it ran; `asked` for it is by a person,
    be it due or not.
    """

    loop: Loop
    row: LoopRow
    table: Timetable
    zone: str
    unkept: bool = False
    asked: bool = False

    @property
    def name(self) -> str:
        return self.loop.name

    @property
    def often(self) -> bool:
        """Whether it is `process_vms` at an interval at which it is due whenever it is asked."""
        table = self.table
        short = table.kind == "always" or (table.kind == "every" and table.seconds <= ALWAYS)
        return short and self.name == PROCESS_VMS

    @property
    def planned(self) -> str:
        """By which schedule the next run is set."""
        return f"{self.table.text} {self.zone}"

    def next_run(self) -> datetime | None:
        """When it is due by its row; None: at once, since it is new (FRM-14)."""
        if self.row.planned == self.planned:
            return self.row.next_run
        last = self.row.last_run
        return self.table.next_after(last, self.zone, self.name) if last else None

    def after(self, at: datetime) -> datetime | None:
        """When it is due again, having run at a moment; what was missed until then is over."""
        return self.table.next_after(at, self.zone, self.name)

    def is_due(self, at: datetime) -> bool:
        """Whether it is to run now: its slot has come, or its last run was killed."""
        if self.asked:
            return True
        if not (self.row.active and self.table.runs) or self.loop.suspended:
            return False
        if self.often or self.was_killed():
            return True
        due = self.next_run()
        return due is None or due <= at + self.table.slack

    def was_killed(self) -> bool:
        """Whether its last run never ended; to be asked by who has the loop's lock."""
        return self.row.status == "running" and self.row.kills < MOST_KILLS


def slots_of(loops: Iterable[Loop], fleet: Fleet, store: Store) -> list[Slot]:
    """Return each loop as it stands."""
    rows = store.loops.all()
    return [_slot(loop, rows, fleet) for loop in loops]


def slot_of(loop: Loop, fleet: Fleet, store: Store) -> Slot:
    """Return one loop as it stands."""
    return _slot(loop, {loop.name: store.loops.of(loop.name, loop.active)}, fleet)


def timetable_of(loop: Loop, row: LoopRow, fleet: Fleet) -> Timetable:
    """When a loop is due: as a person said (`job edit`), else the fleet, else it by itself."""
    if row.schedule is not None:
        return read_timetable(row.schedule)
    for job in JOBS:
        if job == loop.name:
            return fleet.schedule.timetable(job)
    return loop.schedule


def _slot(loop: Loop, rows: Mapping[str, LoopRow], fleet: Fleet) -> Slot:
    row = rows.get(loop.name, LoopRow(loop.name, loop.active))
    slot = Slot(loop, row, timetable_of(loop, row, fleet), fleet.schedule.timezone)
    return replace(slot, unkept=slot.often)
