"""What a cluster is built of: nodes, bridges, storages and the volumes on them."""

from __future__ import annotations

from dataclasses import dataclass, field

GIB = 1024**3


@dataclass(slots=True)
class Bridge:
    """A network interface of a node; `vlan_aware` as in bridge_vlan_aware."""

    name: str
    kind: str = "bridge"
    cidr: str | None = None
    gateway: str | None = None
    ports: str = ""
    vlan_aware: bool = False


@dataclass(slots=True)
class Node:
    """One host. `online` False is a dead node: its VMs are unknown and calls to it end in 595;
    a `silent` one does not even refuse connections.

    `search` and `nameserver` are its resolv.conf, which cloud-init falls back to.
    """

    name: str
    number: int
    ip: str
    cpus: int = 16
    memory: int = 64 * GIB
    root_size: int = 252 * GIB
    version: str = "8.4.1"
    started_at: float = 0.0
    online: bool = True
    silent: bool = False
    fingerprint: str = ""
    search: str = "example.invalid"
    nameserver: str = "192.0.2.53"
    bridges: list[Bridge] = field(default_factory=list)


@dataclass(slots=True)
class Storage:
    """One entry of storage.cfg. `nodes` None means on all; `size` is the bytes of each copy.

    `full` is a fault hook: nothing can be allocated any more.
    """

    name: str
    kind: str
    content: list[str]
    size: int
    shared: bool = False
    nodes: list[str] | None = None
    used: int = 0
    options: dict[str, str] = field(default_factory=dict)
    full: bool = False

    @property
    def path(self) -> str | None:
        """Where a file storage is mounted; None for one that keeps blocks."""
        mounted = f"/mnt/pve/{self.name}" if self.kind in ("nfs", "cifs", "cephfs") else None
        return self.options.get("path", mounted)

    @property
    def disabled(self) -> bool:
        return self.options.get("disable") == "1"

    def on(self, node: str) -> bool:
        """Whether the storage is meant for the node; it may be disabled all the same."""
        return self.nodes is None or node in self.nodes


@dataclass(slots=True)
class Volume:
    """A disk image, ISO, snippet or backup. `node` is "" on shared storages.

    `volid` is the whole id (`local:110/vm-110-disk-0.qcow2`), `size` the virtual size and `used`
    the allocated bytes, `parent` the volid of the base of a linked clone. `virtual` is what an
    import file unpacks to, since its listing shows the size of the file. `verification` is what a
    backup server said of a backup: `ok`, `failed`, or empty where it was not asked.
    """

    volid: str
    node: str
    content: str
    format: str
    size: int
    vmid: int | None = None
    used: int = 0
    ctime: int = 0
    parent: str | None = None
    notes: str | None = None
    protected: bool = False
    verification: str = ""
    snapshots: list[str] = field(default_factory=list)
    virtual: int = 0

    @property
    def storage(self) -> str:
        return self.volid.partition(":")[0]

    @property
    def name(self) -> str:
        return self.volid.partition(":")[2]
