"""Single volumes on a storage: allocate, look at, annotate and erase one without a VM's config.

Source: pve-storage PVE/API2/Storage/Content.pm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, all_users, check, perm
from reconciler.sim.backup.access import check_access, real_volume_id
from reconciler.sim.backup.archive import drop, path_of
from reconciler.sim.backup.guest import check_protected_limit
from reconciler.sim.backup.prune import backups
from reconciler.sim.cluster.inventory import Storage
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.parameters.formats import VM
from reconciler.sim.parameters.schema import Boolean, Integer, Text
from reconciler.sim.parameters.values import UNITS
from reconciler.sim.parameters.volnames import VolumeName, file_path
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

CONTENT = "/nodes/{node}/storage/{storage}/content"
ONE = f"{CONTENT}/{{volume}}"
SUFFIX = re.compile(r"\.(raw|qcow2|vmdk)\Z")
SECTOR, BLOCK = 512, 4096
FILES = ("iso", "vztmpl", "snippets")
IMAGE_NAME = re.compile(r"(?:base-)?[^/\s]+\.(raw|qcow2|vmdk|subvol)\n?\Z")


@route(
    "POST",
    CONTENT,
    fields={
        "filename": Text(),
        "format": Text(optional=True, enum=("raw", "qcow2", "subvol", "vmdk")),
        "size": Text(pattern=r"\d+[MG]?"),
        "vmid": VM,
    },
    permission=perm("/storage/{storage}", "Datastore.AllocateSpace"),
    protected=True,
)
def allocate(world: World, request: Request) -> str:
    """A new image of a given name; the size is KiB without a unit."""
    params = request.params
    place, name = str(params["storage"]), str(params["filename"])
    size, unit = re.fullmatch(r"(\d+)([MG]?)\n?", params["size"]).groups()  # type: ignore[union-attr]
    suffix = SUFFIX.search(name)
    form = params.get("format") or (suffix[1] if suffix else "raw")
    if suffix is not None and suffix[1] != form:
        raise bad_parameters({"format": f"different storage formats ({form} != {suffix[1]})"})
    store = storage.enabled_storage(world, place, request.node)
    if store.path is not None:
        _check_name(name, form)
    stem = SUFFIX.sub("", name) if store.path is not None else name
    volume = storage.allocate(
        world,
        request.node,
        place,
        int(params["vmid"]),
        form,
        int(size) * UNITS[unit or "K"],
        stem,
    )
    return volume.volid


def _check_name(name: str, form: str) -> None:
    """Raise 500 for what is no name of an image file in that format.

    Source: pve-storage PVE/Storage/Plugin.pm (parse_name_dir, alloc_image).
    """
    found = IMAGE_NAME.match(name)
    if found is None:
        raise failed(f"unable to parse volume filename '{name}'\n")
    if found[1] != form:
        raise failed(
            f"illegal name '{name}' - wrong extension for format ('{found[1]} != '{form}')\n"
        )


def named(world: World, request: Request) -> tuple[str, Storage, VolumeName]:
    """The volume that a call names, whether or not it exists. Raises 400 and 500."""
    volid = real_volume_id(str(request.params["storage"]), str(request.params["volume"]))
    store, name = storage.read_volid(world, volid)
    return volid, store, name


@route("GET", ONE, permission=all_users, protected=True)
def get_volume(world: World, request: Request) -> Json:
    """`volume` with or without the storage's name. An archive is measured as a disk image is:
    in whole sectors, and the space it takes in whole blocks."""
    volid, _store, _name = named(world, request)
    check_access(world, request.identity, None, volid)
    volume = world.volume(request.node, volid)
    if volume is None:
        raise failed(f"volume_size_info on '{volid}' failed - no format\n")
    row: dict[str, Any] = {
        "path": path_of(world, volume),
        "size": volume.virtual or volume.size,
        "used": volume.used,
        # files that are no images are measured as raw ones
        "format": "raw" if volume.content in FILES else volume.format,
    }
    if volume.content == "backup":
        row |= {"protected": int(volume.protected), "notes": volume.notes or ""}
        if volume.format != "pbs-vm":
            row |= {"size": _whole(volume.size, SECTOR), "used": _whole(volume.used, BLOCK)}
            row["format"] = "raw"
    return row


def _whole(count: int, unit: int) -> int:
    return -(-count // unit) * unit


@route(
    "PUT",
    ONE,
    fields={"notes": Text(optional=True), "protected": Boolean(optional=True)},
    permission=all_users,
    protected=True,
)
def annotate(world: World, request: Request) -> None:
    """Notes and protection of a backup; a file that is not there takes them without a word."""
    volid, store, name = named(world, request)
    params, identity = request.params, request.identity
    check_access(world, identity, None, volid)
    volume = world.volume(request.node, volid)
    if "notes" in params:
        _only_backups(store, name, "notes")
        if volume is not None:
            volume.notes = str(params["notes"] or "") or None
    if "protected" in params:
        wanted = bool(params["protected"])
        if wanted and name.content == "backup" and not (volume is not None and volume.protected):
            _check_room_for_protection(world, request.node, identity, store, name.vmid)
        _only_backups(store, name, "protected")
        if volume is not None:
            volume.protected = wanted


def _only_backups(store: Storage, name: VolumeName, attribute: str) -> None:
    """Raise 500 for a volume that cannot have the attribute, in its plug-in's words."""
    if name.content == "backup":
        return
    if store.path is None and attribute == "notes":
        raise failed(f"volume notes are not supported for {PLUGINS.get(store.kind, store.kind)}\n")
    if store.path is None:
        kind = store.kind
        raise failed(f"attribute '{attribute}' is not supported for storage type '{kind}'\n")
    if attribute == "notes":
        raise failed("only backups can have notes\n")
    raise failed(f"only backups support attribute '{attribute}'\n")


