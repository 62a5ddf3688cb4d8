"""A session of its own with a PostgreSQL store: what it locks ends with it, however it ends."""

from types import TracebackType
from typing import Self

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from state.database import MISSING_DRIVER, Lost, StoreError, meaning
from state.engines import AWAY, connect_args, signature
from state.place import Place

KEY = "hashtextextended(current_schema() || '/' || :name, 0)"
LOCK = f"SELECT pg_try_advisory_lock({KEY})"
HOLDERS = f"""
SELECT a.application_name, a.backend_start, a.pid = pg_backend_pid()
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = {KEY}
"""


class Session:
    """Locks on names, one store's schema each. Raises Lost, StoreError."""

    def __init__(self, place: Place) -> None:
        self._where = str(place)
        try:
            engine = create_engine(
                place.url,
                poolclass=NullPool,
                isolation_level="AUTOCOMMIT",
                connect_args=connect_args(place.url, signature()),
            )
        except ImportError as error:
            raise StoreError(f"{self._where}: {MISSING_DRIVER}") from error
        try:
            self._link: Connection = engine.connect()
        except DBAPIError as error:
            raise meaning(error, self._where, "open a session") from error

    def lock(self, name: str) -> bool:
        """Takes the lock if nobody has it; never waits."""
        return bool(self.ask(LOCK, name=name)[0][0])

    def has(self, name: str) -> bool:
        """Whether the lock is this session's still; False also when the session has ended."""
        try:
            return any(mine for _who, _since, mine in self.ask(HOLDERS, name=name))
        except StoreError:
            return False

    def holder(self, name: str) -> str:
        """Who has the lock: `pid 7 on host since ...`; empty if nobody has."""
        for who, since, _mine in self.ask(HOLDERS, name=name):
            return f"{who} since {since:%Y-%m-%d %H:%M:%S %Z}"
        return ""

    def close(self) -> None:
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        """What one statement, in a transaction of its own, answers. Raises Lost, StoreError."""
        try:
            rows = self._link.execute(text(statement), values)
            return [tuple(row) for row in rows]
        except DBAPIError as error:
            what = f"lock {values.get('name', '')}".strip()
            raise meaning(error, self._where, what) from error
        except PendingRollbackError as error:  # asked again after the connection was cut
            raise Lost(f"{self._where}: the connection was cut; {AWAY}") from error
