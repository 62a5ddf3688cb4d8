"""Local volumes of a VM that changes its node: what may be copied, the copies, the new names.

Sources: qemu-server PVE/QemuMigrate.pm (scan_local_volumes), pve-storage PVE/Storage.pm
(storage_migrate, volume_transfer_formats).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reconciler.sim.cluster.inventory import Storage, Volume
from reconciler.sim.errors import Refusal, failed
from reconciler.sim.parameters.drives import is_drive, parse_drive
from reconciler.sim.parameters.volnames import image_name, split_volid
from reconciler.sim.vm.machine import Machine, Section, sections
from reconciler.sim.vm.migration import Reference, StorageMap, references
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

MOVABLE = ("dir", "btrfs", "zfspool", "lvmthin", "lvm")
SCANNING = "Problem found while scanning volumes - "
FOUND = {
    "attached": "(attached)",
    "unused": "(unused)",
    "snapshot": "(referenced by snapshot(s))",
    "pending": "(pending change)",
}


@dataclass(slots=True)
class Scan:
    """What the scan says, the volumes to copy, and why the VM cannot go (None: it can)."""

    lines: list[str] = field(default_factory=list)
    moves: list[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None


def scan(world: World, machine: Machine, places: StorageMap, with_disks: bool) -> Scan:
    """Look at every volume that is only on the VM's node."""
    found, complaints, errors = Scan(), [], {}
    for one in references(machine):
        try:
            kind = _judge(world, machine, one, places)
        except Refusal as refusal:
            errors[one.volid] = refusal.reason.rstrip("\n")
            kind = "attached" if one.attached else None
        if kind == "drive":
            complaints.append("can't migrate local cdrom drive")
        elif kind is not None:
            if kind == "attached" and machine.running and not with_disks:
                errors.setdefault(
                    one.volid,
                    "can't live migrate attached local disks without with-local-disks option",
                )
            found.lines.append(_said(one, kind))
            found.moves.append(_move(world, machine, one, places))
    for volid in sorted(errors):
        found.lines.append(f"can't migrate local disk '{volid}': {errors[volid]}")
    found.lines += complaints
    if errors or complaints:
        found.problem = f"{SCANNING}can't migrate VM - check log"
    else:
        found.problem = _unsupported(world, found.moves)
    return found


def _judge(world: World, machine: Machine, one: Reference, places: StorageMap) -> str | None:
    """How a local volume is referred to; None for what is not local. Raises Refusal."""
    if one.cdrom and one.volid in ("none", "cdrom"):
        return None if one.volid == "none" else "drive"
    parts = split_volid(one.volid)
    if parts is None:
        if one.shared:
            return None
        raise failed("local file/device\n")
    store = storage.enabled_storage(world, parts[0], machine.node)
    if store.shared:
        return None
    if one.cdrom:
        if f"vm-{machine.vmid}-cloudinit" in one.volid:
            return "generated"
        raise failed("local cdrom image\n")
    owner = storage.owner(world, one.volid)
    if owner != machine.vmid:
        raise failed(f"owned by other VM (owner = VM {owner})\n")
    if one.snapshots and not one.vmstate:
        _check_snapshots(world, machine, store, one)
    volume = storage.existing(world, machine.node, one.volid)
    if _linked_to(world, machine.node, volume):
        raise failed("referenced by linked clone(s)\n")
    return _kind(one)


def _kind(one: Reference) -> str:
    if one.tpmstate:
        return "generated"
    if one.attached:
        return "attached"
    if one.unused:
        return "unused"
    return "snapshot" if one.snapshots else "pending"


def _check_snapshots(world: World, machine: Machine, store: Storage, one: Reference) -> None:
    if machine.running:
        raise failed("online storage migration not possible if non-replicated snapshot exists\n")
    volume = storage.existing(world, machine.node, one.volid)
    raw = store.kind == "btrfs" and volume.format == "raw"
    if store.kind != "zfspool" and volume.format != "qcow2" and not raw:
        raise failed("non-migratable snapshot exists\n")


def _linked_to(world: World, node: str, volume: Volume) -> bool:
    if storage.storage_of(world, volume.storage).kind == "lvmthin":
        return False
    volumes = world.storage_volumes(node, volume.storage)
    return any(other.parent == volume.volid for other in volumes)


def _said(one: Reference, kind: str) -> str:
    if kind == "generated":
        return f"found generated disk '{one.volid}' (in current VM config)"
    return f"found local disk '{one.volid}' {FOUND[kind]}"