PLUGINS = {
    "lvm": "PVE::Storage::LVMPlugin",
    "lvmthin": "PVE::Storage::LvmThinPlugin",
    "rbd": "PVE::Storage::RBDPlugin",
    "zfspool": "PVE::Storage::ZFSPoolPlugin",
}


def _check_room_for_protection(
    world: World, node: str, identity: Identity, store: Storage, vmid: int | None
) -> None:
    if vmid is not None:
        there = [one for one in backups(world, node, store.name) if one.vmid == vmid]
        check_protected_limit(world, identity, store.name, there)


@route(
    "DELETE",
    ONE,
    fields={"delay": Integer(optional=True, minimum=1, maximum=30)},
    permission=all_users,
    protected=True,
)
def erase(world: World, request: Request) -> str | None:
    """Erase a volume as a task (imgdel); what uses it is not asked. With `delay` the call waits
    for the task and answers null, or with its fault."""
    volid, store, name = named(world, request)
    where, identity = f"/storage/{store.name}", request.identity
    if name.content == "backup" and name.vmid is not None:
        check(world, identity, where, ["Datastore.AllocateSpace"])
        check(world, identity, f"/vms/{name.vmid}", ["VM.Backup"])
    else:
        check(world, identity, where, ["Datastore.Allocate"])
    target = store.name if name.vmid is None else f"{name.vmid}@{store.name}"
    steps = [Step("content.erase", {"volid": volid})]
    upid = world.tasks.start(request.node, "imgdel", target, identity, steps)
    task = world.tasks.get(upid)
    if not request.params.get("delay") or task is None or task.running:
        return upid
    if task.failed:
        raise failed(f"{task.status}\n")
    return None


@step("content.erase")
def erase_volume(world: World, task: Task, volid: str) -> None:
    store, _name = storage.read_volid(world, volid)
    storage.enabled_storage(world, store.name, task.node)
    volume = world.volume(task.node, volid)
    if volume is None:
        path = file_path(store, volid.partition(":")[2])
        task.say(f"disk image '{path}' does not exist")
    elif volume.protected:
        raise failed(f"cannot remove protected volume '{volume.name}' on '{store.name}'\n")
    elif volume.content == "backup":
        drop(world, task.node, volid)
    else:
        storage.free(world, task.node, volid)
    task.say(f"Removed volume '{volid}'")
