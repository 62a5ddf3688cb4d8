"""Locks as the store knows them, for who asks; they are taken by `state.lockrows`."""

from dataclasses import replace

from sqlalchemy import select, update

from state import tables
from state.database import Database
from state.lockrows import LockRow, row_of


class Locks:
    """Locks by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, at: float) -> list[LockRow]:
        """Every lock that was ever taken, as it stands at `at`, seconds since 1970."""
        with self._database.reading("read the locks") as link:
            rows = link.execute(select(tables.locks).order_by(tables.locks.c.name)).all()
        found = [row_of(row.name, tuple(row)[1:]) for row in rows]
        return [replace(row, over=not row.is_free and row.until <= at) for row in found]

    def clear(self, row: LockRow) -> bool:
        """Takes a lock from its holder, whose run ends before its next write.

        False when the row is not as it was seen any more.
        """
        columns = tables.locks.c
        mine = (columns.name == row.name, columns.token == row.token, columns.pid != 0)
        values = {"token": row.token + 1, "pid": 0, "until": 0.0}
        with self._database.writing(f"clear lock {row.name}") as link:
            return link.execute(update(tables.locks).where(*mine).values(values)).rowcount > 0
