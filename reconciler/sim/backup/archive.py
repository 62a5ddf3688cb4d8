"""Backup archives: their names, what is inside them, how large they are and how long they take.

The listed file is a Volume; what it holds is kept on the room's own shelf beside it.
Sources: pve-storage PVE/Storage.pm (archive_info), qemu-server PVE/VZDump/QemuServer.pm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reconciler.sim.cluster.inventory import Storage, Volume
from reconciler.sim.errors import failed
from reconciler.sim.parameters.drives import DRIVE_KEY, Drive, drives_of
from reconciler.sim.parameters.volnames import file_path, split_volid
from reconciler.sim.vm.machine import Machine, Section
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

MIB = 1 << 20
ROOM = "backup"
NAME = re.compile(
    r"vzdump-(lxc|openvz|qemu)-(\d+)-(\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d)"
    r"\.(tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2))?)\Z"
)
SNAPSHOT = re.compile(r"backup/(vm|ct|host)/(\d+)/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\Z")
GROUPS = {"vm": "qemu", "ct": "lxc", "host": "host"}
STAMP = "%Y_%m_%d-%H_%M_%S"
SUFFIXES = {"0": "", "1": ".lzo", "lzo": ".lzo", "gzip": ".gz", "zstd": ".zst"}
SHRINKS = {"": 1.0, ".lzo": 0.6, ".gz": 0.5, ".zst": 0.45}
HEADER = 20480
"""Bytes of an archive without any disk."""

READ_SPEED = 400 * MIB
SPARSE_SPEED = 8192 * MIB
"""Bytes a second of the cluster's time: written data, and zeros that are skipped."""


@dataclass(slots=True)
class Disk:
    """One drive inside an archive: sizes in bytes, `used` is what was really written."""

    key: str
    device: str
    storage: str
    format: str
    size: int
    used: int


@dataclass(slots=True)
class Archive:
    """What an archive holds: the main section of the config, its disks, the firewall file."""

    vmid: int
    node: str
    config: dict[str, str | int]
    disks: list[Disk]
    firewall: Any = None


@dataclass(slots=True)
class Shelf:
    """What this room keeps: archives by place and volid, cluster jobs by id in their order, the
    event each job ran for last, and who holds each node's global lock."""

    archives: dict[str, Archive] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)


def shelf(world: World) -> Shelf:
    return world.room(ROOM, Shelf)


def stamp(at: float) -> str:
    """The date in a file's name; the simulated nodes live in UTC."""
    return datetime.fromtimestamp(int(at), UTC).strftime(STAMP)


def volume_name(store: Storage, vmid: int, at: float, compress: str) -> str:
    """`backup/vzdump-qemu-100-DATE.vma.zst`, or a snapshot of a backup server."""
    if store.kind == "pbs":
        moment = datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"backup/vm/{vmid}/{moment}"
    return f"backup/vzdump-qemu-{vmid}-{stamp(at)}.vma{SUFFIXES[compress]}"


@dataclass(frozen=True, slots=True)
class Label:
    """What an archive's name tells; a renamed file has no guest and no date of its own."""

    kind: str = "unknown"
    vmid: int | None = None
    ctime: int | None = None


