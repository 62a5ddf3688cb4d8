"""The in-process door to a simulated cluster: one call in, one answer out, no HTTP.

Order of checks as in Proxmox (pve-manager PVE/HTTPServer.pm rest_handler): ticket (401), route
(501), permission (403), node (500/595), parameters (400), handler.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import reconciler.sim.parts  # noqa: F401
from reconciler.sim.accounts.access import Identity, open_to_world
from reconciler.sim.answer import UNREACHABLE, refused
from reconciler.sim.answer import Answer as Answer
from reconciler.sim.errors import (
    Blocked,
    Dropped,
    Refusal,
    failed,
    forbidden,
    unauthorized,
    unknown_method,
)
from reconciler.sim.faults.hooks import Faults, Mishap
from reconciler.sim.routes import ROUTES, Envelope, Request, Route
from reconciler.sim.world import World

LOCALHOST = "localhost"
"""In a path: the node that is asked (pve-manager PVE/HTTPServer.pm, rest_handler)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which node answers a call; `far`: it is forwarded there, or to the node's own pvedaemon."""

    route: Route
    node: str
    far: bool
    dead: bool


class Call:
    """One call on its way: it may need several attempts when it waits for a lock."""

    __slots__ = ("identity", "limit", "method", "mishap", "path", "raw", "simulator", "via")

    def __init__(
        self,
        simulator: Simulator,
        method: str,
        path: str,
        raw: Mapping[str, Any],
        identity: Identity | None,
        via: str = "",
    ) -> None:
        self.simulator = simulator
        self.via = via or simulator.contact
        self.method = method
        self.path = path
        self.raw = raw
        self.identity = identity
        self.limit: float | None = None
        self.mishap: Mishap | None = None

    def place(self) -> Place | None:
        """Where it is answered; None when it is refused before that."""
        found = ROUTES.match(self.method, [one for one in unquote(self.path).split("/") if one])
        if found is None:
            return None
        route, path = found
        node = named_node(path["node"], self.via) if route.proxy_node else self.via
        known = self.simulator.world.nodes.get(node)
        if known is None:
            return None
        other = node != self.via
        return Place(route, node, other or route.protected, other and not known.online)

    def _node(self, segments: list[str]) -> str:
        if len(segments) > 1 and segments[0] == "nodes":
            return named_node(segments[1], self.via)
        return self.via

    def attempt(self) -> Answer:
        """The answer; raises Blocked when it has to wait for a lock (look again at `until`, at
        the latest at `limit`, when the attempt gives the refusal), Dropped for a fault."""
        simulator, world = self.simulator, self.simulator.world
        world.advance(simulator.now)
        segments = [one for one in unquote(self.path).split("/") if one]
        shown = "/" + "/".join(segments)
        first = self.limit is None
        if first:
            self.limit = world.now + world.lock_wait
        try:
            if first and simulator.faults.active:
                self.mishap = simulator.faults.meet_call(self.method, shown, self._node(segments))
                if self.mishap is not None:
                    self.mishap.before()
            answer = simulator.answer(
                self.method, shown, segments, self.raw, self.identity, self.via
            )
            if self.mishap is not None:
                answer = self.mishap.after(answer)
        except Refusal as refusal:
            answer = refused(refusal)
            if self.mishap is not None:
                answer = self.mishap.slowed(answer)
        except Blocked as blocked:
            now = world.now
            if self.limit is None or now >= self.limit:
                return refused(failed(blocked.text))
            until = blocked.until if blocked.until > now else self.limit
            raise Blocked(min(until, self.limit), blocked.text) from None
        return answer


