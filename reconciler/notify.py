"""Word to systemd about a service: ready, what it does, that it is alive (sd_notify(3))."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SHARE = 3
"""The watchdog is answered this often within its time."""


@dataclass(slots=True)
class Notifier:
    """Datagrams to the socket at `address`; without one nothing is sent.

    `watchdog` is within how many seconds systemd wants to hear from us; None if it does not. A
    datagram that does not arrive is no error: the service goes on without systemd.
    """

    address: str = ""
    watchdog: float | None = None
    monotonic: Callable[[], float] = time.monotonic
    _answered: float | None = field(default=None)

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int) -> "Notifier":
        """Read NOTIFY_SOCKET and WATCHDOG_USEC, unless WATCHDOG_PID means another process."""
        mine = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        micros = environ.get("WATCHDOG_USEC", "") if mine else ""
        watchdog = int(micros) / 1_000_000 if micros.isdigit() and int(micros) else None
        return cls(environ.get("NOTIFY_SOCKET", ""), watchdog)

    @property
    def every(self) -> float:
        """The longest time, in seconds, to be silent for."""
        return self.watchdog / SHARE if self.watchdog else 3600.0

    def tell(self, **words: str) -> None:
        """Send `READY="1"`, `STATUS="..."` and the like; each value is one line."""
        if not self.address:
            return
        # A leading @ stands for the zero byte of an abstract socket's name.
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        text = "\n".join(f"{key}={' '.join(value.split())}" for key, value in words.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
                link.setblocking(False)
                link.sendto(text.encode(), os.fsencode(name))
        except OSError:
            return

    def alive(self) -> None:
        """Answer the watchdog, though not at every step of the work."""
        now = self.monotonic()
        if self.watchdog and (self._answered is None or now - self._answered >= self.every / 2):
            self._answered = now
            self.tell(WATCHDOG="1")
