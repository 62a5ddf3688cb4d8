"""Processes of their own that hold a lock, of a machine by whatever name."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from reconciler.lock import Lock, runner_lock
from reconciler.tenure import Terms
from state.holder import this_process
from state.lockrows import LockLost
from state.place import Place, read_place

PATIENCE = 60.0
PROGRAM = "import sys; from tests.reconciler.tenants import live; live(*sys.argv[1:])"


def lock_of(place: Place, host: str = "", timeout: float = 600.0, boot: str = "") -> Lock:
    """The lock of `process_vms` as a process of that machine sees it; empty: of this one."""
    here = this_process(host or None)
    return runner_lock(place, Terms(timeout, here=replace(here, boot=boot or here.boot)))


def live(where: str, key: str, host: str, timeout: str, boot: str) -> None:
    """Take the lock; at each line that comes in ask the fence, and tell what it says."""
    place = read_place(where, key=Path(key))
    lock = lock_of(place, host, float(timeout), boot)
    tell("held" if lock.acquire() else f"not held: {lock.holder()}")
    for _ in sys.stdin:
        try:
            lock.insist()
            tell("written")
        except LockLost as error:
            tell(str(error))
    lock.release()


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def until(happens: Callable[[], object]) -> None:
    """Ask again and again until what another process does has happened."""
    pause = threading.Event()
    end = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        pause.wait(0.02)


class Tenant:
    """A process that tries to take a lock, and what it `said` of that."""

    def __init__(
        self, place: Place, host: str = "", timeout: float = 600.0, boot: str = ""
    ) -> None:
        where = str(place.file) if place.file else place.url.render_as_string(False)
        words = (where, str(place.key), host, str(timeout), boot)
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.pid = self._process.pid
        self.said = self._line()

    def write(self) -> str:
        """What comes of a write that it tries now."""
        assert self._process.stdin
        self._process.stdin.write("write\n")
        self._process.stdin.flush()
        return self._line()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
