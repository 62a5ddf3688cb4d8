"""How each loop stands, for people: its schedule and whose it is, its last run and its next."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from desired.schedule import JOBS
from desired.source import Fleet
from reconciler.loops.loop import Loop
from reconciler.loops.slots import Slot, slots_of
from reconciler.report import PROCESS_VMS
from state.loops import LoopRow
from state.store import Store

ORPHANED = "its code is not there: bring that back, or remove the job"
BROKEN = "its metadata or code cannot be used; reconcile job check says what is wrong"


@dataclass(frozen=True, slots=True)
class Standing:
    """One loop. `status`: how its last run ended, `never`, `running`, `killed`, `orphaned`,
    `broken` (it cannot be used as it is written), or `suspended` with its plugin.

    `schedule` is by whom `source` says: `job edit`, `fleet`, `its metadata` or `built in`.
    `next_run` is None when it is off; a moment that is over means the next run.
    """

    name: str
    about: str
    schedule: str
    source: str
    active: bool
    status: str
    last_run: datetime | None = None
    next_run: datetime | None = None
    message: str = ""
    processed: int = 0
    errors: int = 0
    by: str = ""
    finished_at: datetime | None = None
    output: str = ""

    @property
    def orphaned(self) -> bool:
        """Whether the loop's code is not there (FRM-07)."""
        return self.status == "orphaned"

    @property
    def runs(self) -> bool:
        """Whether it could be run: its code and metadata are there and sound."""
        return self.status not in ("orphaned", "broken")

    @property
    def failed(self) -> bool:
        return self.status == "error" or not self.runs


def standings(
    loops: Sequence[Loop],
    fleet: Fleet,
    store: Store,
    at: datetime,
    broken: Collection[str] = (),
) -> list[Standing]:
    """Return every loop, in order, then those whose code has gone (FRM-07) or is `broken`."""
    found = [_standing(slot, fleet, store, at) for slot in slots_of(loops, fleet, store)]
    names = {loop.name for loop in loops}
    rows = store.loops.all().values()
    orphans = [_orphan(row) for row in rows if row.name not in names and row.name not in broken]
    stuck = [_orphan(store.loops.of(name, False)) for name in sorted(broken)]
    return found + orphans + [replace(one, status="broken", about=BROKEN) for one in stuck]


def _standing(slot: Slot, fleet: Fleet, store: Store, at: datetime) -> Standing:
    row = _last(slot.row, store) if slot.unkept else slot.row
    on = row.active and slot.table.runs and not slot.loop.suspended
    ended = "never" if row.status == "new" else row.status
    due = slot.next_run() or at
    if slot.unkept or slot.was_killed():
        due = at
    return Standing(
        name=slot.name,
        about=slot.loop.about,
        schedule=slot.table.text if slot.table.runs else "off",
        source=_source(slot, fleet),
        active=row.active,
        status="suspended" if slot.loop.suspended else ended,
        last_run=row.last_run,
        next_run=due if on else None,
        message=row.message,
        processed=row.processed,
        errors=row.errors,
        by=row.by,
        finished_at=row.finished_at,
        output=row.output,
    )


def _last(row: LoopRow, store: Store) -> LoopRow:
    """The row of `process_vms`, whose runs stand in the journal."""
    last = next((run for run in store.journal.runs(limit=50) if not run.dry), None)
    if last is None:
        return row
    failed, ready = last.summary.get("failed", 0), last.summary.get("ready", 0)
    results = last.summary.get("results")
    message = f"{ready} of {last.summary.get('vms', 0)} VMs ready" if last.finished_at else ""
    return LoopRow(
        PROCESS_VMS,
        active=row.active,
        status="running" if last.finished_at is None else "error" if failed else "success",
        last_run=last.started_at,
        finished_at=last.finished_at,
        message=message,
        processed=len(results) if isinstance(results, dict) else 0,
        errors=failed if isinstance(failed, int) else 0,
        by=last.command,
    )


def _source(slot: Slot, fleet: Fleet) -> str:
    if slot.row.schedule is not None:
        return "job edit"
    said = slot.name in fleet.schedule.every or fleet.schedule.profile != "default"
    return "fleet" if said and slot.name in JOBS else slot.loop.source


def _orphan(row: LoopRow) -> Standing:
    return Standing(
        name=row.name,
        about=ORPHANED,
        schedule=row.schedule or "-",
        source="job edit" if row.schedule else "-",
        active=row.active,
        status="orphaned",
        last_run=row.last_run,
        message=row.message,
        processed=row.processed,
        errors=row.errors,
        by=row.by,
        finished_at=row.finished_at,
        output=row.output,
    )
