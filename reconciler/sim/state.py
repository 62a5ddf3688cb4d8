"""A world kept in a file: who may use it, how it is read, how it is written."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from reconciler.sim.world import World

LOCK_WAIT = 10.0
"""Seconds to wait for another simulator to finish saving."""

LOOK_AGAIN = 0.02


class StateBusy(RuntimeError):
    """Another simulator uses the same file and does not end."""


class StateFile:
    """The file of one world, locked while it is open. `lock_wait` in seconds."""

    def __init__(self, path: Path, lock_wait: float = LOCK_WAIT) -> None:
        self.path = path
        self.saved_revision = -1
        path.parent.mkdir(parents=True, exist_ok=True)
        self.handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + lock_wait
        while not self._locked():
            if time.monotonic() > deadline:
                os.close(self.handle)
                raise StateBusy(f"{path}: another simulator still uses it")
            time.sleep(LOOK_AGAIN)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.handle)

    def load(self) -> World | None:
        """The saved world, or None when there is none yet."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        return World.load(msgspec.json.decode(text))

    def save(self, world: World) -> None:
        """Write the world unless nothing changed; a reader sees the old file or the new one."""
        if world.revision == self.saved_revision:
            return
        revision = world.revision
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(msgspec.json.encode(world.dump()))
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self.path)
        self.saved_revision = revision
