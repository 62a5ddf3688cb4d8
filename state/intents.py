"""What was begun and must outlive the process: windows for a start or a stop, password writes."""

from datetime import datetime

from sqlalchemy import delete, select, update

from state import tables
from state.database import Database, row_of, upsert
from state.memory import Intent


class Intents:
    """Intents by (key, kind)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, intent: Intent) -> None:
        """Stores an intent, in the place of an older one of that kind."""
        with self._database.writing(f"intend {intent.kind} of {intent.key}") as link:
            upsert(link, tables.intents, [row_of(intent, tables.intents)])

    def look(self, key: str, kind: str, at: datetime) -> Intent | None:
        """Counts one more look, made at `at`, and answers the intent; None when there is none."""
        columns = tables.intents.c
        mine = (columns.key == key, columns.kind == kind)
        with self._database.writing(f"count a look at {kind} of {key}") as link:
            link.execute(
                update(tables.intents).where(*mine).values(looks=columns.looks + 1, looked_at=at)
            )
            row = link.execute(select(tables.intents).where(*mine)).first()
            return Intent(*row) if row else None

    def drop(self, key: str, kind: str) -> None:
        columns = tables.intents.c
        with self._database.writing(f"drop {kind} of {key}") as link:
            link.execute(delete(tables.intents).where(columns.key == key, columns.kind == kind))

    def of(self, key: str) -> dict[str, Intent]:
        """A key's intents by kind."""
        statement = (
            select(tables.intents)
            .order_by(*tables.intents.primary_key)
            .where(tables.intents.c.key == key)
        )
        with self._database.reading(f"read intents of {key}") as link:
            return {row.kind: Intent(*row) for row in link.execute(statement)}

    def of_kind(self, kind: str) -> dict[str, Intent]:
        """Every intent of a kind, by key."""
        columns = tables.intents.c
        statement = select(tables.intents).where(columns.kind == kind).order_by(columns.key)
        with self._database.reading(f"read every intent {kind}") as link:
            return {row.key: Intent(*row) for row in link.execute(statement)}

    def keys(self, *kinds: str) -> set[str]:
        """The keys that have an intent of one of these kinds."""
        columns = tables.intents.c
        with self._database.reading("read whose intents") as link:
            return set(link.scalars(select(columns.key).where(columns.kind.in_(kinds))))
