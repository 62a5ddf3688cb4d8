"""The rows of locks as whoever takes one reads and writes them, be there a store yet or not.

A lock is taken before the store is opened, and its heartbeat goes on beside the run's own work, so
this has a connection of its own: to the SQLite file, or the session that holds the lock. Every
write is one conditional statement; moments are told by the database, which all holders share.
"""

import sqlite3
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from state.database import Lost, StoreError
from state.engines import BUSY_SECONDS
from state.holder import Holder
from state.session import Session

FIELDS = "token, host, machine, boot, space, pid, started, guarded, taken_at, beat_at, until"
OURS = (
    "host = :host, machine = :machine, boot = :boot, space = :space, pid = :pid,"
    " started = :started, guarded = :guarded, taken_at = {now}, beat_at = {now},"
    " until = {now} + :timeout"
)
READ = f"SELECT {FIELDS}, until <= {{now}} FROM locks WHERE name = :name"
INSERT = (
    f"INSERT INTO locks (name, {FIELDS}) VALUES (:name, 1, :host, :machine, :boot, :space, :pid,"
    " :started, :guarded, {now}, {now}, {now} + :timeout) ON CONFLICT (name) DO NOTHING"
    " RETURNING token"
)
TAKE = (
    f"UPDATE locks SET token = token + 1, {OURS} WHERE name = :name AND token = :token"
    " AND beat_at = :beat_at AND pid = :old RETURNING token"
)
BEAT = (
    "UPDATE locks SET beat_at = {now}, until = {now} + :timeout, guarded = :guarded"
    " WHERE name = :name AND token = :token AND pid = :pid RETURNING token"
)
FREE = (
    "UPDATE locks SET pid = 0, until = CASE WHEN guarded THEN until ELSE 0 END"
    " WHERE name = :name AND token = :token AND pid = :pid RETURNING token"
)
"""Who never had the file's or session's lock leaves the next one free to do without it too."""


class LockLost(Lost):
    """The lock of this run is somebody else's now: nothing more is written (LOCK-05)."""


@dataclass(frozen=True, slots=True)
class LockRow:
    """One lock. `token` is its fencing number, which grows with each holder.

    `guarded`: the holder also has the file's or session's lock, which ends with it. Moments are
    seconds since 1970; `over` says that no heartbeat came in time. Pid 0: nobody has it; `until` 0
    too: whoever stands still with the file's or session's lock has it no more.
    """

    name: str
    token: int
    holder: Holder
    guarded: bool
    taken_at: float
    beat_at: float
    until: float
    over: bool = False

    @property
    def is_free(self) -> bool:
        return self.holder.pid == 0

    @property
    def is_open(self) -> bool:
        return self.is_free and self.until == 0

    def may_be_taken(self, here: Holder, guarded: bool) -> bool:
        """Whether a process may take the lock; `guarded`: the file's or session's is its own now.

        That tells that a holder who had it is gone: it ends with the process and its connection.
        """
        if self.is_free:
            return guarded or self.is_open
        return self.over or (guarded and self.guarded) or self.holder.is_gone(here)


class Asking(Protocol):
    """A connection on which single statements are asked; `now` is how its database tells it."""

    @property
    def now(self) -> str: ...

    def ask(self, statement: str, **values: object) -> list[tuple[object, ...]]: ...

    def has_table(self) -> bool: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class LockRows:
    """One lock's row, over a connection that ends with `close`."""

    link: Asking
    name: str

    def read(self) -> LockRow | None:
        for row in self.link.ask(READ.format(now=self.link.now), name=self.name):
            return row_of(self.name, row)
        return None

    def take(self, here: Holder, timeout: float, seen: LockRow | None, guarded: bool) -> int | None:
        """Take the lock as it was seen; return its token, None if somebody else was faster."""
        values = {**asdict(here), "timeout": timeout, "guarded": guarded}
        if seen is None:
            return self._write(INSERT, **values)
        old = seen.holder.pid
        return self._write(TAKE, token=seen.token, beat_at=seen.beat_at, old=old, **values)

    def beat(self, here: Holder, token: int, timeout: float, guarded: bool) -> bool:
        """Say that the holder is alive; False when the lock is its own no more."""
        values = {"token": token, "pid": here.pid, "timeout": timeout, "guarded": guarded}
        return self._write(BEAT, **values) is not None

    def free(self, here: Holder, token: int) -> None:
        self._write(FREE, token=token, pid=here.pid)

    def _write(self, statement: str, **values: object) -> int | None:
        found = self.link.ask(statement.format(now=self.link.now), name=self.name, **values)
        return int(str(found[0][0])) if found else None


def row_of(name: str, row: tuple[object, ...]) -> LockRow:
    """A row of FIELDS, and of whether its time is over where that was asked for."""
    token, host, machine, boot, space, pid, started, guarded, taken, beat, until, *over = row
    texts = (str(host), str(machine), str(boot), str(space))
    holder = Holder(*texts, int(str(pid)), str(started))
    moments = (float(str(taken)), float(str(beat)), float(str(until)))
    return LockRow(name, int(str(token)), holder, bool(guarded), *moments, bool(over and over[0]))


class FileAsking:
    """A SQLite file that is there already, asked without SQLAlchemy: every run begins with it.

    No transaction is waited to reach the disk (a power cut ends every holder), but for those that
    it writes back from the log.
    """

    now = "((julianday('now') - 2440587.5) * 86400.0)"

    def __init__(self, path: Path) -> None:
        self._where = str(path)
        self._turn = threading.Lock()
        try:
            self._link = sqlite3.connect(
                f"{path.as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise StoreError(f"{self._where}: {error}") from error

    def ask(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        try:
            with self._turn:
                return self._link.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self._where}: lock: {error}") from error

    def has_table(self) -> bool:
        try:
            self.ask("PRAGMA synchronous = normal")
            return bool(self.ask("SELECT 1 FROM sqlite_master WHERE name = 'locks'"))
        except StoreError:  # what is no store is told by who opens it
            return False

    def close(self) -> None:
        self._link.close()


@dataclass(slots=True)
class ServerAsking:
    """A session with a server; `kept`: it is somebody's who ends it."""

    session: Session
    kept: bool
    now: str = "extract(epoch FROM clock_timestamp())::float8"

    def ask(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        return self.session.ask(statement, **values)

    def has_table(self) -> bool:
        return self.session.ask("SELECT to_regclass('locks')")[0][0] is not None

    def close(self) -> None:
        if not self.kept:
            self.session.close()
