"""What the HA stack knows: resources.cfg, groups.cfg, rules.cfg and the managers' own state.

Sources: pve-ha-manager PVE/HA/{Config,Manager,LRM,NodeStatus}.pm.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.sim.world import World

ROOM = "ha"


@dataclass(slots=True)
class Resource:
    """One section of resources.cfg. `state` is what was asked for; None means `started`."""

    state: str | None = None
    group: str | None = None
    max_restart: int | None = None
    max_relocate: int | None = None
    failback: int | None = None
    comment: str | None = None

    @property
    def wanted(self) -> str:
        """The requested state; `enabled` is an older word for `started`."""
        return "started" if self.state in (None, "enabled") else str(self.state)

    def restarts(self, default: int) -> int:
        return default if self.max_restart is None else self.max_restart

    def relocations(self, default: int) -> int:
        return default if self.max_relocate is None else self.max_relocate


@dataclass(slots=True)
class Group:
    """One section of groups.cfg; `nodes` is the text given, such as `pve1:2,pve2`."""

    nodes: str
    restricted: int | None = None
    nofailback: int | None = None
    comment: str | None = None


@dataclass(slots=True)
class Rule:
    """One section of rules.cfg (from 9.0 on)."""

    kind: str
    resources: str
    nodes: str | None = None
    strict: int | None = None
    affinity: str | None = None
    disable: int | None = None
    comment: str | None = None


@dataclass(slots=True)
class Service:
    """The manager's view of one resource. `target` is where it is being moved to, `task` the
    local resource manager's worker, `failed_nodes` where its start failed,
    `home` where it was before its node went into maintenance."""

    state: str
    node: str
    target: str | None = None
    online: bool = False
    timeout: int | None = None
    task: str | None = None
    failures: int = 0
    relocations: int = 0
    failed_nodes: list[str] = field(default_factory=list)
    home: str | None = None
    tried: bool = False
    settled: bool = False


@dataclass(slots=True)
class Order:
    """A command for the manager that waits for its next round, such as a migration."""

    verb: str
    sid: str
    target: str | None = None
    timeout: int | None = None


@dataclass(slots=True)
class Book:
    """Everything of the HA stack. `next_round` is the world time of the managers' next round, 0
    while nothing needs one; `lost` when each dead node was first missed. `resting` means that the
    managers' services do not run: resources and orders are written down and nothing comes of it."""

    resources: dict[str, Resource] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    maintenance: list[str] = field(default_factory=list)
    lost: dict[str, float] = field(default_factory=dict)
    next_round: float = 0.0
    master: str | None = None
    resting: bool = False


def book(world: World) -> Book:
    """The HA stack's state of this world."""
    return world.room(ROOM, Book)


def sid_of(vmid: int) -> str:
    return f"vm:{vmid}"


def vmid_of(sid: str) -> int:
    return int(sid.partition(":")[2])


def managed(world: World, vmid: int) -> bool:
    """Whether power and migration calls for the VM go to the HA manager."""
    resource = book(world).resources.get(sid_of(vmid))
    return resource is not None and resource.wanted != "ignored"


def digest(entries: dict[str, Resource] | dict[str, Group] | dict[str, Rule]) -> str:
    """SHA-1 of one of the three files."""
    rows = {name: asdict(entry) for name, entry in entries.items()}
    return hashlib.sha1(json.dumps(rows, sort_keys=True).encode()).hexdigest()
