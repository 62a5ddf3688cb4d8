"""The database under the store: transactions, upserts and what its errors mean.

What differs between SQLite and PostgreSQL stands in `state.engines`.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import cast

from sqlalchemy import URL, Connection, Engine, Table
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.exc import DBAPIError, IntegrityError

from state.engines import (
    ADVICE,
    AWAY,
    BROKEN,
    error_name,
    is_gone,
    postgresql_engine,
    sqlite_engine,
)
from state.place import Place

# Beyond this many keys it is cheaper to read all, and no database limits the parameters of that.
KEYS_IN_ONE_QUERY = 500

MISSING_DRIVER = "PostgreSQL needs psycopg: pip install 'pve-reconcile[postgresql]'"


class StoreError(Exception):
    """The store could not do it; the text says why and what to do."""


class Taken(StoreError):
    """A constraint said no: somebody else has it already."""


class Unreadable(StoreError):
    """Not our database: another program's, a newer revision, a broken file, a lost key."""


class Lost(StoreError):
    """The server went away. A run ends here: with it went its locks."""


class Database:
    """Short transactions on one database, from any number of threads.

    `writing` and `reading` yield a connection inside one transaction; `what` names the subject
    in errors. Nothing may be asked of the network inside one. Writers of all processes queue, so
    that nothing changes between what a transaction reads and what it writes.
    """

    def __init__(
        self,
        engine: Engine,
        where: str,
        turn: AbstractContextManager[object],
        *,
        may_write: bool = True,
    ) -> None:
        self.where = where
        self.may_write = may_write
        self.kind = engine.dialect.name
        self._engine = engine
        self._writer = engine.execution_options(writing=True)
        self._reader = engine
        if self.kind == "postgresql":
            self._reader = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            # Said each time: the driver's own word for each transaction beats the session's.
            self._writer = self._writer.execution_options(postgresql_readonly=not may_write)
        # Threads queue here; SQLite's own waiting is a poll, and unfair.
        self._turn = threading.Lock() if isinstance(turn, nullcontext) else turn
        self._reading_turn = turn
        self._lost = ""
        self.fence: Callable[[], None] = unfenced
        """Asked before each write: raises Lost when whoever writes may not any more."""

    @classmethod
    def at(cls, place: Place) -> "Database":
        """The database at a place; a SQLite file is made when it is not there."""
        return cls.file(place.file) if place.file else cls.server(place.url, str(place))

    @classmethod
    def readonly_at(cls, place: Place) -> "Database":
        """The database at a place, for reading only."""
        if place.file:
            return cls.readonly(place.file)
        return cls.server(place.url, str(place), may_write=False)

    @classmethod
    def file(cls, path: Path) -> "Database":
        """The SQLite file at `path`, made when it is not there."""
        engine = sqlite_engine(path, "journal_mode=wal", "synchronous=full")
        return cls(engine, str(path), nullcontext())

    @classmethod
    def readonly(cls, path: Path) -> "Database":
        """The SQLite file at `path`, for reading only."""
        engine = sqlite_engine(path, "query_only=on")
        return cls(engine, str(path), nullcontext(), may_write=False)

    @classmethod
    def memory(cls) -> "Database":
        """A database that ends with this process; its one connection is used by turns."""
        return cls(sqlite_engine(None), "a preview", threading.Lock())

    @classmethod
    def server(cls, url: URL, where: str, *, may_write: bool = True) -> "Database":
        """A PostgreSQL database, which must be there. Nothing is asked of it yet."""
        try:
            engine = postgresql_engine(url, readonly=not may_write)
        except ImportError as error:
            raise StoreError(f"{where}: {MISSING_DRIVER}") from error
        return cls(engine, where, nullcontext(), may_write=may_write)

    @contextmanager
    def writing(self, what: str) -> Iterator[Connection]:
        """A transaction that writes; raises Taken, Unreadable, Lost, StoreError."""
        self.fence()
        with self._turn, self._meanings(what), self._writer.begin() as link:
            yield link

    @contextmanager
    def reading(self, what: str) -> Iterator[Connection]:
        """A transaction that only reads, all of it at one moment.

        Raises Unreadable, Lost, StoreError.
        """
        with self._reading_turn, self._meanings(what), self._reader.connect() as link:
            yield link

    def freeze(self) -> None:
        """Refuses every later write; for a database in memory."""
        with self.reading("freeze") as link:
            link.exec_driver_sql("PRAGMA query_only=on")

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _meanings(self, what: str) -> Iterator[None]:
        if self._lost:
            raise Lost(self._lost)
        try:
            yield
        except DBAPIError as error:
            meant = meaning(error, self.where, what)
            if isinstance(meant, Lost):
                # Its session locks went too, so a server that comes back does not mend this run.
                self._lost = str(meant)
            raise meant from error


def unfenced() -> None:
    """The fence of a database that is written without a lock."""


def meaning(error: DBAPIError, where: str, what: str) -> StoreError:
    """What a database's error means for the store; `what` was being done."""
    if isinstance(error, IntegrityError):
        return Taken(f"{what}: {one_line(error.orig)}")
    name = error_name(error.orig)
    text = f"{where}: {what}: {one_line(error.orig)}"
    if name in BROKEN:
        advice = "restore it from a backup, or move it away and run `reconcile rebuild-state`"
        return Unreadable(f"{text}; {advice}")
    if is_gone(error.orig, invalidated=error.connection_invalidated):
        return Lost(f"{text}; {ADVICE.get(name, AWAY)}")
    return StoreError("; ".join(filter(None, (text, ADVICE.get(name)))))


def one_line(error: object) -> str:
    """A database's words without its line breaks."""
    return " ".join(str(error).split())


def upsert(
    link: Connection,
    table: Table,
    rows: Sequence[Mapping[str, object]],
    counted: Collection[str] = (),
) -> None:
    """Inserts rows, or replaces what rows of the same primary key hold of the named columns.

    Columns named in `counted` grow by the new values instead.
    """
    if not rows:
        return
    statement = _insert(link, table)
    keys = [column.name for column in table.primary_key.columns]
    fresh: dict[str, object] = {
        name: statement.excluded[name] for name in rows[0] if name not in keys
    }
    fresh |= {name: table.c[name] + statement.excluded[name] for name in counted}
    link.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=fresh), [dict(r) for r in rows]
    )


def insert_once(link: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """Inserts a row unless a constraint says that it is there; tells whether it did."""
    # No count of rows is told of an INSERT that numbers its rows itself.
    statement = _insert(link, table).on_conflict_do_nothing().returning(*table.primary_key)
    return link.execute(statement, dict(row)).first() is not None


def row_of(value: object, table: Table) -> dict[str, object]:
    """A frozen value's fields as the row of a table that names its columns after them."""
    return {name: getattr(value, name) for name in table.columns.keys()}  # noqa: SIM118


def _insert(link: Connection, table: Table) -> Insert:
    """The dialect's own INSERT, for ON CONFLICT; both databases' are spelt alike."""
    if link.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert  # 30 ms of a start

        return cast(Insert, postgresql_insert(table))
    return insert(table)
