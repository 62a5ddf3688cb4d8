"""POST and DELETE of volumes on a storage, without a VM's config.

Source: pve-storage PVE/API2/Storage/Content.pm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import all_users, check, perm
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import TaskFailed, bad_parameters
from reconciler.sim.parameters.formats import VM
from reconciler.sim.parameters.schema import Integer, Text
from reconciler.sim.parameters.values import UNITS
from reconciler.sim.parameters.volnames import file_path
from reconciler.sim.routes import Request, route
from reconciler.sim.vm.disks import check_volume_access
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

CONTENT = "/nodes/{node}/storage/{storage}/content"
SUFFIX = re.compile(r"\.(raw|qcow2|vmdk)\Z")


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


@route(
    "DELETE",
    f"{CONTENT}/{{volume}}",
    fields={"delay": Integer(optional=True, minimum=1, maximum=30)},
    permission=all_users,
    protected=True,
)
def erase(world: World, request: Request) -> str:
    """Erase a volume as a task (imgdel); what uses it is not asked."""
    place, name = str(request.params["storage"]), str(request.params["volume"])
    volid = name if ":" in name else f"{place}:{name}"
    store, parsed = storage.read_volid(world, volid)
    storage.enabled_storage(world, store.name, request.node)
    owner = parsed.vmid or 0
    check_volume_access(world, request.identity, owner, volid)
    if parsed.vmid is not None and parsed.content == "images":
        check(world, request.identity, f"/storage/{place}", ["Datastore.AllocateSpace"])
    else:
        check(world, request.identity, f"/storage/{place}", ["Datastore.Allocate"])
    target = f"{parsed.vmid}@{place}" if parsed.vmid is not None else f"@{place}"
    steps = [Step("content.erase", {"volid": volid})]
    return world.tasks.start(request.node, "imgdel", target, request.identity, steps)


@step("content.erase")
def erase_volume(world: World, task: Task, volid: str) -> None:
    volume = world.volume(task.node, volid)
    store, _name = storage.read_volid(world, volid)
    if volume is None:
        path = file_path(store, volid.partition(":")[2])
        task.say(f"disk image '{path}' does not exist")
        return
    if volume.protected:
        raise TaskFailed("can't remove protected archive")
    storage.free(world, task.node, volid)
    task.say(f"Removed volume '{volid}'")
