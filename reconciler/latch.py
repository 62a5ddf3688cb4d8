"""Locks that go with the process that holds them: on a file, or on a session (LOCK-03, LOCK-04)."""

import fcntl
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from state.place import Place
from state.session import Session

TRIES = 3
RUNNER = "runner"


class LockHeld(Exception):
    """Another runner is at work; the text is its holder."""


class Latch(Protocol):
    """What only one can have, and nobody any more once who has it has ended."""

    def acquire(self) -> bool:
        """Take it if nobody has it; never wait. True also when this object has it."""

    def held(self) -> bool:
        """Whether this object has it still."""

    def release(self) -> None: ...

    def holder(self) -> str:
        """Who has it (`pid 7 on host since ...`), this object included; empty if nobody."""


class Lock(Latch, Protocol):
    """What keeps a second runner out; `with lock:` raises LockHeld when another has it."""

    def insist(self) -> None:
        """Raise LockLost unless this object has it still: the fence before a write."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Holding(ABC):
    """A latch that `with` takes and gives back; it raises LockHeld when another has it."""

    @abstractmethod
    def acquire(self) -> bool: ...

    @abstractmethod
    def release(self) -> None: ...

    @abstractmethod
    def holder(self) -> str: ...

    def __enter__(self) -> Self:
        """Raise LockHeld when another runner has it."""
        if not self.acquire():
            raise LockHeld(self.holder() or "another runner, which has just ended; try again")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class RunnerLock(Holding):
    """A lock on a file beside the database; who holds it stands in the file as text.

    What a killed process leaves in the file is only text: the lock itself went with it. The file
    stays, since removing it would let two runners lock two files of one name.
    """

    def __init__(
        self, path: str | Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._path = Path(path)
        self._clock = clock
        self._file: TextIOWrapper | None = None

    def acquire(self) -> bool:
        """Takes the lock if nobody has it; never waits. True also when this object has it."""
        if self._file:
            return True
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._opened()
        for _ in range(TRIES):
            if _locks(file, fcntl.LOCK_EX):
                self._file = file
                self._write(
                    f"pid {os.getpid()} on {socket.gethostname()} since"
                    f" {self._clock():%Y-%m-%d %H:%M:%S %Z}"
                )
                return True
            # Shared by somebody who asks `holder`: it was free, so try again.
            if not _locks(file, fcntl.LOCK_SH):
                break
        file.close()
        return False

    def held(self) -> bool:
        return self._file is not None

    def release(self) -> None:
        if self._file:
            self._write("")
            self._file.close()
            self._file = None

    def holder(self) -> str:
        """Who has the lock (`pid 7 on host since ...`), this object included; empty if nobody."""
        if not self._path.exists():
            return ""
        with self._opened() as file:
            if not self._file and _locks(file, fcntl.LOCK_SH):
                return ""
            return file.read().strip() or "another runner"

    def _opened(self) -> TextIOWrapper:
        return os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+")

    def _write(self, text: str) -> None:
        assert self._file
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()


class SessionLock(Holding):
    """A lock on a name in a server's database, on a connection of its own.

    The name stands for the schema that holds the store, not for the store's id: `rebuild-state`
    changes the id while it holds the lock, and a database without tables has none yet.
    """

    def __init__(self, place: Place, name: str = RUNNER) -> None:
        self._place = place
        self._name = name
        self._session: Session | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody has it; raises StoreError when the server is not reached."""
        if self._session:
            return True
        session = Session(self._place)
        if not session.lock(self._name):
            session.close()
            return False
        self._session = session
        return True

    @property
    def session(self) -> Session | None:
        """The connection that the lock is on, while this object has it."""
        return self._session

    def held(self) -> bool:
        return self._session is not None and self._session.has(self._name)

    def release(self) -> None:
        if self._session:
            self._session.close()
            self._session = None

    def holder(self) -> str:
        with Session(self._place) as session:
            return session.holder(self._name)


def _locks(file: TextIOWrapper, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
