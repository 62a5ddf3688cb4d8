"""The database under the store: engine, transactions, upserts and what its errors mean.

The only file that knows SQLite from PostgreSQL.
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import cast

from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    Engine,
    StaticPool,
    Table,
    create_engine,
    event,
)
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.exc import DatabaseError, IntegrityError

BUSY_SECONDS = 20
CONNECTIONS = 32

ADVICE = {
    "SQLITE_BUSY": f"another program has kept it for more than {BUSY_SECONDS} s; try again",
    "SQLITE_LOCKED": "another program holds it; try again",
    "SQLITE_FULL": "make room on its disk",
    "SQLITE_READONLY": "it may only be read here; check owner and rights of the file and folder",
    "SQLITE_CANTOPEN": "check owner and rights of the file and folder",
    "SQLITE_IOERR": "check the disk that it lies on",
}
BROKEN = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT"}


class StoreError(Exception):
    """The store could not do it; the text says why and what to do."""


class Taken(StoreError):
    """A constraint said no: somebody else has it already."""


class Unreadable(StoreError):
    """Not our database: another program's, a newer revision, a broken file, a lost key."""


class Database:
    """Short transactions on one database, from any number of threads.

    `writing` and `reading` yield a connection inside one transaction; `what` names the subject
    in errors. Nothing may be asked of the network inside one.
    """

    def __init__(self, engine: Engine, where: str, turn: AbstractContextManager[object]) -> None:
        self.where = where
        self._engine = engine
        self._writer = engine.execution_options(writing=True)
        # Threads queue here; SQLite's own waiting is a poll, and unfair.
        self._turn = threading.Lock() if isinstance(turn, nullcontext) else turn
        self._reading_turn = turn

    @classmethod
    def file(cls, path: Path) -> "Database":
        """The SQLite file at `path`, made when it is not there."""
        return cls(_sqlite(path, "journal_mode=wal", "synchronous=full"), str(path), nullcontext())

    @classmethod
    def readonly(cls, path: Path) -> "Database":
        """The SQLite file at `path`, for reading only."""
        return cls(_sqlite(path, "query_only=on"), str(path), nullcontext())

    @classmethod
    def memory(cls) -> "Database":
        """A database that ends with this process; its one connection is used by turns."""
        return cls(_sqlite(None), "a preview", threading.Lock())

    @contextmanager
    def writing(self, what: str) -> Iterator[Connection]:
        """A transaction that writes; raises Taken, Unreadable, StoreError."""
        with self._turn, self._meanings(what), self._writer.begin() as link:
            yield link

    @contextmanager
    def reading(self, what: str) -> Iterator[Connection]:
        """A transaction that only reads, all of it at one moment; raises Unreadable, StoreError."""
        with self._reading_turn, self._meanings(what), self._engine.connect() as link:
            yield link

    def freeze(self) -> None:
        """Refuses every later write; for a database in memory."""
        with self.reading("freeze") as link:
            link.exec_driver_sql("PRAGMA query_only=on")

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _meanings(self, what: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise Taken(f"{what}: {error.orig}") from error
        except DatabaseError as error:
            name = _error_name(error.orig)
            text = f"{self.where}: {what}: {error.orig}"
            if name in BROKEN:
                advice = (
                    "restore it from a backup, or move it away and run `reconcile rebuild-state`"
                )
                raise Unreadable(f"{text}; {advice}") from error
            raise StoreError("; ".join(filter(None, (text, ADVICE.get(name))))) from error


def sqlite_path(url: str) -> Path:
    """The file that a database URL (`sqlite:////var/lib/x.db`) or a plain path means."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return Path(url).expanduser().absolute()
    if scheme != "sqlite" or not rest.strip("/"):
        raise Unreadable(
            f"database: a path or `sqlite:////folder/file.db` expected, seen `{scheme}://...`"
        )
    return Path(rest.removeprefix("/")).expanduser().absolute()


def upsert(
    link: Connection,
    table: Table,
    rows: Sequence[Mapping[str, object]],
    counted: str = "",
) -> None:
    """Inserts rows, or replaces what rows of the same primary key hold of the named columns.

    A column named `counted` grows by the new value instead.
    """
    if not rows:
        return
    statement = _insert(link, table)
    keys = [column.name for column in table.primary_key.columns]
    fresh: dict[str, object] = {
        name: statement.excluded[name] for name in rows[0] if name not in keys
    }
    if counted:
        fresh[counted] = table.c[counted] + statement.excluded[counted]
    link.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=fresh), [dict(r) for r in rows]
    )


def insert_once(link: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """Inserts a row unless a constraint says that it is there; tells whether it did."""
    result: CursorResult[tuple[object, ...]] = link.execute(
        _insert(link, table).on_conflict_do_nothing(), dict(row)
    )
    return result.rowcount == 1


def row_of(value: object, table: Table) -> dict[str, object]:
    """A frozen value's fields as the row of a table that names its columns after them."""
    return {name: getattr(value, name) for name in table.columns.keys()}  # noqa: SIM118


def _insert(link: Connection, table: Table) -> Insert:
    """The dialect's own INSERT, for ON CONFLICT; both databases' are spelt alike."""
    if link.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert  # 30 ms of a start

        return cast(Insert, postgresql_insert(table))
    return insert(table)


def _sqlite(path: Path | None, *pragmas: str) -> Engine:
    if path is None:
        engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
    else:
        url = URL.create("sqlite", database=str(path))
        engine = create_engine(url, pool_size=CONNECTIONS, max_overflow=CONNECTIONS)

    def connected(connection: sqlite3.Connection, _record: object) -> None:
        # sqlite3 is to begin nothing by itself: `begun` does.
        connection.isolation_level = None
        for pragma in (f"busy_timeout={BUSY_SECONDS * 1000}", "foreign_keys=on", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    def begun(link: Connection) -> None:
        # A read that turns into a write fails at once when another process wrote in between.
        writing = link.get_execution_options().get("writing")
        link.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine


def _error_name(error: BaseException | None) -> str:
    """`SQLITE_BUSY` of `SQLITE_BUSY_SNAPSHOT`; empty for another database's error."""
    return "_".join(str(getattr(error, "sqlite_errorname", "")).split("_")[:2])
