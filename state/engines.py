"""How each kind of database is spoken to, and what its errors mean: SQLite and PostgreSQL."""

import os
import socket
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event

BUSY_SECONDS = 20
CONNECTIONS = 32
CONNECT_SECONDS = 10

BUSY = f"another program has kept it for more than {BUSY_SECONDS} s; try again"
READONLY = "it may only be read here; check owner and rights"
AWAY = (
    "is the server up and reached, and are user, password and name right? What was done is kept,"
    " and the next run goes on from there"
)
BROKEN = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT"}
ADVICE = {
    "SQLITE_BUSY": BUSY,
    "SQLITE_LOCKED": "another program holds it; try again",
    "SQLITE_FULL": "make room on its disk",
    "SQLITE_READONLY": f"{READONLY} of the file and folder",
    "SQLITE_CANTOPEN": "check owner and rights of the file and folder",
    "SQLITE_IOERR": "check the disk that it lies on",
    "55P03": BUSY,
    "40001": "another program was at it; try again",
    "40P01": "another program was at it; try again",
    "53100": "make room on its disk",
    "53300": "the server has no connection to spare; raise max_connections or wait",
    "25006": f"{READONLY} of the user, and that the server is no standby",
    "28000": "check the user, and pg_hba.conf on the server",
    "28P01": "check user and password",
    "3D000": "create the database: createdb -O USER NAME",
    "3F000": "create the schema that the URL names",
    "42501": "grant the user what it lacks: it must own the tables and create in the schema",
}
# PostgreSQL's own words for: shut down, crashed, still starting.
_GONE: Final = ("08", "57P")

# A host that went away is noticed by the server too, so that the locks of its session end.
_SESSION = (
    f"lock_timeout={BUSY_SECONDS}s",
    "timezone=UTC",
    # A process that stands still amid a transaction must not keep the others out for ever.
    "idle_in_transaction_session_timeout=300s",
    "tcp_keepalives_idle=10",
    "tcp_keepalives_interval=5",
    "tcp_keepalives_count=3",
)
# A server that went away is noticed within seconds, not when the kernel gives up.
_PATIENCE = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": BUSY_SECONDS * 1000,
}
_WRITERS = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/writers', 0))"


def sqlite_engine(path: Path | None, *pragmas: str) -> Engine:
    """The file at a path, or a database in memory; a write transaction is one from its start."""
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


def postgresql_engine(url: URL, *, readonly: bool = False) -> Engine:
    """A server's database. Writers queue on one lock of the schema, as they do in SQLite.

    So what a transaction read is still so when it writes, on either kind of database, and no
    writer of ours deadlocks or fails for want of serialization. Raises ImportError.
    """
    engine = create_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=CONNECTIONS,
        connect_args=connect_args(url, "reconcile"),
    )

    def begun(link: Connection) -> None:
        if link.get_execution_options().get("writing") and not readonly:
            link.exec_driver_sql(_WRITERS)

    event.listen(engine, "begin", begun)
    return engine


def connect_args(url: URL, program: str) -> dict[str, object]:
    """What libpq is told beside the URL; what the URL says itself goes before it."""
    given = url.query.get("options", "")
    said = given if isinstance(given, str) else " ".join(given)
    told = {
        **_PATIENCE,
        "application_name": program,
        "options": " ".join([*(f"-c {one}" for one in _SESSION), said]).strip(),
    }
    return {
        name: value for name, value in told.items() if name == "options" or name not in url.query
    }


def signature() -> str:
    """Who this process is, as the server shows it to others: `pid 7 on host`, 63 bytes at most."""
    return f"pid {os.getpid()} on {socket.gethostname()}"[:63]


def error_name(error: BaseException | None) -> str:
    """`SQLITE_BUSY` of `SQLITE_BUSY_SNAPSHOT`; PostgreSQL's five letters; else empty."""
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return state
    return "_".join(str(getattr(error, "sqlite_errorname", "")).split("_")[:2])


def is_gone(error: BaseException | None, *, invalidated: bool) -> bool:
    """Whether the server is not there (any more), so that every further word to it is vain."""
    name = error_name(error)
    if name:
        return name.startswith(_GONE)
    from_server = type(error).__module__.startswith("psycopg")
    return from_server and (invalidated or type(error).__name__ == "OperationalError")