def _move(world: World, machine: Machine, one: Reference, places: StorageMap) -> dict[str, Any]:
    parts = split_volid(one.volid)
    name = parts[0] if parts is not None else ""
    volume = world.volume(machine.node, one.volid)
    live = machine.running and one.attached and not one.cdrom and not one.tpmstate
    return {
        "volid": one.volid,
        "copy": "",
        "place": places.target(name),
        "live": live,
        "bytes": 0 if volume is None else volume.size if live else max(volume.used, 1),
    }


def _unsupported(world: World, moves: list[dict[str, Any]]) -> str | None:
    for one in moves:
        volid = str(one["volid"])
        store, name = storage.read_volid(world, volid)
        if store.kind not in MOVABLE:
            return f"{SCANNING}can't migrate '{volid}' - storage type '{store.kind}' not supported"
        if name.base is not None:
            base = name.base.rpartition("/")[2]
            where = "/usr/share/perl5/PVE/QemuMigrate.pm line 612."
            return f"{SCANNING}can't migrate '{volid}' as it's a clone of '{base}' at {where}"
    return None


def streams(store: Storage, form: str, sending: bool) -> tuple[str, ...]:
    """The transfer formats of a storage, for a volume of an image format."""
    if store.kind == "zfspool":
        return ("zfs",)
    if store.kind == "btrfs" and form == "raw":
        return ("btrfs", "raw+size")
    if store.path is not None:
        return (f"{form}+size",) if sending else ("raw+size", "qcow2+size", "vmdk+size")
    return ("raw+size",)


def copy_volumes(world: World, machine: Machine, target: str, moves: list[dict[str, Any]]) -> None:
    """Make the volumes on the target; `copy` of each move becomes its volume id there.
    Raises Refusal in Proxmox's words."""
    for one in moves:
        volume = storage.existing(world, machine.node, str(one["volid"]))
        try:
            made = _copy(world, machine, volume, target, str(one["place"]), bool(one["live"]))
        except Refusal as refusal:
            text = refusal.reason.rstrip("\n")
            raise failed(
                f"storage migration for '{volume.volid}' to storage '{one['place']}' "
                f"failed - {text}\n"
            ) from refusal
        one["copy"] = made.volid


def _copy(
    world: World, machine: Machine, volume: Volume, target: str, place: str, live: bool
) -> Volume:
    source = storage.storage_of(world, volume.storage)
    store = storage.enabled_storage(world, place, target)
    fits = set(streams(source, volume.format, True)) & set(streams(store, volume.format, False))
    if not live and not fits:
        raise failed(f"cannot migrate from storage type '{source.kind}' to '{store.kind}'\n")
    form = storage.default_format(store, volume.format)
    if not live and store.path is not None:
        form = sorted(fits)[0].partition("+")[0] if len(fits) == 1 else volume.format
    stem: str | None = file_stem(source, volume)
    wanted = f"{place}:{image_name(store, machine.vmid, file_stem(source, volume), form)}"
    if world.volume(target, wanted) is not None:
        stem = None
    made = storage.allocate(
        world, target, place, machine.vmid, form, volume.size, stem, used=volume.used
    )
    made.snapshots = list(volume.snapshots)
    return made


def file_stem(store: Storage, volume: Volume) -> str:
    """`vm-100-disk-0` of a volume's name."""
    last = volume.name.rpartition("/")[2]
    return last.removesuffix(f".{volume.format}") if store.path is not None else last


def drop_copies(world: World, target: str, moves: list[dict[str, Any]]) -> None:
    for one in moves:
        if one["copy"]:
            storage.free(world, target, str(one["copy"]))


def hand_over(world: World, machine: Machine, target: str, moves: list[dict[str, Any]]) -> None:
    """Erase the originals, rename what the config says of them, change the VM's node."""
    renamed = {str(one["volid"]): str(one["copy"]) for one in moves}
    for volid in renamed:
        volume = world.volume(machine.node, volid)
        if volume is not None:
            del world.volumes[volume.node, volid]
    for _label, section in sections(machine):
        _rename(section, renamed)
    machine.node = target


def _rename(section: Section, renamed: dict[str, str]) -> None:
    for key in sorted(section):
        value = str(section[key])
        if value in renamed:
            section[key] = renamed[value]
        elif is_drive(key):
            drive = parse_drive(key, value)
            if drive is not None and drive.file in renamed:
                section[key] = replace(drive, file=renamed[drive.file]).print()
