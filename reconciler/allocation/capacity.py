"""What the nodes of one cluster have left: RAM, CPUs, storages, and who is where already.

Observed, less what this look has promised, less what the cluster's own figures do not show yet.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from desired.catalog import PlacementRules
from desired.spec import VMSpec
from state.memory import Binding
from state.observed import ClusterView, StorageRow

YOUNG = 600
"""Seconds in which a guest that was started may not have touched all its memory yet."""

THICK = frozenset({"lvm", "zfspool", "iscsi", "iscsidirect"})
"""Kinds of storage on which a disk takes its whole size at once; the others are thin."""

Needs = Mapping[str, int]
"""Bytes that are needed of each storage."""


@dataclass(slots=True)
class Capacity:
    """Free RAM (bytes) and CPUs promised, by node; free bytes by storage and node.

    Storages that nodes share are counted once, under the node ''; `rows` are those that say how
    large they are. `groups` says where the VMs of each anti-affinity group are, `ours` how many
    VMs of the fleet a node has.
    """

    rules: PlacementRules = field(default_factory=PlacementRules)
    ram: dict[str, int] = field(default_factory=dict)
    cpus: dict[str, float] = field(default_factory=dict)
    space: dict[tuple[str, str], int] = field(default_factory=dict)
    rows: dict[tuple[str, str], StorageRow] = field(default_factory=dict)
    ours: Counter[str] = field(default_factory=Counter)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, view: ClusterView, rules: PlacementRules | None = None) -> "Capacity":
        """Return what the cluster's own figures show, less what young guests will still take."""
        found = cls(rules or PlacementRules())
        for node in view.nodes.values():
            found.ram[node.node] = node.maxmem - node.mem
        for row in view.vms.values():
            if row.status == "running":
                found._take_cpus(row.node, row.maxcpu)
                if row.uptime < YOUNG and row.node in found.ram:
                    found.ram[row.node] -= max(0, row.maxmem - row.mem)
        for one in view.storages:
            key = _key(one)
            if one.total:
                found.rows[one.storage, one.node] = one
                found.space[key] = min(one.total - one.used, found.space.get(key, one.total))
        return found

    def expect(
        self, view: ClusterView, binding: Binding, spec: VMSpec | None, target: str | None = None
    ) -> None:
        """Count a VM that was cloned and does not run yet: no node's own figure shows it.

        One that is not there at all is placed anew by this look.
        """
        row = view.vms.get(binding.vmid)
        if row is None or row.status == "running":
            return
        node = target or binding.node or row.node
        self.ram[node] = self.ram.get(node, 0) - ((spec and spec.memory) or row.maxmem)
        self._take_cpus(node, cpus_of(spec, row.maxcpu) if spec else row.maxcpu)
        for disk in spec.disks.values() if spec else ():
            storage = disk.storage or (spec and spec.storage) or ""
            self._take_space(node, {storage: disk.size or 0})

    def _take_space(self, node: str, needs: Needs) -> None:
        for storage, size in needs.items():
            row = self.rows.get((storage, node))
            if row is not None:
                self.space[_key(row)] -= self.counted(row, size)

    def _take_cpus(self, node: str, cpus: float) -> None:
        self.cpus[node] = self.cpus.get(node, 0) + cpus

    def know(self, key: str, spec: VMSpec, node: str) -> None:
        """Count a VM of the fleet where it is, or is to be."""
        self.ours[node] += 1
        if spec.anti_affinity:
            self.groups.setdefault(spec.anti_affinity, {})[key] = node

    def place(self, spec: VMSpec, node: str, needs: Needs) -> None:
        """Promise a VM's RAM, CPUs and disks to a node."""
        self.ram[node] = self.ram.get(node, 0) - (spec.memory or 0)
        self._take_cpus(node, cpus_of(spec))
        self._take_space(node, needs)
        self.know(spec.key, spec, node)

    def mates(self, spec: VMSpec, node: str) -> tuple[str, ...]:
        """The other VMs of the spec's anti-affinity group on a node."""
        group = self.groups.get(spec.anti_affinity or "", {})
        return tuple(key for key, on in sorted(group.items()) if on == node and key != spec.key)

    def free(self, row: StorageRow) -> int | None:
        """Bytes left on a storage; None when it does not say how large it is."""
        return self.space.get(_key(row))

    def counted(self, row: StorageRow, size: int) -> int:
        """The bytes that a disk counts for: thin storage may be promised more than once."""
        return size if row.kind in THICK else int(size / self.rules.thin_overcommit)


def _key(row: StorageRow) -> tuple[str, str]:
    return (row.storage, "" if row.shared else row.node)


def cpus_of(spec: VMSpec, otherwise: float = 1) -> float:
    """The virtual CPUs of a VM; `otherwise` where its spec does not say."""
    if spec.cpu is None or (spec.cpu.cores is None and spec.cpu.sockets is None):
        return otherwise or 1
    return (spec.cpu.cores or 1) * (spec.cpu.sockets or 1)
