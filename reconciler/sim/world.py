"""The whole state of a simulated cluster as plain values, and its clock.

Nothing here reads a wall clock, a file or a socket: `advance` is told the time. `speed` divides
every duration of the cluster (tasks, broadcasts), never the time stamps or lock waits.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any, TypeVar

from reconciler.sim.accounts.access import Access, Pool
from reconciler.sim.cluster import broadcast
from reconciler.sim.cluster.guests import Guests
from reconciler.sim.cluster.inventory import Node, Storage, Volume
from reconciler.sim.cluster.tasks import LOCK_WAIT, Task, Tasks
from reconciler.sim.faults.fault import Fault
from reconciler.sim.record import DERIVED, recorded, restored
from reconciler.sim.vm.machine import Machine
from reconciler.sim.watch import WATCHERS

FORMAT = 2
"""Of saved worlds; another number is refused."""

Room = TypeVar("Room")

LOG_BYTES = 128 * 1024
"""Size of the cluster log's ring, in which an entry takes 44 bytes and its texts."""


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

    @property
    def size(self) -> int:
        """Bytes in the ring, as pmxcfs lays an entry out (logger.c)."""
        texts = (self.node, self.user, self.tag, self.msg)
        return (44 + sum(len(one.encode()) + 1 for one in texts) + 7) // 8 * 8

    def row(self) -> dict[str, Any]:
        """As GET /cluster/log lists it."""
        found: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return found | {"id": f"{self.uid}:{self.node}"}


def no_hook(task: Task) -> None:
    """What happens to a new task when no fault is set: nothing."""


@dataclass(slots=True)
class World:
    """A cluster. `now` is the epoch time of the call or step at work, `booted` that of its start.

    `volumes` is keyed by (node, volid), with node "" on shared storages. `firewall` belongs to the
    firewall modules and holds only JSON values. `revision` grows with every change. `frozen` has
    the nodes whose broadcasts stand still and since when, `offset` is how far the cluster is ahead
    of this machine's clock, `skew` how wrong the clocks are that the cluster reads (seconds).
    """

    name: str | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)
    volumes: dict[tuple[str, str], Volume] = field(default_factory=dict)
    vms: Guests = field(default_factory=Guests)
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
    rng: random.Random = field(init=False)
    seen: dict[int, dict[str, Any]] = field(default_factory=dict)
    seen_at: float = 0.0
    rooms: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    next_fault: int = 1
    frozen: dict[str, float] = field(default_factory=dict)
    offset: float = 0.0
    skew: float = 0.0
    log_bytes: int = 0
    revision: int = field(default=0, metadata=DERIVED)
    seen_revision: int = field(default=-1, metadata=DERIVED)
    views: dict[Any, tuple[Any, Any]] = field(default_factory=dict, repr=False, metadata=DERIVED)
    lock_wait: float = field(default=LOCK_WAIT, metadata=DERIVED)
    task_hook: Callable[[Task], None] = field(default=no_hook, metadata=DERIVED)
    tasks: Tasks = field(init=False, repr=False, metadata=DERIVED)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.tasks = Tasks(self)

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
        for watcher in WATCHERS:
            watcher(self)

    @property
    def stamp(self) -> int:
        """What the cluster's clocks show; uptimes and durations follow `now`."""
        return int(self.now + self.skew)

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

    @property
    def major(self) -> int:
        """The major version that the cluster's first node runs, 8 or 9."""
        return int(next(iter(self.nodes.values())).version.partition(".")[0])

    def room(self, name: str, form: type[Room]) -> Room:
        """What a part of the cluster keeps for itself: a dataclass of plain values that is made
        when first asked for, and is saved with the world without being known here."""
        held = self.rooms.get(name)
        if isinstance(held, form):
            return held
        made = form() if held is None else restored(form, held)
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
            LogEntry(self.next_uid, self.stamp, node, user, tag, 1000, pri, text[:4096])
        )
        self.next_uid += 1
        self.log_bytes += self.logbook[-1].size
        while self.log_bytes > LOG_BYTES:
            self.log_bytes -= self.logbook.pop(0).size

    # ------------------------------------------------------------------ saving

    def dump(self) -> dict[str, Any]:
        """The whole world as JSON values, tasks in flight included. Every field is in it that is
        not `derived`, so a new room's state is saved without a line here."""
        found: dict[str, Any] = recorded(self)
        used = {name: held for name, held in self.rooms.items() if not is_untouched(held)}
        rooms = {"rooms": recorded(used)}
        return found | rooms | {"format": FORMAT, "tasks": self.tasks.dump()}

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> World:
        """A world from its dump; its tasks go on when it is advanced. ValueError for the dump of
        another version."""
        if saved.get("format") != FORMAT:
            raise ValueError("the saved world is of another version; remove it and begin anew")
        world: World = restored(cls, saved)
        world.tasks.load(saved["tasks"])
        return world


def is_untouched(room: Any) -> bool:
    """Whether a part of the cluster was only looked at: it is as when first made."""
    form: Callable[[], Any] = room.__class__
    return is_dataclass(room) and bool(room == form())
