"""Which process holds a lock, and whether that process is gone for sure (LOCK-02, LOCK-04)."""

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PROC = Path("/proc")
START_FIELD = 19
"""Where a process's start stands in /proc/PID/stat, counted behind its name: field 22 of all."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, so that no other is taken for it.

    `machine` is the machine's id (host names repeat), `boot` that of its start, `space` its
    namespace of process numbers, `started` the process's own start in ticks. What this system
    does not tell is empty.
    """

    host: str
    machine: str
    boot: str
    space: str
    pid: int
    started: str

    def is_gone(self, here: "Holder") -> bool:
        """Whether the process is gone for sure, as seen by the process `here`.

        Of another machine, or out of another container, nothing is known.
        """
        if (self.host, self.machine) != (here.host, here.machine):
            return False
        if self.boot != here.boot:
            return bool(self.machine and self.boot and here.boot)
        return self.space == here.space and not is_alive(self.pid, self.started)

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


def this_process(host: str | None = None) -> Holder:
    """This process; `host` in the place of the machine's own name."""
    found = _process(os.getpid())
    if host is None:
        return found
    return Holder(host, host, found.boot, found.space, found.pid, found.started)


@lru_cache(maxsize=1)
def _process(pid: int) -> Holder:
    machine, boot = Path("/etc/machine-id"), PROC / "sys/kernel/random/boot_id"
    return Holder(
        socket.gethostname(), _text(machine), _text(boot), _space(), pid, _started(pid) or ""
    )


def is_alive(pid: int, started: str) -> bool:
    """Whether the process that began at `started` is there still."""
    if started:
        return _started(pid) == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _started(pid: int) -> str | None:
    """When a process began, in ticks since the machine's start; None when there is none."""
    text = _text(PROC / str(pid) / "stat")
    # The name stands in brackets and may hold anything, also brackets. A zombie is at no work.
    state, *rest = text.rpartition(")")[2].split() or ["X"]
    if state in "ZX":
        return None
    return rest[START_FIELD - 1]


def _space() -> str:
    try:
        return os.readlink(PROC / "self/ns/pid")
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
