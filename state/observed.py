"""The observed world: what Proxmox answered, typed; and what one diff gets to see of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from state.conf import VMConfig
from state.memory import Memory
from state.secret import Secret

UNFINISHED = frozenset({"clone", "create"})
"""Locks of a VM that is being made: what its config says is not its own yet."""


@dataclass(frozen=True, slots=True)
class VMRow:
    """A VM in `/cluster/resources`: sizes in bytes, uptime in seconds."""

    vmid: int
    node: str
    status: str = "unknown"
    name: str | None = None
    template: bool = False
    lock: str | None = None
    tags: tuple[str, ...] = ()
    pool: str | None = None
    hastate: str | None = None
    uptime: int = 0
    maxcpu: float = 0
    maxmem: int = 0
    maxdisk: int = 0
    mem: int = 0
    netin: int = 0
    netout: int = 0


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node in `/cluster/resources`; in HA's maintenance it may be online all the same."""

    node: str
    online: bool
    maxcpu: float = 0
    mem: int = 0
    maxmem: int = 0
    hastate: str | None = None
    ip: str | None = None

    @property
    def takes_vms(self) -> bool:
        """Whether a new VM may be put there."""
        return self.online and self.hastate != "maintenance"


@dataclass(frozen=True, slots=True)
class StorageRow:
    """A storage on one node in `/cluster/resources`; bytes."""

    storage: str
    node: str
    kind: str = ""
    shared: bool = False
    content: frozenset[str] = frozenset()
    used: int = 0
    total: int = 0
    available: bool = True


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task in `/cluster/tasks`; running while it has no `status`."""

    upid: str
    node: str
    kind: str
    id: str
    user: str
    starttime: int
    endtime: int | None = None
    status: str | None = None

    @property
    def running(self) -> bool:
        return self.endtime is None


@dataclass(frozen=True, slots=True)
class HAResource:
    """A VM in `/cluster/ha/resources`; `state` is what was asked for, not what is."""

    vmid: int
    state: str = "started"
    group: str | None = None
    max_restart: int = 1
    max_relocate: int = 1


@dataclass(frozen=True, slots=True)
class ClusterView:
    """One cluster at one moment, from the constant reads.

    `release` is what preflight learned, such as (8, 4); `ha` are the HA resources by vmid, None
    when they were not read. `problem` says why nothing may be written (no quorum, unreachable,
    unknown version); then the rest may be empty and every VM of the cluster is Unknown. It is
    `passing` when another look may well succeed.
    """

    name: str
    at: datetime
    nodes: Mapping[str, NodeRow] = field(default_factory=dict)
    vms: Mapping[int, VMRow] = field(default_factory=dict)
    storages: tuple[StorageRow, ...] = ()
    tasks: tuple[TaskRow, ...] = ()
    firewall_enabled: bool | None = None
    problem: str | None = None
    passing: bool = False
    release: tuple[int, int] | None = None
    ha: Mapping[int, HAResource] | None = None


@dataclass(frozen=True, slots=True)
class SeenConfig:
    """A VM's config, two views from one `GET …/pending`.

    `wanted` has pending values laid over the current ones, `live` is what the file's main section
    holds; `pending` names the keys that differ between them; `digest` is Proxmox's (SHA-1).
    """

    wanted: VMConfig
    live: VMConfig
    pending: frozenset[str] = frozenset()
    digest: str = ""
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SeenHolder:
    """A VM that is said to hold disks for another one; no config: it was not to be read."""

    row: VMRow
    config: VMConfig | None = None


@dataclass(frozen=True, slots=True)
class SeenRule:
    """A firewall rule at its position, its fields as Proxmox writes them."""

    pos: int
    fields: Mapping[str, str]

    @property
    def comment(self) -> str:
        return self.fields.get("comment", "")


@dataclass(frozen=True, slots=True)
class SeenFirewall:
    """A VM's firewall: options as text, rules by position, sets by name -> sorted CIDRs."""

    options: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[SeenRule, ...] = ()
    ipsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    read_at: datetime | None = None


class Presence(StrEnum):
    """Whether a VM is there. Anything short of proof is UNKNOWN: such a VM is not touched."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SeenVM:
    """All that a diff gets to see of one VM: its part of the world, its memory, the time.

    `reason` explains UNKNOWN, which is `passing` when a look or two will end it. `status` is the
    row's. `secrets` holds what the spec refers to or the store generated, by use
    (`password`). `store` is the store's id (for the marker), `fleet` the fleet's name. `holders`
    are the VMs, by vmid, from which disks of this one are to come, or came.
    """

    key: str
    at: datetime
    cluster: ClusterView
    memory: Memory = field(default_factory=Memory)
    presence: Presence = Presence.UNKNOWN
    reason: str = ""
    passing: bool = False
    row: VMRow | None = None
    config: SeenConfig | None = None
    firewall: SeenFirewall | None = None
    status: str = "unknown"
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    store: str = ""
    fleet: str = ""
    holders: Mapping[int, SeenHolder] = field(default_factory=dict)

    @property
    def node(self) -> str:
        """The node that the VM is on, or that it is to be created on."""
        if self.row:
            return self.row.node
        return (self.memory.binding and self.memory.binding.node) or ""

    @property
    def boot_instant(self) -> datetime | None:
        """`at - uptime` of a running VM: it moves when the VM was restarted."""
        if self.row and self.row.status == "running":
            return self.at - timedelta(seconds=self.row.uptime)
        return None
