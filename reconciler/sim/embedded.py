"""The simulated cluster as a child process of the command that uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from reconciler.sim.launch import ServeOptions

END_WAIT = 15.0
"""Seconds that the child may take to save its world."""


class EmbeddedFailed(RuntimeError):
    """The child process did not come up; the text says why."""


class Embedded:
    """A simulator on free loopback ports, one per node, while this process holds its stdin.

    The child sees its stdin close, also when this process is killed, saves its world and ends.
    It runs in a session of its own, so that signals meant for this process do not reach it.
    """

    def __init__(self, options: ServeOptions) -> None:
        given = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(options).items()
        }
        self.child = subprocess.Popen(
            [sys.executable, "-m", "reconciler.sim", json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.host = options.host
        line = self._pipe(self.child.stdout).readline()
        try:
            said = json.loads(line)
        except ValueError:
            self.close()
            raise EmbeddedFailed("the simulated cluster did not start") from None
        if "error" in said:
            self.close()
            raise EmbeddedFailed(said["error"])
        self.ports: dict[str, int] = said["ports"]
        """By the name of the node; every one leads to the whole cluster."""
        self.port = next(iter(self.ports.values()))
        self.fingerprint: str = said["fingerprint"]

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe

    @property
    def url(self) -> str:
        """The first node's."""
        return f"https://{self.host}:{self.port}"

    @property
    def urls(self) -> tuple[str, ...]:
        """One of each node."""
        return tuple(f"https://{self.host}:{port}" for port in self.ports.values())

    def close(self) -> None:
        """End the child and wait until its world is saved."""
        self._pipe(self.child.stdin).close()
        try:
            self.child.wait(END_WAIT)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self._pipe(self.child.stdout).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