class Simulator:
    """A world with a clock and fault hooks. `clock` gives epoch seconds, `tally` counts the calls
    that reached a route by method and path template, `save` writes the world to its file, if it
    has one, and returns its path."""

    def __init__(self, world: World, clock: Callable[[], float]) -> None:
        self.world = world
        self.clock = clock
        self.faults = Faults(world)
        self.tally: Counter[str] = Counter()
        self.save: Callable[[], str | None] = lambda: None
        world.task_hook = self.faults.meet_task

    @property
    def offset(self) -> float:
        """Seconds by which the cluster is ahead of the clock."""
        return self.world.offset

    @offset.setter
    def offset(self, seconds: float) -> None:
        self.world.offset = seconds

    @property
    def now(self) -> float:
        return self.clock() + self.offset

    @property
    def contact(self) -> str:
        """The node that is asked when a call names none: the first that lives."""
        return next((node.name for node in self.world.nodes.values() if node.online), "")

    def call(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        identity: Identity | str | None = "root@pam",
        via: str = "",
    ) -> Answer:
        """Answer one call. `path` is relative to /api2/json, without a query; `params` are texts
        as a form gives them, or typed values as a JSON body does; `identity` None is nobody; `via`
        is the node that is asked.

        A call that waits for a lock lets the world pass until it gets it or gives up, so time in
        the world may then run ahead of `clock`. Raises Dropped for a connection fault
        and for an answer that is broken on the wire.
        """
        who = Identity.parse(identity) if isinstance(identity, str) else identity
        call = Call(self, method, path, params or {}, who, via)
        while True:
            try:
                answer = call.attempt()
            except Blocked as blocked:
                self.world.advance(blocked.until)
                continue
            if answer.spoiled:
                raise Dropped(done=True)
            return answer

    def answer(
        self,
        method: str,
        shown: str,
        segments: list[str],
        raw: Mapping[str, Any],
        identity: Identity | None,
        via: str,
    ) -> Answer:
        """All checks and the handler, once. Raises Refusal and Blocked."""
        world = self.world
        found = ROUTES.match(method, segments)
        if identity is None and (found is None or found[0].permission is not open_to_world):
            raise unauthorized("No ticket")
        if found is None:
            raise unknown_method(method, shown)
        route, path_params = found
        self.tally[f"{method} {route.path}"] += 1
        whole: Mapping[str, Any] = {**raw, **path_params} if raw else path_params
        if raw:
            conflicts(raw, path_params)
        who = identity or Identity("")
        permit(world, route, who, whole)
        if whole.get("node") == LOCALHOST:
            whole = {**whole, "node": via}
        if route.proxy_node:
            reach_node(world, str(whole["node"]), via)
        params = route.check(whole)
        if method != "GET":
            world.touch()
            if not world.quorate and route.path != "/access/ticket":
                raise failed("cluster not ready - no quorum?")
        request = Request(method, route.path, params, who, world.now, shown, via)
        if method == "GET":
            with world.vms.only_read():
                result = route.handler(world, request)
        else:
            result = route.handler(world, request)
        if isinstance(result, Envelope):
            return Answer(200, "OK", result.data, extras=result.extras)
        return Answer(200, "OK", result)


def named_node(name: str, via: str) -> str:
    """The node that a path means."""
    return via if name == LOCALHOST else name


def conflicts(raw: Mapping[str, Any], path_params: Mapping[str, str]) -> None:
    """A parameter that the path already gives may be repeated only with the same value."""
    wrong = [key for key, value in path_params.items() if key in raw and str(raw[key]) != value]
    if wrong:
        text = "duplicate parameter (already defined in URI) with conflicting values!"
        raise Refusal(400, "Parameter verification failed.\n", dict.fromkeys(wrong, text))


def permit(world: World, route: Route, identity: Identity, params: Mapping[str, Any]) -> None:
    """The route's permission entry; root@pam's ticket passes everywhere."""
    if identity.root or route.permission is open_to_world:
        return
    if route.permission is None:
        raise forbidden("user != root@pam")
    if identity.token is not None and not route.allow_token:
        raise Refusal(403, "API token access not allowed\n")
    route.permission(world, identity, params)


def reach_node(world: World, name: str, via: str) -> None:
    """What the contacted node does to forward a call to the node in the path."""
    node = world.nodes.get(name)
    if node is None:
        raise failed(
            f"hostname lookup '{name}' failed - failed to get address info for: {name}: "
            "Name or service not known"
        )
    if not node.online and name != via:
        raise Refusal(UNREACHABLE, "No route to host")
