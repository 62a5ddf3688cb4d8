"""The locks of a store: one for `process_vms`, one for each other loop (LOCK-01).

They are names, so a part of a loop's work (a cluster, a shard) may have a lock of its own.
"""

from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from reconciler.latch import Lock, LockHeld, RunnerLock, SessionLock
from reconciler.report import PROCESS_VMS
from reconciler.tenure import Tenure, Terms
from state.lockrows import FileAsking, LockRows, ServerAsking
from state.place import Place
from state.session import Session

__all__ = [
    "PROCESS_VMS",
    "Lock",
    "LockHeld",
    "NoLock",
    "RunnerLock",
    "SessionLock",
    "loop_lock",
    "runner_lock",
]


def runner_lock(place: Place, terms: Terms | None = None) -> Lock:
    """The lock of a store's runner: beside the file, or in the server's database."""
    return _of_server(place, None, terms) if place.file is None else _of_file(place, None, terms)


def loop_lock(place: Place, name: str, terms: Terms | None = None) -> Lock:
    """The lock of one loop, beside the runner's: each loop has its own (LOCK-01)."""
    if name == PROCESS_VMS:
        return runner_lock(place, terms)
    return _of_server(place, name, terms) if place.file is None else _of_file(place, name, terms)


def _of_file(place: Place, name: str | None, terms: Terms | None) -> Lock:
    assert place.file is not None
    beside = f"{place.file.name}.{name}.lock" if name else f"{place.file.name}.lock"
    latch = RunnerLock(place.file.with_name(beside))
    name = name or PROCESS_VMS
    return Tenure(latch, partial(_file_rows, place.file, name), name, terms)


def _of_server(place: Place, name: str | None, terms: Terms | None) -> Lock:
    latch = SessionLock(place, f"loop/{name}") if name else SessionLock(place)
    name = name or PROCESS_VMS
    return Tenure(latch, partial(_server_rows, place, latch, name), name, terms)


def _file_rows(path: Path, name: str) -> LockRows | None:
    if not path.exists() or not path.stat().st_size:
        return None
    return _with_table(FileAsking(path), name)


def _server_rows(place: Place, latch: SessionLock, name: str) -> LockRows | None:
    kept = latch.session
    return _with_table(ServerAsking(kept or Session(place), kept is not None), name)


def _with_table(link: FileAsking | ServerAsking, name: str) -> LockRows | None:
    """The row of a lock, if the store has come to having locks; else the way there is closed."""
    if link.has_table():
        return LockRows(link, name)
    link.close()
    return None


class NoLock:
    """No lock at all: `--no-lock`, for a person who looks for a fault and is alone."""

    def acquire(self) -> bool:
        return True

    def held(self) -> bool:
        return True

    def insist(self) -> None:
        return

    def release(self) -> None:
        return

    def holder(self) -> str:
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return
