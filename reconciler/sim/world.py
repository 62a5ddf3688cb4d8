"""The whole state of a simulated cluster as plain values, and its clock.

Nothing here reads a wall clock, a file or a socket: `advance` is told the time. `speed` divides
every duration of the cluster (tasks, broadcasts), never the time stamps or lock waits.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import msgspec

from reconciler.sim.accounts.access import Access, Grant, Group, Pool, Token, User
from reconciler.sim.cluster import broadcast
from reconciler.sim.cluster.inventory import Bridge, Node, Storage, Volume
from reconciler.sim.cluster.tasks import Task, Tasks
from reconciler.sim.vm.machine import Machine

Room = TypeVar("Room")

LOG_KEPT = 500
"""Entries of the cluster log; Proxmox keeps 128 KiB, about as many."""


@dataclass(slots=True)
class LogEntry:
    """One line of the cluster log; `pri` is the syslog priority (6 = info)."""

    uid: int
    time: int
    node: str
    user: str
    tag: str
    pid: int
    pri: int
    msg: str


def no_hook(task: Task) -> None:
    """What happens to a new task when no fault is set: nothing."""


@dataclass(slots=True)
class World:
    """A cluster. `now` is the epoch time of the call or step at work, `booted` that of its start.

    `volumes` is keyed by (node, volid), with node "" on shared storages. `firewall` belongs to the
    firewall modules and holds only JSON values. `revision` grows with every change.
    """

    name: str | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)
    volumes: dict[tuple[str, str], Volume] = field(default_factory=dict)
    vms: dict[int, Machine] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    access: Access = field(default_factory=Access)
    firewall: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    logbook: list[LogEntry] = field(default_factory=list)
    next_uid: int = 1
    now: float = 0.0
    booted: float = 0.0
    speed: float = 1.0
    seed: int = 0
    quorate: bool = True
    secret: str = ""
    rng: random.Random = field(default_factory=random.Random)
    revision: int = 0
    seen: dict[int, dict[str, Any]] = field(default_factory=dict)
    seen_at: float = 0.0
    seen_revision: int = -1
    task_hook: Callable[[Task], None] = no_hook
    rooms: dict[str, Any] = field(default_factory=dict)
    tasks: Tasks = field(init=False)

    def __post_init__(self) -> None:
        self.tasks = Tasks(self)
        self.rng.seed(self.seed)

    # ------------------------------------------------------------------ the clock

    def advance(self, now: float) -> None:
        """Let the cluster live until `now`: due steps run in the order of their due times, each
        seeing its own due time as `now`. The clock never goes back."""
        while (due := self.tasks.due()) is not None and due <= now:
            self.now = max(self.now, due)
            self.touch()
            self.tasks.advance_one()
        self.now = max(self.now, now)

    def touch(self) -> None:
        """Announce a change that is about to happen."""
        broadcast.catch_up(self)
        self.revision += 1

    # ------------------------------------------------------------------ finding things

    def vm(self, vmid: int, node: str | None = None) -> Machine | None:
        """The VM, if it exists (on that node)."""
        machine = self.vms.get(vmid)
        if machine is None or (node is not None and machine.node != node):
            return None
        return machine

    def volume(self, node: str, volid: str) -> Volume | None:
        """A volume as seen from a node."""
        return self.volumes.get((node, volid)) or self.volumes.get(("", volid))

    def storage_volumes(self, node: str, storage: str) -> list[Volume]:
        """Everything on a storage, as seen from a node."""
        return [
            volume
            for (place, _), volume in self.volumes.items()
            if place in ("", node) and volume.storage == storage
        ]

    def pool_of(self, vmid: int) -> str | None:
        return next((name for name, pool in self.pools.items() if vmid in pool.vms), None)

    def room(self, name: str, form: type[Room]) -> Room:
        """What a part of the cluster keeps for itself: a dataclass of plain values that is made
        when first asked for, and is saved with the world without being known here."""
        held = self.rooms.get(name)
        if isinstance(held, form):
            return held
        made = form() if held is None else msgspec.convert(held, form)
        self.rooms[name] = made
        return made

    # ------------------------------------------------------------------ making things

    def new_mac(self) -> str:
        """A random MAC address under the datacenter's prefix."""
        prefix = str(self.options.get("mac_prefix", "BC:24:11"))
        rest = [f"{self.rng.randrange(256):02X}" for _ in range(6 - len(prefix.split(":")))]
        return ":".join([prefix, *rest])

    def new_uuid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def log(self, node: str, user: str, tag: str, text: str, pri: int = 6) -> None:
        """Add to the cluster log, as PVE::Cluster::log_msg does."""
        self.logbook.append(
            LogEntry(self.next_uid, int(self.now), node, user, tag, 1000, pri, text[:4096])
        )
        self.next_uid += 1
        if len(self.logbook) > LOG_KEPT:
            del self.logbook[: len(self.logbook) - LOG_KEPT]

    # ------------------------------------------------------------------ saving

    def dump(self) -> dict[str, Any]:
        """The whole world as JSON values, tasks in flight included."""
        access = self.access
        return {
            "name": self.name,
            "nodes": [asdict(one) for one in self.nodes.values()],
            "storages": [asdict(one) for one in self.storages.values()],
            "volumes": [asdict(one) for one in self.volumes.values()],
            "vms": [one.dump() for one in self.vms.values()],
            "pools": {name: asdict(one) for name, one in self.pools.items()},
            "access": {
                "users": {name: asdict(one) for name, one in access.users.items()},
                "groups": {name: asdict(one) for name, one in access.groups.items()},
                "roles": access.roles,
                "grants": [asdict(one) for one in access.grants],
            },
            "firewall": self.firewall,
            "options": self.options,
            "logbook": [asdict(one) for one in self.logbook],
            "next_uid": self.next_uid,
            "now": self.now,
            "booted": self.booted,
            "speed": self.speed,
            "seed": self.seed,
            "quorate": self.quorate,
            "secret": self.secret,
            "rng": _rng_dump(self.rng),
            "seen": {str(vmid): row for vmid, row in self.seen.items()},
            "seen_at": self.seen_at,
            "rooms": {name: msgspec.to_builtins(held) for name, held in self.rooms.items()},
            "tasks": self.tasks.dump(),
        }

    @classmethod
    def load(cls, saved: dict[str, Any]) -> World:
        """A world from its dump; its tasks go on when it is advanced."""
        plain = ("name", "firewall", "options", "next_uid", "now", "booted", "speed", "seed")
        world = cls(**{key: saved[key] for key in (*plain, "quorate", "secret", "seen_at")})
        for row in saved["nodes"]:
            bridges = [Bridge(**one) for one in row["bridges"]]
            world.nodes[row["name"]] = Node(**(row | {"bridges": bridges}))
        world.storages = {row["name"]: Storage(**row) for row in saved["storages"]}
        for row in saved["volumes"]:
            world.volumes[row["node"], row["volid"]] = Volume(**row)
        for row in saved["vms"]:
            machine = Machine.load(row)
            world.vms[machine.vmid] = machine
        world.pools = {name: Pool(**row) for name, row in saved["pools"].items()}
        world.access = _load_access(saved["access"])
        world.logbook = [LogEntry(**row) for row in saved["logbook"]]
        world.seen = {int(vmid): row for vmid, row in saved["seen"].items()}
        version, words, gauss = saved["rng"]
        world.rng.setstate((version, tuple(words), gauss))
        world.rooms = dict(saved.get("rooms", {}))
        world.tasks.load(saved["tasks"])
        return world


def _rng_dump(rng: random.Random) -> list[Any]:
    version, words, gauss = rng.getstate()
    return [version, list(words), gauss]


def _load_access(saved: dict[str, Any]) -> Access:
    users = {}
    for name, row in saved["users"].items():
        tokens = {key: Token(**one) for key, one in row["tokens"].items()}
        users[name] = User(**(row | {"tokens": tokens}))
    return Access(
        users=users,
        groups={name: Group(**row) for name, row in saved["groups"].items()},
        roles={name: list(privileges) for name, privileges in saved["roles"].items()},
        grants=[Grant(**row) for row in saved["grants"]],
    )
