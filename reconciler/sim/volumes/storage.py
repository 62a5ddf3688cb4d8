"""Disk images on storages: allocate, free, copy, link to a base, resize, snapshot.

Everything is seen from one node. Errors are Proxmox's words as 500s; inside a task they become
its exitstatus. Sources: pve-storage PVE/Storage.pm and its plug-ins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.cluster.inventory import Storage, Volume
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.parameters.volnames import (
    FILE_FORMATS,
    VolumeName,
    disk_number,
    file_path,
    image_name,
    parse_name,
    split_volid,
)
from reconciler.sim.volumes.kinds import KINDS

if TYPE_CHECKING:
    from reconciler.sim.world import World

MIB = 1 << 20
CLOUDINIT_SIZE = 4 * MIB
EXTENT = 4 * MIB
FRESH = 331776
"""Bytes that a new, empty image takes where space is given out as it is written."""


def storage_of(world: World, name: str) -> Storage:
    """Raises 500 `storage 'X' does not exist`."""
    storage = world.storages.get(name)
    if storage is None:
        raise failed(f"storage '{name}' does not exist\n")
    return storage


def enabled_storage(world: World, name: str, node: str) -> Storage:
    """The same, and it must be there on the node."""
    storage = storage_of(world, name)
    if storage.disabled:
        raise failed(f"storage '{name}' is disabled\n")
    if not storage.on(node):
        raise failed(f"storage '{name}' is not available on node '{node}'\n")
    return storage


def need_images(storage: Storage) -> None:
    """Raise 400 unless the storage takes disk images."""
    if "images" not in storage.content:
        text = f"storage '{storage.name}' does not support vm images"
        raise bad_parameters({"storage": text})


def read_volid(world: World, volid: str) -> tuple[Storage, VolumeName]:
    """Storage and parsed name of a volume id, whether or not the volume exists."""
    parts = split_volid(volid)
    if parts is None:
        raise failed(f"unable to parse volume ID '{volid}'\n")
    storage = storage_of(world, parts[0])
    return storage, parse_name(storage, parts[1])


def existing(world: World, node: str, volid: str) -> Volume:
    """The volume. Raises 500 `volume 'X' does not exist`."""
    storage, _name = read_volid(world, volid)
    enabled_storage(world, storage.name, node)
    volume = world.volume(node, volid)
    if volume is None:
        raise failed(f"volume '{volid}' does not exist\n")
    return volume


def owner(world: World, volid: str) -> int | None:
    """The VM in the volume's name; None for ISOs, paths and unknown storages."""
    parts = split_volid(volid)
    if parts is None or parts[0] not in world.storages:
        return None
    return parse_name(world.storages[parts[0]], parts[1]).vmid


def default_format(storage: Storage, wanted: str | None) -> str:
    """The format of a copy: the wanted one where the storage knows it, else its default."""
    if storage.path is not None and wanted in FILE_FORMATS:
        return wanted
    return storage.options.get("format", "raw") if storage.path is not None else "raw"


def used_bytes(world: World, node: str, storage: Storage) -> int:
    """What is taken of the storage's copy on a node."""
    return storage.used + sum(one.used for one in world.storage_volumes(node, storage.name))


def allocate(
    world: World,
    node: str,
    name: str,
    vmid: int,
    form: str,
    size: int,
    stem: str | None = None,
    used: int = FRESH,
    parent: Volume | None = None,
) -> Volume:
    """A new image of `size` bytes, called vm-V-disk-N unless `stem` says otherwise."""
    storage = enabled_storage(world, name, node)
    if "images" not in storage.content:
        raise failed(f"storage '{name}' does not support content-type 'images'\n")
    if storage.path is None and form != "raw":
        raise failed(f"unsupported format '{form}'\n")
    if storage.path is not None and form not in FILE_FORMATS:
        raise failed(f"unsupported format '{form}'\n")
    stem = stem or f"vm-{vmid}-disk-{_next_disk(world, node, storage, vmid)}"
    volume_name = image_name(storage, vmid, stem, form)
    if parent is not None and KINDS[storage.kind].named_base:
        volume_name = f"{parent.name}/{volume_name}"
    volid = f"{name}:{volume_name}"
    if world.volume(node, volid) is not None:
        path = file_path(storage, volume_name)
        raise failed(f"disk image '{path}' already exists\n")
    if thick(storage):
        used = size
    _need_room(world, node, storage, volume_name, used)
    place = "" if storage.shared else node
    base = None if parent is None else parent.volid
    volume = Volume(volid, place, "images", form, size, vmid, used, int(world.now), base)
    world.volumes[place, volid] = volume
    return volume


