"""Which VMs a person asked to leave alone."""

from sqlalchemy import delete, select

from state import tables
from state.database import Database, row_of, upsert
from state.memory import Hold


class Holds:
    """Holds by key; one that has run out stays until it is lifted or replaced."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, hold: Hold) -> None:
        """Holds a key, bound or not, in the place of an older hold."""
        with self._database.writing(f"hold {hold.key}") as link:
            upsert(link, tables.holds, [row_of(hold, tables.holds)])

    def lift(self, key: str) -> bool:
        """Tells whether there was one."""
        with self._database.writing(f"lift the hold of {key}") as link:
            return link.execute(delete(tables.holds).where(tables.holds.c.key == key)).rowcount > 0

    def all(self) -> dict[str, Hold]:
        statement = select(tables.holds).order_by(*tables.holds.primary_key)
        with self._database.reading("read holds") as link:
            return {row.key: Hold(*row) for row in link.execute(statement)}
