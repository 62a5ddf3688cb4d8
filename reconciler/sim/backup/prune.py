"""GET and DELETE /nodes/N/storage/S/prunebackups, and the pruning after a backup.

Sources: pve-storage PVE/API2/Storage/PruneBackups.pm, PVE/Storage/Plugin.pm (prune_backups).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import all_users, check, perm
from reconciler.sim.backup.archive import drop, label
from reconciler.sim.backup.retention import PRUNE, Candidate, mark, parse_retention
from reconciler.sim.cluster.inventory import Storage, Volume
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import failed
from reconciler.sim.parameters.formats import vm_id
from reconciler.sim.parameters.schema import Field, Integer, Text
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

PATH = "/nodes/{node}/storage/{storage}/prunebackups"
FIELDS: dict[str, Field] = {
    "prune-backups": PRUNE,
    "type": Text(optional=True, enum=("qemu", "lxc")),
    "vmid": Integer(optional=True, format=vm_id, minimum=100, maximum=999999999),
}


def backups(world: World, node: str, place: str) -> list[Volume]:
    """The archives on a storage by name, so the oldest of each guest first."""
    found = [one for one in world.storage_volumes(node, place) if one.content == "backup"]
    return sorted(found, key=lambda one: one.volid)


def prunable(world: World, place: str, node: str) -> Storage:
    """The storage. Raises 500 when it is not there or holds no backups."""
    store = storage.storage_of(world, place)
    if "backup" not in store.content:
        raise failed(f"storage '{place}' does not support backups\n")
    return storage.enabled_storage(world, place, node)


def judge(
    world: World,
    node: str,
    store: Storage,
    retention: Mapping[str, str] | None,
    vmid: int | None,
    kind: str | None,
) -> list[Candidate]:
    """Every backup that is considered, with its mark."""
    if retention is None:
        configured = store.options.get("prune-backups")
        if configured is None:
            raise failed(f"no prune-backups options configured for storage '{store.name}'\n")
        retention = parse_retention(configured)
    found: list[Candidate] = []
    groups: dict[tuple[str, int], list[Candidate]] = {}
    for volume in backups(world, node, store.name):
        known = label(volume.name)
        if (vmid is not None and volume.vmid != vmid) or kind not in (None, known.kind):
            continue
        one = Candidate(volume.volid, known.ctime or volume.ctime, known.kind, volume.vmid)
        one.mark = "protected" if volume.protected else None
        found.append(one)
        if known.vmid is None:
            one.mark = one.mark or "renamed"
        else:
            groups.setdefault((known.kind, known.vmid), []).append(one)
    for group in groups.values():
        mark(group, retention)
    return found


def prune(
    world: World,
    node: str,
    store: Storage,
    retention: Mapping[str, str] | None,
    vmid: int | None,
    kind: str | None,
) -> list[str]:
    """Remove what the retention does not cover; the volumes removed."""
    gone = [
        one.volid
        for one in judge(world, node, store, retention, vmid, kind)
        if one.mark == "remove"
    ]
    for volid in gone:
        drop(world, node, volid)
    return gone


def wanted(params: Mapping[str, Any]) -> dict[str, str] | None:
    given = params.get("prune-backups")
    return None if given is None else parse_retention(given)


@route(
    "GET",
    PATH,
    fields=FIELDS,
    permission=perm("/storage/{storage}", "Datastore.Audit", "Datastore.AllocateSpace", any=True),
    protected=True,
)
def preview(world: World, request: Request) -> Json:
    params = request.params
    store = prunable(world, str(params["storage"]), request.node)
    found = judge(
        world, request.node, store, wanted(params), params.get("vmid"), params.get("type")
    )
    return [one.row() for one in found]


@route("DELETE", PATH, fields=FIELDS, permission=all_users, protected=True)
def start_pruning(world: World, request: Request) -> str:
    """Whose backups decides the rights; everything else fails inside the task."""
    params, identity = request.params, request.identity
    place, vmid = str(params["storage"]), params.get("vmid")
    if vmid is not None:
        check(world, identity, f"/storage/{place}", ["Datastore.AllocateSpace"])
        check(world, identity, f"/vms/{vmid}", ["VM.Backup"])
    else:
        check(world, identity, f"/storage/{place}", ["Datastore.Allocate"])
    args = {
        "place": place,
        "retention": wanted(params),
        "vmid": vmid,
        "kind": params.get("type"),
    }
    target = place if vmid is None else f"{vmid}@{place}"
    steps = [Step("backup.prune", args)]
    return world.tasks.start(request.node, "prunebackups", target, identity, steps)


@step("backup.prune")
def run_pruning(
    world: World,
    task: Task,
    place: str,
    retention: dict[str, str] | None,
    vmid: int | None,
    kind: str | None,
) -> None:
    store = prunable(world, place, task.node)
    for volid in prune(world, task.node, store, retention, vmid, kind):
        task.say(f"removing backup '{volid}'")
