"""Both sides of a connection without a socket: bytes in, bytes out, timers moved by hand."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reconciler.sim.accounts.tickets import new_csrf_token, new_ticket
from reconciler.sim.clock import ManualClock
from reconciler.sim.http.connection import Connection
from reconciler.sim.http.door import Door
from reconciler.sim.world import World

TOKEN = "Authorization: PVEAPIToken=reconcile@pve!fleet=demo\r\n"
WORK = 0.4
"""Seconds within which every call is answered that waits for nothing."""


def root(world: World) -> str:
    """The headers of root@pam's ticket."""
    cookie = f"Cookie: PVEAuthCookie={new_ticket(world, 'root@pam')}\r\n"
    return cookie + f"CSRFPreventionToken: {new_csrf_token(world, 'root@pam')}\r\n"


@dataclass
class Timer:
    """A callback that waits; `cancel` as asyncio's handles have it."""

    at: float
    call: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Timers:
    """An event loop's timers, run when the test lets time pass; the cluster's clock goes along."""

    clock: ManualClock
    waiting: list[Timer] = field(default_factory=list)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Any:
        timer = Timer(self.clock.now + delay, lambda: callback(*args))
        self.waiting.append(timer)
        return timer

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Any:
        return self.call_later(0.0, callback, *args)

    def pass_by(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while due := [one for one in self.waiting if not one.cancelled and one.at <= end]:
            timer = min(due, key=lambda one: one.at)
            self.waiting.remove(timer)
            self.clock.now = timer.at
            timer.call()
        self.clock.now = end


@dataclass
class Client:
    """The other side: collects what the connection writes."""

    connection: Connection | None = None
    timers: Timers | None = None
    got: bytes = b""
    closed: bool = False
    aborted: bool = False

    def write(self, data: bytes) -> None:
        self.got += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def send(self, text: str | bytes) -> None:
        assert self.connection is not None
        self.connection.feed(text.encode() if isinstance(text, str) else text)

    def work(self, seconds: float = WORK) -> None:
        """Let the server do what it has been asked."""
        assert self.timers is not None
        self.timers.pass_by(seconds)

    def take(self) -> tuple[str, dict[str, str], bytes]:
        """Status line, headers and body of the next answer."""
        if not self.got:
            self.work()
        head, _, rest = self.got.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        headers = dict(one.split(": ", 1) for one in lines)
        length = int(headers.get("Content-Length", len(rest)))
        self.got = rest[length:]
        return line, headers, rest[:length]

    def ask(
        self, path: str, method: str = "GET", extra: str = TOKEN, body: str = ""
    ) -> tuple[str, Any]:
        """Send one request; returns status line and decoded body."""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{extra}{length}\r\n{body}")
        line, _, found = self.take()
        return line.removeprefix("HTTP/1.1 "), json.loads(found) if found else None


def connect(door: Door, timers: Timers, via: str = "pve1") -> Client:
    client = Client(timers=timers)
    client.connection = Connection(door, client, timers, via)
    return client
