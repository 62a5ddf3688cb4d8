"""The registry of API paths: what each accepts, who may call it and which function answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.sim.accounts.access import Identity, Permission
from reconciler.sim.parameters.formats import NODE_FIELD, STORAGE, VM
from reconciler.sim.parameters.schema import Field, Text, Value, validate

if TYPE_CHECKING:
    from reconciler.sim.world import World

Json = Any

GREEDY = frozenset(("volume", "cidr"))
"""Last path parameters that may hold slashes (Proxmox's fragmentDelimiter '')."""

PATH_FIELDS: dict[str, Field] = {"node": NODE_FIELD, "vmid": VM, "storage": STORAGE}


@dataclass(frozen=True, slots=True)
class Request:
    """One call after all checks. `params` holds path and body parameters, validated.

    `at` is the epoch time of the call, `raw_path` the path asked for without /api2/json, `via` the
    node that was asked.
    """

    method: str
    path: str
    params: dict[str, Value]
    identity: Identity
    at: float
    raw_path: str = ""
    via: str = ""

    @property
    def node(self) -> str:
        return str(self.params["node"])

    @property
    def vmid(self) -> int:
        return int(self.params["vmid"])


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer with more than `data` at the top level, such as the `total` of a list."""

    data: Json
    extras: dict[str, Json] = field(default_factory=dict)


Handler = Callable[["World", Request], Json]
AnyHandler = TypeVar("AnyHandler", bound=Handler)


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path template, such as `PUT /nodes/{node}/qemu/{vmid}/config`.

    `permission` None means root@pam's ticket only. `proxy_node`: the answer comes from the node in
    the path, so an unknown or dead node fails it. `protected`: runs in pvedaemon.
    """

    method: str
    path: str
    fields: Mapping[str, Field]
    permission: Permission | None
    proxy_node: bool
    protected: bool
    allow_token: bool
    handler: Handler

    def check(self, raw: Mapping[str, Value]) -> dict[str, Value]:
        return validate(self.fields, raw)


class Branch:
    """One segment of the path tree."""

    __slots__ = ("children", "name", "routes", "wild")

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.children: dict[str, Branch] = {}
        self.wild: Branch | None = None
        self.routes: dict[str, Route] = {}


class Routes:
    """All routes; `match` walks the tree, literal segments before parameters."""

    def __init__(self) -> None:
        self.root = Branch()

    def __iter__(self) -> Iterator[Route]:
        waiting = [self.root]
        while waiting:
            branch = waiting.pop()
            yield from (branch.routes[method] for method in sorted(branch.routes))
            waiting.extend(branch.children[name] for name in sorted(branch.children))
            if branch.wild is not None:
                waiting.append(branch.wild)

    def add(self, route: Route) -> None:
        branch = self.root
        for segment in route.path.strip("/").split("/"):
            if segment.startswith("{"):
                if branch.wild is None:
                    branch.wild = Branch(segment[1:-1])
                if branch.wild.name != segment[1:-1]:
                    raise ValueError(f"{route.path}: {segment} is called {branch.wild.name}")
                branch = branch.wild
            else:
                branch = branch.children.setdefault(segment, Branch(segment))
        if route.method in branch.routes:
            raise ValueError(f"{route.method} {route.path} is declared twice")
        branch.routes[route.method] = route

    def match(self, method: str, segments: list[str]) -> tuple[Route, dict[str, str]] | None:
        """The route for the path's segments and the raw path parameters, or None."""
        branch = self.root
        found: dict[str, str] = {}
        for position, segment in enumerate(segments):
            child = branch.children.get(segment)
            if child is None:
                child = branch.wild
                if child is None:
                    return None
                if child.name in GREEDY:
                    found[child.name] = "/".join(segments[position:])
                    branch = child
                    break
                found[child.name] = segment
            branch = child
        route = branch.routes.get(method)
        return None if route is None else (route, found)


ROUTES = Routes()


def route(
    method: str,
    path: str,
    *,
    fields: Mapping[str, Field] | None = None,
    permission: Permission | None,
    proxy_node: bool | None = None,
    protected: bool = False,
    allow_token: bool = True,
) -> Callable[[AnyHandler], AnyHandler]:
    """Register a handler. Path parameters need no field of their own (node, vmid, storage, or
    plain text), but one in `fields` takes precedence; `proxy_node` defaults to "has {node}"."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    whole = {name: PATH_FIELDS.get(name, Text()) for name in names} | dict(fields or {})

    def register(handler: AnyHandler) -> AnyHandler:
        proxied = "node" in names if proxy_node is None else proxy_node
        entry = Route(method, path, whole, permission, proxied, protected, allow_token, handler)
        ROUTES.add(entry)
        return handler

    return register
