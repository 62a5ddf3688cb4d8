"""Who may read or remove an archive, and how its volume is named in a call.

Sources: pve-storage PVE/Storage.pm (check_volume_access), PVE/API2/Storage/Content.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import Identity, allowed, check
from reconciler.sim.backup.archive import label
from reconciler.sim.errors import Refusal, bad_parameters, failed
from reconciler.sim.parameters.volnames import split_volid
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World


def real_volume_id(place: str | None, name: str) -> str:
    """The volume id of a path's last part; a name alone belongs to the storage in the path."""
    if ":" not in name:
        return f"{place}:{name}"
    parts = split_volid(name)
    if parts is None:
        raise bad_parameters({"volume": f"unable to parse volume ID '{name}'\n"})
    if place and parts[0] != place:
        raise bad_parameters({"volume": f"storage ID mismatch ({parts[0]} != {place})\n"})
    return name


def check_archive(world: World, identity: Identity, vmid: int | None, volid: str) -> None:
    """May the caller read this archive, for guest `vmid` or just so?"""
    parts = split_volid(volid)
    if parts is None:
        if not identity.root:
            raise failed("Only root can pass arbitrary filesystem paths.\n")
        return
    _store, name = storage.read_volid(world, volid)
    if name.content != "backup":
        raise failed(f"unable to use volume {volid} - content type needs to be 'backup'\n")
    check_access(world, identity, vmid, volid)


def check_access(world: World, identity: Identity, vmid: int | None, volid: str) -> None:
    """The rights that reading a volume takes. Raises 403, or 500 for a file of nobody."""
    store, name = storage.read_volid(world, volid)
    where = f"/storage/{store.name}"
    if allowed(world, identity, where, ["Datastore.Allocate"]):
        return
    owner = label(name_of(volid)).vmid if name.content == "backup" else name.vmid
    if name.content in ("iso", "vztmpl", "import"):
        check(world, identity, where, ["Datastore.AllocateSpace", "Datastore.Audit"], any=True)
    elif owner is not None and owner == vmid:
        return
    elif name.content == "backup" and owner is not None:
        check(world, identity, where, ["Datastore.AllocateSpace"])
        check(world, identity, f"/vms/{owner}", ["VM.Backup"])
    elif name.content == "images" and owner is not None:
        check(world, identity, where, ["Datastore.Audit"])
        check(world, identity, f"/vms/{owner}", ["VM.Config.Disk"])
    else:
        raise failed(f"missing privileges to access {volid}\n")


def name_of(volid: str) -> str:
    return volid.partition(":")[2]


def may_read(world: World, identity: Identity, volid: str) -> bool:
    """Whether a list shows the volume to the caller."""
    if identity.root:
        return True
    try:
        check_access(world, identity, None, volid)
    except Refusal:
        return False
    return True
