"""What tells a service to stop (SIGTERM, SIGINT) or to hurry (SIGHUP), and how it rests."""

import select
import signal
import socket
import threading
from types import FrameType, TracebackType
from typing import Protocol, Self

STOPS = (signal.SIGTERM, signal.SIGINT)


class Rest(Protocol):
    """How a service waits, and how it is told to stop."""

    @property
    def ended(self) -> bool:
        """Whether it was told to stop."""
        ...

    def watch(self, stopped: threading.Event) -> None:
        """Have this set, too, as soon as the service is told to stop."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait; return True, early, when told to stop or to hurry."""
        ...


class Signals:
    """SIGTERM and SIGINT stop after the current call, a second one at once; SIGHUP hurries.

    A second one is left to the system, which ends the process there and then: the next run goes on
    from wherever that was, as after any crash.
    """

    def __init__(self) -> None:
        self.ended = False
        self._running = threading.Event()
        self._before: list[tuple[int, object]] = []
        self._near, self._far = socket.socketpair()

    def watch(self, stopped: threading.Event) -> None:
        self._running = stopped
        if self.ended:
            stopped.set()

    def wait(self, seconds: float) -> bool:
        if self.ended or not select.select([self._near], [], [], seconds)[0]:
            return self.ended
        self._near.recv(4096)
        return True

    def __enter__(self) -> Self:
        self._near.setblocking(False)
        self._far.setblocking(False)
        for number in STOPS:
            self._before.append((number, signal.signal(number, self._stop)))
        self._before.append((signal.SIGHUP, signal.signal(signal.SIGHUP, self._hurry)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._near.close()
        self._far.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.ended = True
        for one in STOPS:
            signal.signal(one, signal.SIG_DFL)
        self._running.set()
        self._wake()

    def _hurry(self, number: int, frame: FrameType | None) -> None:
        self._wake()

    def _wake(self) -> None:
        try:
            self._far.send(b".")
        except BlockingIOError:
            return
