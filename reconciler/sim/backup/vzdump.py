"""POST /nodes/N/vzdump, its defaults and the config inside an archive.

Source: pve-manager PVE/API2/VZDump.pm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, all_users, allowed, check
from reconciler.sim.backup import options
from reconciler.sim.backup.access import check_archive
from reconciler.sim.backup.archive import contents, find, label, shelf, text_of
from reconciler.sim.backup.selection import GONE, included
from reconciler.sim.cluster.tasks import Step
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.parameters.formats import NODE_FIELD, storage_id
from reconciler.sim.parameters.schema import Boolean, Field, Text
from reconciler.sim.parameters.volnames import split_volid
from reconciler.sim.routes import Request, route
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

PATH = "/nodes/{node}/vzdump"
FIELDS: dict[str, Field] = {
    **options.OPTIONS,
    "node": NODE_FIELD,
    "job-id": Text(optional=True, pattern=r"\S+", max_length=50),
    "stdout": Boolean(optional=True),
}
HOST_ONLY = ("mailto", "tmpdir", "dumpdir", "script", "ionice")


@route("POST", PATH, fields=FIELDS, permission=all_users, protected=True)
def start(world: World, request: Request) -> str:
    params = {key: value for key, value in request.params.items() if value is not None}
    return back_up(world, request.node, request.identity, params)


def back_up(world: World, node: str, identity: Identity, params: dict[str, Any]) -> str:
    """Begin a vzdump task on the node; `OK` when none of the guests is there. What is wrong with
    the storage or a guest shows only inside the task."""
    if params.get("stdout"):
        raise bad_parameters({"stdout": "option is only allowed on the command line interface."})
    options.check_restricted(world, identity, params)
    place = options.target_storage(params)
    prunes = any(params.get(key) is not None for key in ("prune-backups", "maxfiles"))
    if prunes and place is not None:
        check(world, identity, f"/storage/{place}", ["Datastore.Allocate"])
    options.verify(params, whole=True)
    by_node = included(world, params)
    local = by_node.pop(node, []) + by_node.pop(GONE, [])
    if params.get("stop"):
        stop_running(world, node)
        if not local:
            return "OK"
    if not local and not params.get("all"):
        return "OK"
    if place is not None:
        check(world, identity, f"/storage/{place}", ["Datastore.AllocateSpace"])
    args = {"params": params, "vmids": sorted(local), "user": str(identity)}
    target = local[0] if len(local) == 1 else ""
    return world.tasks.start(node, "vzdump", target, identity, [Step("vzdump.open", args)])


def stop_running(world: World, node: str) -> None:
    """`stop=1`: end the backup that holds the node's lock."""
    holder = world.tasks.get(shelf(world).holders.get(node, ""))
    if holder is not None:
        world.tasks.stop(holder)


@route(
    "GET",
    f"{PATH}/defaults",
    fields={"storage": Text(optional=True, format=storage_id)},
    permission=all_users,
)
def defaults(world: World, request: Request) -> dict[str, Any]:
    """What holds when a backup says nothing else; who may not audit the node sees less."""
    place = str(request.params.get("storage") or "local")
    where = f"/storage/{place}"
    use = ["Datastore.Audit", "Datastore.AllocateSpace"]
    check(world, request.identity, where, use, any=True)
    found = options.DEFAULTS | {"storage": place} | storage_info(world, place)
    if not allowed(world, request.identity, f"/nodes/{request.node}", ["Sys.Audit"]):
        found = {key: value for key, value in found.items() if key not in HOST_ONLY}
    return found


def storage_info(world: World, place: str) -> dict[str, str]:
    """Directory and retention that a storage gives to its backups. Raises 500."""
    store = storage.storage_of(world, place)
    if "backup" not in store.content:
        raise failed(f"can't use storage '{place}' for backups - wrong content type\n")
    found: Mapping[str, str | None] = {
        "dumpdir": None if store.path is None else f"{store.path}/dump",
        "prune-backups": store.options.get("prune-backups"),
    }
    return {key: value for key, value in found.items() if value is not None}


@route(
    "GET",
    f"{PATH}/extractconfig",
    fields={"volume": Text()},
    permission=all_users,
    protected=True,
)
def extract_config(world: World, request: Request) -> str:
    """The config in an archive as text, with the hints where its disks came from."""
    name = str(request.params["volume"])
    check_archive(world, request.identity, None, name)
    if split_volid(name) is None:
        raise failed(f"unable to parse volume ID '{name}'\n")
    owner = label(name.partition(":")[2]).vmid
    check(world, request.identity, f"/vms/{owner or ''}", ["VM.Backup"])
    volume = find(world, request.node, name)
    archive = contents(world, volume)
    if archive is None:
        raise failed(f"cannot determine backup guest type for backup archive '{name}'\n")
    return text_of(archive)