def _next_disk(world: World, node: str, storage: Storage, vmid: int) -> int:
    taken = {disk_number(volume.name, vmid) for volume in world.storage_volumes(node, storage.name)}
    return next(number for number in range(len(taken) + 1) if number not in taken)


def thick(storage: Storage) -> bool:
    """Whether a volume takes all its space when it is made."""
    return KINDS[storage.kind].thick and storage.options.get("sparse") != "1"


def _need_room(world: World, node: str, storage: Storage, name: str, more: int) -> None:
    """What may be promised is not checked, only what is written: thin storages overcommit."""
    if not storage.full and used_bytes(world, node, storage) + more <= storage.size:
        return
    raise failed(_no_room(storage, name, more))


def _no_room(storage: Storage, name: str, more: int) -> str:
    stem = name.rpartition("/")[2]
    if storage.path is not None:
        path = file_path(storage, name)
        return f"unable to create image: qemu-img: {path}: No space left on device\n"
    if storage.kind == "rbd":
        return f"rbd create '{stem}' error: rbd: create error: (28) No space left on device\n"
    if storage.kind == "zfspool":
        dataset = f"{storage.options.get('pool', 'rpool')}/{stem}"
        return f"zfs error: cannot create '{dataset}': out of space\n"
    group = storage.options.get("vgname", "pve")
    if storage.kind == "lvm":
        extents = -(-more // EXTENT)
        return (
            f"lvcreate '{group}/{stem}' error:   Volume group \"{group}\" has insufficient "
            f"free space (0 extents): {extents} required.\n"
        )
    pool = storage.options.get("thinpool", "data")
    return (
        f"lvcreate '{group}/{stem}' error:   Cannot create new thin volume, "
        f"free space in thin pool {group}/{pool} reached threshold.\n"
    )


def free(world: World, node: str, volid: str) -> None:
    """Erase a volume; one that is already gone is no error. A base with linked clones stays."""
    volume = world.volume(node, volid)
    if volume is None:
        return
    refuse_used_base(world, node, volume)
    del world.volumes[volume.node, volid]


def refuse_used_base(world: World, node: str, volume: Volume) -> None:
    """Raise 500 `base volume 'X' is still in use by linked cloned` (thin LVM has no such ties)."""
    if (
        any(
            other.parent == volume.volid and other.storage == volume.storage
            for other in world.storage_volumes(node, volume.storage)
        )
        and storage_of(world, volume.storage).kind != "lvmthin"
    ):
        raise failed(f"base volume '{volume.volid}' is still in use by linked cloned\n")


def make_base(world: World, node: str, volid: str) -> Volume:
    """Turn vm-V-disk-N into base-V-disk-N and return it."""
    volume = existing(world, node, volid)
    head, slash, last = volume.name.rpartition("/")
    new = f"{volume.storage}:{head}{slash}base-{last.removeprefix('vm-')}"
    del world.volumes[volume.node, volid]
    volume.volid = new
    world.volumes[volume.node, new] = volume
    return volume


def has_feature(world: World, volid: str, feature: str, snapname: str | None = None) -> bool:
    """Whether the storage can `clone` (link), `copy`, `snapshot` the volume or make it a
    `template`."""
    storage, name = read_volid(world, volid)
    state = "snap" if snapname is not None else "base" if name.is_base else "current"
    return KINDS[storage.kind].can(feature, state, name.format)


def link(world: World, node: str, volid: str, vmid: int) -> Volume:
    """A linked clone of a base on the base's own storage."""
    base = existing(world, node, volid)
    storage = storage_of(world, base.storage)
    form = "qcow2" if storage.path is not None else "raw"
    return allocate(world, node, base.storage, vmid, form, base.size, used=200704, parent=base)


def resize(world: World, node: str, volid: str, size: int) -> None:
    """Grow a volume to `size` bytes. A base on a file storage is read-only."""
    volume = existing(world, node, volid)
    storage, name = read_volid(world, volid)
    if name.is_base:
        path = file_path(storage, volume.name)
        if storage.path is None:
            raise failed(f"error resizing volume '{path}':   Command failed with status code 5.\n")
        raise failed(
            f"command '/usr/bin/qemu-img resize -f {volume.format} {path} {size}' failed: "
            "exit code 1\n"
        )
    volume.size = size
    if thick(storage):
        volume.used = size
