"""Reads of storages: their fill level on a node and what lies on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, all_users, allowed, perm
from reconciler.sim.backup.access import may_read
from reconciler.sim.backup.archive import label
from reconciler.sim.cluster.inventory import Storage, Volume
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.parameters.formats import any_text, node_name, storage_id, vm_id
from reconciler.sim.parameters.schema import (
    Boolean,
    FormatError,
    Integer,
    Text,
    split_list,
)
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.volumes.kinds import FILES, KINDS

if TYPE_CHECKING:
    from reconciler.sim.world import World

USE = ("Datastore.Audit", "Datastore.AllocateSpace")
FILE_KINDS = ("dir", "nfs", "cifs", "cephfs", "btrfs")


def sees(world: World, identity: Identity, name: str) -> bool:
    return allowed(world, identity, f"/storage/{name}", USE, any=True)


def find(world: World, name: str) -> Storage:
    """Raises 500 `storage 'x' does not exist`."""
    storage = world.storages.get(name)
    if storage is None:
        raise failed(f"storage '{name}' does not exist")
    return storage


def find_on(world: World, name: str, node: str) -> Storage:
    """Raises 500 when the storage is not there, or not on that node."""
    storage = find(world, name)
    if not storage.on(node):
        raise failed(f"storage '{name}' is not available on node '{node}'")
    return storage


def used(world: World, storage: Storage, node: str) -> int:
    """Bytes allocated on the copy of the storage that the node sees."""
    if storage.full:
        return storage.size
    allocated = sum(one.used for one in world.storage_volumes(node, storage.name))
    return min(storage.size, storage.used + allocated)


def status(world: World, storage: Storage, node: str) -> dict[str, Any]:
    """Fill level in bytes; all zero where the storage is not meant for the node."""
    here = storage.on(node) and not storage.disabled
    taken = used(world, storage, node) if here else 0
    size = storage.size if here else 0
    return {
        "type": storage.kind,
        "content": ",".join(storage.content),
        "shared": int(storage.shared),
        "enabled": int(here),
        "active": int(here),
        "total": size,
        "used": taken,
        "avail": size - taken,
    }


@route(
    "GET",
    "/nodes/{node}/storage",
    fields={
        "content": Text(optional=True, list_of=any_text),
        "enabled": Boolean(optional=True),
        "format": Boolean(optional=True),
        "storage": Text(optional=True, format=storage_id),
        "target": Text(optional=True, format=node_name),
    },
    permission=all_users,
    protected=True,
)
def list_status(world: World, request: Request) -> Json:
    """Every storage with its fill level on the node; with `content` only enabled ones, with
    `target` shared ones that both nodes have."""
    params, node = request.params, request.node
    wanted = split_list(params["content"]) if "content" in params else []
    asked, target = params.get("storage"), params.get("target")
    if asked is not None and asked not in world.storages:
        raise bad_parameters({"storage": "No such storage."})
    rows = []
    for storage in world.storages.values():
        if asked not in (None, storage.name) or not sees(world, request.identity, storage.name):
            continue
        row = status(world, storage, node) | {"storage": storage.name}
        useful = row["enabled"] and any(one in storage.content for one in wanted)
        if (wanted and not useful) or (params.get("enabled") and storage.disabled):
            continue
        reached = storage.shared and storage.on(node) and storage.on(str(target))
        if target not in (None, node, "localhost") and not reached:
            continue
        if row["total"]:
            row["used_fraction"] = row["used"] / row["total"]
        if params.get("format"):
            row["format"] = formats(storage)
        rows.append(row)
    return rows


def formats(storage: Storage) -> list[Any]:
    """Supported image formats and the default one."""
    shown = dict.fromkeys(KINDS[storage.kind].shown, 1)
    return [shown, storage.options.get("format", "raw")]


def content_type(text: str) -> str:
    """The format `pve-storage-content`."""
    if text not in (*FILES, "none"):
        raise FormatError(f"invalid content type '{text}'")
    return text


READ = perm("/storage/{storage}", *USE, any=True)


@route("GET", "/nodes/{node}/storage/{storage}", permission=READ, proxy_node=False)
def list_storage_parts(world: World, request: Request) -> Json:
    names = ("content", "download-url", "file-restore", "import-metadata", "prunebackups")
    return [{"subdir": name} for name in (*names, "rrd", "rrddata", "status", "upload")]


@route("GET", "/nodes/{node}/storage/{storage}/status", permission=READ, protected=True)
def get_storage_status(world: World, request: Request) -> Json:
    name = request.params["storage"]
    if name not in world.storages:
        raise bad_parameters({"storage": "No such storage."})
    return status(world, world.storages[name], request.node)


def shown_parent(storage: Storage, volume: Volume) -> str | None:
    """The base of a linked clone as the plug-in names it."""
    if volume.parent is None:
        return None
    name = volume.parent.partition(":")[2]
    return f"../{name}" if storage.kind in FILE_KINDS else name


def content_row(storage: Storage, volume: Volume) -> dict[str, Any]:
    row: dict[str, Any] = {
        "volid": volume.volid,
        "content": volume.content,
        "format": volume.format,
        "size": volume.size,
        "ctime": volume.ctime,
    }
    if volume.vmid is not None:
        row["vmid"] = volume.vmid
    if volume.content in ("images", "rootdir"):
        parent = shown_parent(storage, volume)
        if storage.kind in FILE_KINDS:
            row |= {"used": volume.used, "parent": parent}
        elif parent is not None:
            row["parent"] = parent
    if volume.content == "backup":
        row["subtype"] = label(volume.name).kind
        if volume.protected:
            row["protected"] = 1
        if volume.verification:
            upid = f"UPID:pbs:00000001:00000001:00000001:{volume.ctime:08X}:verify:d:root@pam:"
            row["verification"] = {"state": volume.verification, "upid": upid}
    if volume.notes is not None:
        row["notes"] = volume.notes.partition("\n")[0]
    return row


@route(
    "GET",
    "/nodes/{node}/storage/{storage}/content",
    fields={
        "content": Text(optional=True, format=content_type),
        "vmid": Integer(optional=True, format=vm_id, minimum=100, maximum=999999999),
    },
    permission=READ,
    protected=True,
)
def list_content(world: World, request: Request) -> Json:
    """With `vmid` its volumes, and oddly all import files."""
    storage = find_on(world, request.params["storage"], request.node)
    kind, vmid = request.params.get("content"), request.params.get("vmid")
    rows = []
    for volume in world.storage_volumes(request.node, storage.name):
        if kind not in (None, volume.content):
            continue
        if vmid is not None and volume.vmid != vmid and volume.content != "import":
            continue
        if may_read(world, request.identity, volume.volid):
            rows.append(content_row(storage, volume))
    return sorted(rows, key=lambda row: str(row["volid"]))
