"""GET and POST /nodes/N/qemu/V/migrate: to another node, offline or while it runs.

Sources: qemu-server PVE/API2/Qemu.pm (migrate_vm, migrate_vm_precondition).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, check, perm
from reconciler.sim.cluster.tasks import Step
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.ha import requests
from reconciler.sim.ha.book import managed, sid_of
from reconciler.sim.ha.placement import blocking_resources, dependent_resources
from reconciler.sim.parameters.formats import node_name
from reconciler.sim.parameters.schema import Boolean, Field, FormatError, Integer, Text
from reconciler.sim.parameters.volnames import split_volid
from reconciler.sim.routes import Request, route
from reconciler.sim.vm import config_rights as rights
from reconciler.sim.vm.config import VM
from reconciler.sim.vm.locks import load
from reconciler.sim.vm.machine import Machine, check_lock
from reconciler.sim.vm.migration import (
    StorageMap,
    check_availability,
    devices_of,
    network,
    parse_storage_map,
    references,
    storage_pair,
    unavailable_storages,
)
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

MAY_MIGRATE = perm("/vms/{vmid}", "VM.Migrate")
MIGRATE: dict[str, Field] = {
    "target": Text(format=node_name),
    "bwlimit": Integer(optional=True, minimum=0),
    "force": Boolean(optional=True),
    "migration_network": Text(optional=True, format=network),
    "migration_type": Text(optional=True, enum=("secure", "insecure")),
    "online": Boolean(optional=True),
    "targetstorage": Text(optional=True, list_of=storage_pair),
    "with-conntrack-state": Boolean(optional=True),
    "with-local-disks": Boolean(optional=True),
}


@route(
    "GET",
    f"{VM}/migrate",
    fields={"target": Text(optional=True, format=node_name)},
    permission=MAY_MIGRATE,
    protected=True,
)
def preconditions(world: World, request: Request) -> dict[str, Any]:
    """Where the VM may go and what of it is local; dead nodes are listed too."""
    machine = load(world, request.node, request.vmid)
    check_lock(machine)
    devices = devices_of(world, machine)
    storages = unavailable_storages(world, machine)
    answer: dict[str, Any] = {"running": int(machine.running)}
    allowed: list[str] = []
    refused: dict[str, dict[str, Any]] = {}
    under_ha = managed(world, request.vmid)
    for node in world.nodes:
        if node == machine.node:
            continue
        why: dict[str, Any] = {}
        if storages[node]:
            why["unavailable_storages"] = storages[node]
        if devices.missing[node]:
            why["unavailable-resources"] = devices.missing[node]
        blocking = blocking_resources(world, sid_of(request.vmid), node) if under_ha else []
        if blocking:
            why["blocking-ha-resources"] = blocking
        refused[node] = why
        if not why:
            allowed.append(node)
    if under_ha and world.major >= 9:
        answer["dependent-ha-resources"] = dependent_resources(world, sid_of(request.vmid))
    if world.major >= 9:
        answer["has-dbus-vmstate"] = 1
    return answer | {
        "allowed_nodes": allowed,
        "not_allowed_nodes": refused,
        "local_disks": local_disks(world, machine),
        "local_resources": devices.local,
        "mapped-resources": sorted(devices.mapped),
        "mapped-resource-info": devices.mapped,
    }


def local_disks(world: World, machine: Machine) -> list[dict[str, object]]:
    """The volumes that other nodes do not see."""
    rows = []
    for one in references(machine):
        parts = split_volid(one.volid)
        if parts is not None and storage.storage_of(world, parts[0]).shared:
            continue
        if not one.shared and not (one.cdrom and one.volid == "none"):
            rows.append(one.row())
    return rows


@route("POST", f"{VM}/migrate", fields=MIGRATE, permission=MAY_MIGRATE, protected=True)
def migrate(world: World, request: Request) -> str:
    """Checks what can be seen at once; the rest fails in the qmigrate task. Under HA the task
    (hamigrate) only asks the manager."""
    params, node, vmid, identity = request.params, request.node, request.vmid, request.identity
    target = str(params["target"])
    if target == node:
        raise bad_parameters({"target": "target is local node."})
    if target not in world.nodes:
        raise failed(f"no such cluster node '{target}'\n")
    if world.major < 9 and "with-conntrack-state" in params:
        text = "property is not defined in schema and the schema does not allow additional "
        raise bad_parameters({"with-conntrack-state": f"{text}properties"})
    rights.refuse_root_options(identity, params, "force", "migration_type", "migration_network")
    machine = load(world, node, vmid)
    check_lock(machine)
    if machine.running and not params.get("online"):
        raise failed("can't migrate running VM without --online\n")
    given = params.get("targetstorage")
    places = _storage_map(str(given)) if given else None
    if places is None or places.identity:
        check_availability(world, machine, target)
    if places is not None:
        _check_places(world, identity, vmid, places, target)
    if managed(world, vmid):
        return requests.ask_migration(world, node, vmid, target, identity)
    limit = params.get("bwlimit")
    return begin(
        world,
        machine,
        target,
        identity,
        places=places or StorageMap(),
        local_disks=bool(params.get("with-local-disks")),
        force=bool(params.get("force")),
        limit=None if not limit else int(limit) * 1024,
        address=None if params.get("migration_network") is None else world.nodes[target].ip,
    )


def _storage_map(text: str) -> StorageMap:
    try:
        return parse_storage_map(text)
    except FormatError as error:
        text = f"failed to parse storage map: {error}\n"
        raise bad_parameters({"targetstorage": text}) from error


def _check_places(
    world: World, identity: Identity, vmid: int, places: StorageMap, target: str
) -> None:
    if not places.identity:
        rights.check_vm(world, identity, vmid, ["VM.Config.Disk"])
    names = list(places.entries.values()) + ([places.default] if places.default else [])
    for name in names:
        store = storage.enabled_storage(world, name, target)
        check(world, identity, f"/storage/{name}", ["Datastore.AllocateSpace"])
        if "images" not in store.content:
            raise failed(f"storage '{name}' does not support vm images\n")


def begin(
    world: World,
    machine: Machine,
    target: str,
    identity: Identity,
    places: StorageMap,
    local_disks: bool = False,
    force: bool = False,
    limit: int | None = None,
    address: str | None = None,
) -> str:
    """Start the qmigrate task on the VM's node. `limit` is bytes per second."""
    args = {
        "vmid": machine.vmid,
        "target": target,
        "places": asdict(places),
        "local_disks": local_disks,
        "force": force,
        "limit": limit,
        "address": address,
    }
    steps = [Step("migrate.begin", args)]
    return world.tasks.start(machine.node, "qmigrate", machine.vmid, identity, steps)
