"""The parent's side of a child process: start it, answer it, cut it at its deadline."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from state.api import Json

FRAME, OUTPUT = 4 << 20, 16384
"""Bytes of one frame of the child at most, and of what it prints that are kept: the end."""

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""

KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LC_TIME", "TZ")
"""What a child has of our environment: nothing that may be a secret."""

Answer = Callable[[dict[str, Json]], Json]
"""Answers one question of the child; what it raises is the child's error."""


class Cut(Exception):
    """The child was stopped, or has gone without a result; the text says why."""


class Refusal(Exception):
    """A question of the child that is answered by an error; the text goes to it."""


@dataclass(slots=True)
class Child:
    """One child process; `ask` tells it what to do and serves it until it has answered.

    Use it as a context: at its end nothing of the child's process group is left.
    """

    answer: Answer
    stopped: Callable[[], bool] = bool
    output: bytearray = field(default_factory=bytearray)
    _scratch: tempfile.TemporaryDirectory[str] | None = None
    _process: "subprocess.Popen[bytes] | None" = None
    _to: int = -1
    _from: int = -1
    _life: int = -1
    _until: float = 0.0
    _rest: bytes = b""

    def __enter__(self) -> "Child":
        scratch = tempfile.TemporaryDirectory(prefix="reconcile-job-", ignore_cleanup_errors=True)
        self._scratch = scratch
        child_read, self._to = os.pipe()
        os.set_blocking(self._to, False)
        self._from, child_write = os.pipe()
        child_life, self._life = os.pipe()
        theirs = (child_read, child_write, child_life)
        words = [sys.executable, "-I", "-B", "-m", "reconciler.own.child"]
        try:
            self._process = subprocess.Popen(
                [*words, *map(str, theirs)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=scratch.name,
                env=environment(scratch.name),
                pass_fds=theirs,
                start_new_session=True,
            )
        finally:
            for one in theirs:
                os.close(one)
        return self

    def __exit__(self, *_: object) -> None:
        process, scratch = self._process, self._scratch
        assert process is not None and process.stdout is not None and scratch is not None
        os.close(self._to)
        os.close(self._from)
        end(process)
        os.close(self._life)
        process.stdout.close()
        scratch.cleanup()

    def ask(self, task: Mapping[str, Json], seconds: float) -> dict[str, Json]:
        """Have the child do something; return its result. Raises Cut."""
        self._until = time.monotonic() + seconds
        process = self._process
        assert process is not None and process.stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(self._from, selectors.EVENT_READ)
            ready.register(process.stdout, selectors.EVENT_READ)
            self._send(dict(task))
            while True:
                for key, _ in ready.select(self._left()):
                    if key.fd != self._from:
                        self._print(ready, process.stdout)
                        continue
                    for frame in self._frames():
                        if "result" in frame:
                            self._drain(process.stdout)
                            return frame
                        self._send(self._answered(frame))

    def _left(self) -> float:
        """Seconds that may be waited now. Raises Cut when the time is out, or a stop was asked."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise Cut("cut: its time was out; `deadline` of its metadata says how long it has")
        if self.stopped():
            raise Cut("cut: the run was told to stop")
        return min(left, 1.0)

    def _frames(self) -> list[dict[str, Json]]:
        """The whole frames that have come."""
        piece = os.read(self._from, 65536)
        if not piece:
            raise Cut(self._gone())
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > FRAME or any(len(line) > FRAME for line in lines):
            raise Cut(f"cut: it answered more than {FRAME >> 20} MiB at once")
        frames = []
        for line in lines:
            try:
                frame = json.loads(line)
            except ValueError:
                frame = None
            if not isinstance(frame, dict):
                raise Cut("cut: it answered what is no JSON map")
            frames.append(frame)
        return frames

    def _answered(self, question: dict[str, Json]) -> dict[str, Json]:
        try:
            return {"data": self.answer(question)}
        except Refusal as error:
            return {"error": str(error)}

    def _send(self, frame: dict[str, Json]) -> None:
        data = json.dumps(frame).encode() + b"\n"
        with selectors.DefaultSelector() as ready:
            ready.register(self._to, selectors.EVENT_WRITE)
            while data:
                if not ready.select(self._left()):
                    continue
                try:
                    data = data[os.write(self._to, data) :]
                except BrokenPipeError:
                    raise Cut(self._gone()) from None

    def _print(self, ready: selectors.BaseSelector, out: IO[bytes]) -> None:
        """Keep the end of what the child prints; once it has closed that, it prints no more."""
        piece = os.read(out.fileno(), 65536)
        self.output += piece
        del self.output[:-OUTPUT]
        if not piece:
            ready.unregister(out)

    def _drain(self, out: IO[bytes]) -> None:
        """Keep what is printed already; what a pipe holds is little."""
        os.set_blocking(out.fileno(), False)
        with suppress(BlockingIOError):
            for _ in range(64):
                self.output += os.read(out.fileno(), 65536)
        del self.output[:-OUTPUT]

    def _gone(self) -> str:
        """Say how a child ended that gave no result."""
        process = self._process
        assert process is not None and process.stdout is not None
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        self._drain(process.stdout)
        code = process.returncode
        if code is None:
            return "it closed its pipe and gave no result"
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return f"its process {how} and gave no result"


def environment(scratch: str) -> dict[str, str]:
    """What a child has for an environment; its home and temporary folder is its scratch."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": scratch, "TMPDIR": scratch}


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process group: SIGTERM, and SIGKILL for what is still there."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
