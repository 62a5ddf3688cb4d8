"""What all connections share: the simulator, its pace, the nodes' workers, known credentials."""

from __future__ import annotations

import email.utils
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from reconciler.sim.accounts.access import Identity
from reconciler.sim.accounts.tickets import by_api_token, by_ticket
from reconciler.sim.api import Simulator
from reconciler.sim.cluster.inventory import Node
from reconciler.sim.http.daemon import Daemon
from reconciler.sim.http.pace import PACES
from reconciler.sim.launch import Limits

COOKIE = "PVEAuthCookie"
TOKEN = "PVEAPIToken"
REMEMBERED = 1000
"""Credentials whose check is remembered, for as long as user.cfg does not change."""


@dataclass(slots=True)
class Message:
    """One request as it came in."""

    method: str
    url: str
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class Door:
    """The way into the cluster. `stirred` is called when somebody turned a screw of it."""

    def __init__(self, simulator: Simulator, limits: Limits = "real") -> None:
        self.simulator = simulator
        self.pace = PACES[limits]
        self.daemons: dict[tuple[str, bool], Daemon] = {}
        self.stirred: Callable[[], None] = lambda: None
        self.known: dict[tuple[str | None, str | None, str | None, bool], Identity] = {}
        self.known_at = (-1, 0)
        self.second = 0
        self.date = b""

        simulator.world.lock_wait = self.pace.lock

    def daemon(self, node: str, protected: bool) -> Daemon:
        """The node's pvedaemon (`protected`) or pveproxy."""
        found = self.daemons.get((node, protected))
        if found is None:
            found = self.daemons[node, protected] = Daemon(self.pace.workers or 0)
        return found

    def node(self, name: str) -> Node | None:
        return self.simulator.world.nodes.get(name)

    def identify(self, message: Message) -> Identity | None:
        """Whose request it is, None for nobody. Raises 401."""
        world = self.simulator.world
        state = (world.access.generation, int(self.simulator.now) // 60)
        if state != self.known_at or len(self.known) > REMEMBERED:
            self.known.clear()
            self.known_at = state
        authorization = message.header(b"authorization")
        cookie = message.header(b"cookie")
        csrf = message.header(b"csrfpreventiontoken")
        key = (authorization, cookie, csrf, message.method == "GET")
        found = self.known.get(key)
        if found is None:
            found = self._identify(message.method, authorization, cookie, csrf)
            if found is not None:
                self.known[key] = found
        return found

    def _identify(
        self, method: str, authorization: str | None, cookie: str | None, csrf: str | None
    ) -> Identity | None:
        world = self.simulator.world
        world.advance(self.simulator.now)
        for source in (cookie, authorization):
            ticket = auth_value(source, COOKIE)
            if ticket is not None:
                return by_ticket(world, ticket, method, csrf)
        token = auth_value(authorization, TOKEN)
        return None if token is None else by_api_token(world, token)

    def now_line(self) -> bytes:
        """The Date and Expires headers, made once a second."""
        second = int(self.simulator.now + self.simulator.world.skew)
        if second != self.second:
            text = email.utils.formatdate(second, usegmt=True)
            self.second = second
            self.date = f"Date: {text}\r\nExpires: {text}\r\n".encode()
        return self.date


def auth_value(header: str | None, name: str) -> str | None:
    """The value of `NAME=value` within a Cookie or Authorization header."""
    if header is None:
        return None
    for part in header.split(";"):
        key, equals, value = part.strip().partition("=")
        if equals and key == name:
            return unquote(value) if "%" in value else value
    return None
