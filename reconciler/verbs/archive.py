"""Whether a backup can be restored over a VM: it is there, it is the VM's, and there is room."""

import re
from dataclasses import dataclass

from desired.units import format_size
from handlers.effects import wanted
from handlers.handler import vmid_of
from state.api import Api, ApiError
from state.drive import Drive, parse_drive
from state.observed import SeenVM, StorageRow
from state.verbs import Wish
from state.view import Row, rows, text, whole

SLOT = re.compile(r"((?:scsi|virtio|sata|ide|efidisk|tpmstate)\d+): (.+)")
THICK = ("lvm", "iscsidirect", "iscsi")
"""Kinds of storage on which a volume takes its whole size at once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a restore would copy: the volume, and where to; `foreign` takes another VM's backup."""

    volume: str
    storage: str | None
    foreign: bool

    @classmethod
    def of(cls, wish: Wish) -> "Asked":
        foreign = wish.params.get("foreign") is True
        return cls(wish.text("backup") or "", wish.text("storage"), foreign)


def unfit(api: Api, seen: SeenVM, asked: Asked) -> str:
    """Why the backup cannot be restored over this VM; empty when it can. Raises ApiError.

    `GET /nodes/N/storage/S/content`, and `…/vzdump/extractconfig` where that may be read.
    """
    if wanted(seen).boolean("protection", False):
        return "it is protected: set protection: false in its spec first"
    place = asked.volume.partition(":")[0]
    if _storage(seen, place) is None:
        return f"node {seen.node} has no storage {place}, where {asked.volume} would be"
    path = f"/nodes/{seen.node}/storage/{place}/content"
    listed = rows(api.get(path, {"content": "backup"}))
    found = next((row for row in listed if text(row, "volid") == asked.volume), None)
    if found is None:
        return f"there is no backup {asked.volume}: see reconcile backup list {seen.key}"
    return (not asked.foreign and _anothers(seen, found)) or _no_room(api, seen, asked, found)


def _anothers(seen: SeenVM, found: Row) -> str:
    """A vmid is used again: what was made before our machine was is another one's."""
    binding, how = seen.memory.binding, "--foreign (foreign: true) takes it all the same"
    if whole(found, "vmid") != vmid_of(seen):
        return f"it is a backup of vm {whole(found, 'vmid')}, not of {vmid_of(seen)}: {how}"
    since = binding.created_at if binding else None
    if since and whole(found, "ctime") < int(since.timestamp()):
        return f"it was made before this VM was, of another one that had its vmid: {how}"
    return ""


def _no_room(api: Api, seen: SeenVM, asked: Asked, found: Row) -> str:
    """Whether the storages take what is in the backup; the disks that it replaces are freed."""
    disks = _disks_in(api, seen, asked.volume)
    slots, own = set(disks), wanted(seen).disks
    for name in sorted({asked.storage or drive.storage or "" for drive in disks.values()}):
        row = _storage(seen, name)
        if row is None or "images" not in row.content:
            return f"node {seen.node} has no storage {name} for disks: name one by storage"
        mine = [one for one in disks.values() if (asked.storage or one.storage) == name]
        thick = sum(one.size or 0 for one in mine) if row.kind in THICK else 0
        # What is packed cannot be less when it is unpacked; a backup server tells no packed size.
        packed = whole(found, "size") if text(found, "format") != "pbs-vm" else 0
        need = max(thick, packed if len(mine) == len(disks) else 0)
        freed = sum(
            one.size or 0 for slot, one in own.items() if slot in slots and one.storage == name
        )
        if need > row.total - row.used + freed:
            free = format_size(max(0, row.total - row.used) // 1024**2 * 1024**2)
            return f"storage {name} has {free} free, and the backup needs more"
    return ""


def _disks_in(api: Api, seen: SeenVM, volume: str) -> dict[str, Drive]:
    """The disks that a backup holds, by slot; none where its config may not be read."""
    try:
        answer = api.get(f"/nodes/{seen.node}/vzdump/extractconfig", {"volume": volume})
    except ApiError:
        return {}
    found: dict[str, Drive] = {}
    for line in str(answer).splitlines():
        if line.startswith("["):
            break
        match = SLOT.fullmatch(line.strip())
        drive = parse_drive(match[2]) if match else None
        if (
            match
            and drive
            and not drive.cdrom
            and not drive.cloudinit
            and drive.flag("backup", True)
        ):
            found[match[1]] = drive
    return found


def _storage(seen: SeenVM, name: str) -> StorageRow | None:
    mine = (one for one in seen.cluster.storages if one.node == seen.node)
    return next((one for one in mine if one.storage == name and one.available), None)