def label(name: str) -> Label:
    """Read the volume name of a backup."""
    snapshot = SNAPSHOT.match(name)
    if snapshot is not None:
        at = datetime.strptime(snapshot[3], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        return Label(GROUPS[snapshot[1]], int(snapshot[2]), int(at.timestamp()))
    found = NAME.match(name.rpartition("/")[2])
    if found is None:
        return Label()
    at = datetime.strptime(found[3], STAMP).replace(tzinfo=UTC)
    return Label(found[1], int(found[2]), int(at.timestamp()))


def put(world: World, volume: Volume, archive: Archive) -> None:
    world.volumes[volume.node, volume.volid] = volume
    shelf(world).archives[_key(volume)] = archive


def _key(volume: Volume) -> str:
    return f"{volume.node}|{volume.volid}"


def contents(world: World, volume: Volume) -> Archive | None:
    """What is inside; None for a file that only bears the name of a backup."""
    return shelf(world).archives.get(_key(volume))


def drop(world: World, node: str, volid: str) -> None:
    """Erase an archive; one that is already gone is no error."""
    volume = world.volume(node, volid)
    if volume is not None:
        del world.volumes[volume.node, volume.volid]
        shelf(world).archives.pop(_key(volume), None)


def find(world: World, node: str, name: str) -> Volume:
    """An archive by volume id, or by its path on the node. Raises 500 in Proxmox's words."""
    if split_volid(name) is not None:
        return storage.existing(world, node, name)
    for (place, _volid), volume in world.volumes.items():
        if place not in ("", node) or volume.content != "backup":
            continue
        if path_of(world, volume) == name:
            return volume
    raise failed(f"can't find file '{name}'\n")


def path_of(world: World, volume: Volume) -> str:
    """Where the node finds the volume."""
    store = storage.storage_of(world, volume.storage)
    if store.kind == "pbs":
        user, server = store.options.get("username", "root@pam"), store.options.get("server", "")
        place = f"{user}@{server}:{store.options.get('datastore', '')}"
        return f"pbs://{place}/{volume.name.removeprefix('backup/')}"
    return file_path(store, volume.name)


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether a backup takes a drive, and Proxmox's reason (PVE::QemuConfig)."""

    drive: Drive
    included: bool
    reason: str


def bus_order(key: str) -> tuple[int, int]:
    """The order in which Proxmox goes through the drives of a VM."""
    buses = ("ide", "scsi", "virtio", "sata", "efidisk", "tpmstate")
    found = DRIVE_KEY.match(key)
    return (buses.index(found[1]), int(found[2])) if found is not None else (len(buses), 0)


def choices(config: Section) -> list[Choice]:
    """Every disk of a VM; CD-ROMs are none."""
    found = []
    for drive in sorted(drives_of(config), key=lambda one: bus_order(one.key)):
        if drive.is_cdrom:
            continue
        wish = drive.options.get("backup")
        reason = "backup=yes" if wish is None else "backup=no"
        taken = wish != "0"
        if drive.key.startswith("efidisk") and config.get("bios") != "ovmf":
            taken, reason = False, "efidisk but no OMVF BIOS"
        found.append(Choice(drive, taken, reason))
    return found


def pack(world: World, machine: Machine, drives: Iterable[Drive]) -> Archive:
    """The archive of a VM as it is now. Raises 500 when a disk is missing."""
    disks = []
    for drive in sorted(drives, key=lambda one: one.key):
        volume = storage.existing(world, machine.node, drive.file)
        device = "drive-tpmstate0-backup" if drive.key == "tpmstate0" else f"drive-{drive.key}"
        base = world.volume(machine.node, volume.parent) if volume.parent else None
        written = min(volume.used + (base.used if base is not None else 0), volume.size)
        disks.append(Disk(drive.key, device, volume.storage, volume.format, volume.size, written))
    kept = {
        key: value
        for key, value in machine.config.items()
        if key not in ("lock", "parent") and not key.startswith("unused")
    }
    firewall = deepcopy(world.firewall.get(str(machine.vmid)))
    return Archive(machine.vmid, machine.node, kept, disks, firewall)


def text_of(archive: Archive) -> str:
    """The config as it lies in the archive: GET vzdump/extractconfig."""
    plain = Machine(archive.vmid, archive.node, config=dict(archive.config)).render()
    hints = [
        f"#qmdump#map:{one.key}:{one.device}:{one.storage}:{one.format}:\n" for one in archive.disks
    ]
    return plain + "".join(hints)


def file_size(archive: Archive, compress: str) -> int:
    """Bytes of the file: what was written on the disks, packed."""
    return HEADER + int(sum(one.used for one in archive.disks) * SHRINKS[SUFFIXES[compress]])


def copy_seconds(archive: Archive, limit: int = 0) -> float:
    """How long all disks take, in the cluster's time; `limit` in KiB/s, 0 for none."""
    written = sum(one.used for one in archive.disks)
    sparse = sum(one.size for one in archive.disks) - written
    speed = min(READ_SPEED, limit * 1024) if limit else READ_SPEED
    return 1.0 + written / speed + sparse / SPARSE_SPEED
