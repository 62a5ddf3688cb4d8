"""One runner at a time: a lock that the kernel lets go when its process ends (LOCK-04)."""

import fcntl
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType

TRIES = 3


class LockHeld(Exception):
    """Another runner is at work; the text is its holder."""


class RunnerLock:
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

    def __enter__(self) -> "RunnerLock":
        """Raises LockHeld when another runner has it."""
        if not self.acquire():
            raise LockHeld(self.holder())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _opened(self) -> TextIOWrapper:
        return os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+")

    def _write(self, text: str) -> None:
        assert self._file
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()


def _locks(file: TextIOWrapper, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
