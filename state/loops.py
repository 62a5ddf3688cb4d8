"""Scheduled loops: when each is due, who runs it, how it ended; and the cadence of single items.

A slot is taken by one conditional UPDATE, so two processes never run it twice (FRM-15). `number`
counts the runs and is their fence: who was overtaken writes nothing any more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, delete, select, update

from state import tables
from state.database import Database, insert_once, row_of

LoopStatus = Literal["new", "running", "success", "skipped", "error"]
MESSAGE, OUTPUT = 500, 16384
"""Characters of a message (FRM-04), and of the output that is kept: its end."""

CADENCE = 300.0
"""Seconds between two runs of one item, unless its loop says otherwise (FRM-15)."""


@dataclass(frozen=True, slots=True)
class LoopRow:
    """One loop as the store knows it.

    `schedule` is a person's own in the place of the fleet's; `planned` says by which one
    `next_run` was set. A row that is `running` while nobody has the loop's lock was killed;
    `kills` counts how often in a row.
    """

    name: str
    active: bool = True
    schedule: str | None = None
    removed: bool = False
    planned: str = ""
    next_run: datetime | None = None
    number: int = 0
    status: LoopStatus = "new"
    last_run: datetime | None = None
    finished_at: datetime | None = None
    message: str = ""
    processed: int = 0
    errors: int = 0
    output: str = ""
    by: str = ""
    kills: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run of a loop ended; `deactivate`: it is not to run again (FRM-05)."""

    status: LoopStatus
    message: str = ""
    processed: int = 0
    errors: int = 0
    output: str = ""
    deactivate: bool = False


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item of a loop: when it was taken last, when it is next, and what went wrong."""

    loop: str
    item: str
    last_at: datetime
    next_at: datetime
    failures: int = 0
    error: str = ""


class Loops:
    """Loops by name, and their items."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, LoopRow]:
        """Every loop that was not removed."""
        columns = tables.loops.c
        kept = select(tables.loops).where(columns.removed.is_(False)).order_by(columns.name)
        with self._database.reading("read the loops") as link:
            return {row.name: LoopRow(*row) for row in link.execute(kept)}

    def of(self, name: str, active: bool = True) -> LoopRow:
        """A loop's row; one that was never run or changed is as new, `active` or not."""
        statement = select(tables.loops).where(tables.loops.c.name == name)
        with self._database.reading(f"read loop {name}") as link:
            row = link.execute(statement).first()
        return LoopRow(*row) if row and not row.removed else LoopRow(name, active)

    def claim(
        self, row: LoopRow, at: datetime, next_run: datetime | None, by: str
    ) -> LoopRow | None:
        """Takes the slot: exactly one of those who have seen the same row gets it.

        `row.planned` says by which schedule `next_run` was found.
        """
        columns = tables.loops.c
        mine = (columns.name == row.name, columns.number == row.number)
        values = {
            "number": row.number + 1,
            "status": "running",
            "last_run": at,
            "finished_at": None,
            "planned": row.planned,
            "next_run": next_run,
            "message": "",
            "by": by,
            "kills": row.kills + 1 if row.status == "running" else 0,
        }
        with self._database.writing(f"claim loop {row.name}") as link:
            _ensure(link, row.name, row.active)
            taken = link.execute(update(tables.loops).where(*mine).values(values)).rowcount > 0
        return self.of(row.name) if taken else None

    def finish(self, row: LoopRow, at: datetime, ending: Ending) -> bool:
        """Writes how a claimed run ended; False when another run has begun since."""
        columns = tables.loops.c
        mine = (columns.name == row.name, columns.number == row.number)
        values: dict[str, object] = {
            "status": ending.status,
            "finished_at": at,
            "message": ending.message[:MESSAGE],
            "processed": ending.processed,
            "errors": ending.errors,
            "output": ending.output[-OUTPUT:],
            "kills": 0,
        }
        if ending.deactivate:
            values["active"] = False
        with self._database.writing(f"finish loop {row.name}") as link:
            return link.execute(update(tables.loops).where(*mine).values(values)).rowcount > 0

    def activate(self, name: str, active: bool) -> LoopRow:
        """Lets a loop run by its schedule, or not."""
        return self._change(name, active, active=active)

    def reschedule(self, name: str, schedule: str | None, active: bool = True) -> LoopRow:
        """Gives a loop a schedule of its own; None: the fleet's again. A new one is `active`."""
        return self._change(name, active, schedule=schedule)

    def remove(self, name: str) -> bool:
        """Hides a loop with its history (FRM-17); tells whether there was one."""
        columns = tables.loops.c
        kept = update(tables.loops).where(columns.name == name, columns.removed.is_(False))
        with self._database.writing(f"remove loop {name}") as link:
            link.execute(delete(tables.loop_items).where(tables.loop_items.c.loop == name))
            return link.execute(kept.values(removed=True)).rowcount > 0

    def claim_item(self, loop: str, item: str, at: datetime, every: float = CADENCE) -> bool:
        """Takes one item of a loop if it is due; exactly one of several who ask gets it."""
        columns = tables.loop_items.c
        fresh = {"loop": loop, "item": item, "last_at": at, "failures": 0, "error": ""}
        next_at = at + timedelta(seconds=every)
        due = (columns.loop == loop, columns.item == item, columns.next_at <= at)
        with self._database.writing(f"claim {item} of loop {loop}") as link:
            if insert_once(link, tables.loop_items, {**fresh, "next_at": next_at}):
                return True
            taken = update(tables.loop_items).where(*due)
            return link.execute(taken.values(last_at=at, next_at=next_at)).rowcount > 0

    def settle_item(self, loop: str, item: str, error: str = "") -> None:
        """Writes what came of an item: nothing wrong, or an error, which counts (FRM-15)."""
        columns = tables.loop_items.c
        failures = columns.failures + 1 if error else 0
        mine = update(tables.loop_items).where(columns.loop == loop, columns.item == item)
        with self._database.writing(f"settle {item} of loop {loop}") as link:
            link.execute(mine.values(failures=failures, error=error[:MESSAGE]))

    def items(self, loop: str) -> dict[str, ItemRow]:
        """A loop's items by name."""
        columns = tables.loop_items.c
        mine = select(tables.loop_items).where(columns.loop == loop).order_by(columns.item)
        with self._database.reading(f"read the items of loop {loop}") as link:
            return {row.item: ItemRow(*row) for row in link.execute(mine)}

    def forget_item(self, loop: str, item: str) -> None:
        """Forgets an item that is there no more."""
        columns = tables.loop_items.c
        with self._database.writing(f"forget {item} of loop {loop}") as link:
            link.execute(
                delete(tables.loop_items).where(columns.loop == loop, columns.item == item)
            )

    def _change(self, name: str, new: bool, /, **values: object) -> LoopRow:
        with self._database.writing(f"change loop {name}") as link:
            _ensure(link, name, new)
            mine = update(tables.loops).where(tables.loops.c.name == name)
            link.execute(mine.values(values))
        return self.of(name)


def _ensure(link: Connection, name: str, active: bool) -> None:
    """Makes the row of a loop; one that was removed begins anew."""
    columns = tables.loops.c
    link.execute(delete(tables.loops).where(columns.name == name, columns.removed.is_(True)))
    insert_once(link, tables.loops, row_of(LoopRow(name, active), tables.loops))
