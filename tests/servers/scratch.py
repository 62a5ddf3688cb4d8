"""A scratch folder and a process of an unprivileged server in it, both gone at the end."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

ADDRESS = "127.0.0.1"
OWNER = "owner"
SETTLE = 10.0
"""Seconds that a server may take to begin or to end."""


class Daemon:
    """One server program in a folder of its own, run as `user` where root runs the tests."""

    def __init__(self, prefix: str, user: str) -> None:
        self._prefix = prefix
        self._user = user if os.getuid() == 0 else None
        self._sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=prefix))
        (self.folder / OWNER).write_text(str(os.getpid()))
        self._process: subprocess.Popen[bytes] | None = None
        self._command: tuple[str, ...] = ()

    def write(self, name: str, text: str) -> Path:
        """A file of the server, in its folder and its own."""
        path = self.folder / name
        path.write_text(text)
        self._own(path)
        return path

    def start(self, *command: str, answers: Callable[[], bool]) -> None:
        """Begin the program and wait until it `answers`; RuntimeError with its words if it ends."""
        self._own(self.folder, *self.folder.iterdir())
        self._command = command or self._command
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
            )
        (self.folder / OWNER).write_text(f"{os.getpid()} {self._process.pid}")
        until = time.monotonic() + SETTLE
        while not answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[0]}: {(self.folder / 'output').read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it; `start` may begin it again with all that it keeps in its folder."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(SETTLE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def _own(self, *paths: Path) -> None:
        if self._user:
            owner = pwd.getpwnam(self._user)
            for path in paths:
                os.chown(path, owner.pw_uid, owner.pw_gid)

    def _sweep(self) -> None:
        """End the servers of test runs that were killed before they could, and what they left."""
        for owner in Path(tempfile.gettempdir()).glob(f"{self._prefix}*/{OWNER}"):
            with suppress(OSError, ValueError):
                runner, *server = owner.read_text().split()
                if Path("/proc", runner).exists():
                    continue
                for pid in server:
                    _end(int(pid), os.fsencode(owner.parent))
                shutil.rmtree(owner.parent)


def _end(pid: int, folder: bytes) -> None:
    """Kill a process if it still is the server of that folder."""
    with suppress(OSError):
        process = Path("/proc", str(pid))
        if folder in (process / "cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
            until = time.monotonic() + SETTLE
            while process.exists() and time.monotonic() < until:
                time.sleep(0.01)


def free_port() -> int:
    """A port of the loopback that nobody listens on, for TCP and UDP."""
    while True:
        with socket.create_server((ADDRESS, 0)) as stream:
            port: int = stream.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, suppress(OSError):
                datagrams.bind((ADDRESS, port))
                return port


def listens(port: int) -> bool:
    """Whether somebody takes TCP connections on a port of the loopback."""
    with suppress(OSError), socket.create_connection((ADDRESS, port), 1):
        return True
    return False


def missing(programs: Mapping[str, str]) -> str | None:
    """What to install for the first program that is not there; None when all are."""
    folders = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    for program, package in programs.items():
        if shutil.which(program, path=folders) is None:
            return f"needs {program}: apt-get install {package}"
    return None
