"""How a new VM can come to each node: made there, cloned across, or migrated there afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from desired.spec import VMSpec
from reconciler.allocation.terrain import Terrain
from state.conf import VMConfig
from state.drive import Drive
from state.observed import VMRow

LINKS_ARE_FREE = frozenset({"", "lvmthin", "rbd", "lvm"})
"""Kinds of storage whose linked clones bear no base in their name; of others none is migrated."""


class Path(StrEnum):
    """What is done so that a VM is on a node, in words."""

    CLONE = "clone"
    ACROSS = "clone across"
    MIGRATE = "clone, then migrate"
    CREATE = "create from the image"
    MOVE = "migrate"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a node: from a template's row or an image's volume, landing on `landing` first.

    `storages` says which local storages are carried along, and where each goes on the node.
    """

    path: Path
    landing: str
    row: VMRow | None = None
    image: str | None = None
    storages: Mapping[str, str] = field(default_factory=dict)

    @property
    def target_storages(self) -> str:
        """The parameter `targetstorage`; empty where all have the same names there."""
        if all(source == target for source, target in self.storages.items()):
            return ""
        return ",".join(f"{one}:{other}" for one, other in sorted(self.storages.items()))


@dataclass(frozen=True, slots=True)
class Ways:
    """The best way to each node that there is one to, and why there is none to others."""

    to: Mapping[str, Way]
    closed: Mapping[str, str]


def ways(spec: VMSpec, usable: list[VMRow], images: tuple[str, ...], terrain: Terrain) -> Ways:
    """Return how the VM can come to each node; its own copy comes before a far one.

    A far node needs every storage shared and available there, or a migration (DEP-13, DEP-15).
    """
    found: dict[str, Way] = {}
    closed: dict[str, str] = {}
    for volume in images:
        for node in sorted(terrain.image_nodes(volume)):
            found.setdefault(node, Way(Path.CREATE, node, image=volume))
    rows = sorted(usable, key=lambda row: row.vmid)
    for row in rows:
        found.setdefault(row.node, Way(Path.CLONE, row.node, row))
    for row in rows:
        for node in terrain.view.nodes:
            if node not in found and _across(spec, row, node, terrain):
                found[node] = Way(Path.ACROSS, node, row)
    for row in rows:
        for node in terrain.view.nodes:
            if node not in found:
                way = _afterwards(spec, row, node, terrain)
                if isinstance(way, Way):
                    found[node] = way
                    closed.pop(node, None)
                else:
                    closed.setdefault(node, way)
    missing = {name: f"no image {', '.join(images)} is there" for name in terrain.view.nodes}
    return Ways(found, closed if rows else missing)


def _across(spec: VMSpec, row: VMRow, node: str, terrain: Terrain) -> bool:
    """Whether the clone call may name the node as its target."""
    config = terrain.inside(row)
    if config is None:
        return False
    needed = {drive.storage for drive in config.drives.values() if drive.storage}
    if spec.clone == "full" and spec.storage:
        needed.add(spec.storage)
    return all(
        terrain.shared(storage) and terrain.lack(storage, node) is None for storage in needed
    )


def _afterwards(spec: VMSpec, row: VMRow, node: str, terrain: Terrain) -> Way | str:
    """A migration of the clone before its start, or why that cannot be."""
    config = terrain.inside(row)
    if not terrain.rules.post_clone_migration:
        return f"its template is on {row.node}, and post_clone_migration is off"
    if config is None:
        return f"its template on {row.node} was not read yet"
    full = spec.storage if spec.clone == "full" else None
    if full and (lack := terrain.lack(full, row.node)):
        return f"its template is on {row.node}: {lack}"
    if spec.clone == "linked" and (bound := _bound(config, terrain)):
        return f"a linked clone on {bound} cannot leave {row.node}; `clone: full` can"
    drives = [(drive, full or drive.storage or "") for drive in config.drives.values()]
    carried = carry(drives, node, terrain)
    if isinstance(carried, str):
        return carried
    return Way(Path.MIGRATE, row.node, row, storages=carried)


def _bound(config: VMConfig, terrain: Terrain) -> str | None:
    """A local storage whose linked clones cannot be migrated, as Proxmox names them by their base
    (qemu-server PVE/QemuMigrate.pm)."""
    for drive in config.disks.values():
        rows = terrain.storages.get(drive.storage or "", {})
        kinds = {row.kind for row in rows.values() if not row.shared}
        if kinds - LINKS_ARE_FREE:
            return drive.storage
    return None


def _stand_in(storage: str, node: str, terrain: Terrain) -> str | None:
    """The first that `storage_map` names for a storage and that the node has."""
    for one in terrain.rules.storage_map.get(storage, ()):
        if one in terrain.storages and terrain.lack(one, node) is None:
            return one
    return None


def carry(drives: list[tuple[Drive, str]], node: str, terrain: Terrain) -> Mapping[str, str] | str:
    """Return where each local storage of these drives goes on a node, or why one cannot (CI-06).

    A drive comes with the storage that it is on. The first in `storage_map` that the node has
    stands in for one that it has not.
    """
    carried: dict[str, str] = {}
    for drive, storage in drives:
        if not drive.storage:
            continue
        if drive.cdrom and not drive.cloudinit:
            if not terrain.shared(drive.storage):
                return f"the image {drive.volume} in its CD-ROM drive is on one node only"
            continue
        lack = terrain.lack(storage, node)
        if terrain.shared(storage):
            if lack:
                return lack
            continue
        stand_in = _stand_in(storage, node, terrain)
        if lack and stand_in is None:
            return f"{lack}, and `storage_map` names none there that stands in for it"
        carried[storage] = storage if lack is None else stand_in or storage
    return carried
