"""GET /cluster/resources: every VM, node and storage in one list, some of it old.

Fresh: existence, node, lock, tags, pool. From the last broadcast: everything else, so a VM that
is younger has only id, node, status "unknown", type and vmid (pve-manager PVE/API2/Cluster.pm).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, all_users, allowed
from reconciler.sim.accounts.privileges import privileges_at
from reconciler.sim.cluster import broadcast, nodes, traffic
from reconciler.sim.cluster.networks import LOCAL, networks, reaches
from reconciler.sim.ha.status import hastate, node_hastate
from reconciler.sim.parameters.schema import Text
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.view import View
from reconciler.sim.volumes import storages

if TYPE_CHECKING:
    from reconciler.sim.vm.machine import Machine
    from reconciler.sim.world import World

COUNTERS = ("cpu", "disk", "diskread", "diskwrite", "mem", "netin", "netout", "uptime")
STOPPED: dict[str, Any] = dict.fromkeys(COUNTERS, 0) | {"template": 0}
NEVER_TOLD: tuple[Any, dict[str, Any]] = ((None, None, None), {})
HOST_SHARE = 64 * 1024**2
"""Bytes that the host spends on a VM besides its memory."""

TYPES = ("vm", "storage", "node", "sdn")


def counters(seed: int, vmid: int, seen: dict[str, Any], at: float) -> dict[str, Any]:
    """What a running VM has used and moved from its start to the broadcast at `at`."""
    started = seen["started_at"]
    return {
        "cpu": traffic.cpu_share(seed, vmid, at),
        "mem": seen["maxmem"] * 2 // 5,
        "uptime": max(0, int(at - started)),
        **traffic.counters(seed, vmid, started, seen["taps"], at),
    }


def told_row(world: World, machine: Machine) -> dict[str, Any]:
    """What the last broadcast told of a VM; made once for each broadcast."""
    seen, heard = world.seen.get(machine.vmid), broadcast.heard_at(world, machine.node)
    if heard is None or not world.nodes[machine.node].online:
        seen = None
    at = heard if seen is not None and "started_at" in seen else None
    (before, *rest), kept = world.views.get(machine.vmid, NEVER_TOLD)
    if kept and before is seen and rest == [machine.node, at]:
        return dict(kept)
    row: dict[str, Any] = {
        "id": f"qemu/{machine.vmid}",
        "vmid": machine.vmid,
        "node": machine.node,
        "type": "qemu",
        "status": "unknown",
    }
    if seen is not None:
        row |= STOPPED | seen
    if seen is not None and at is not None:
        row |= counters(world.seed, machine.vmid, seen, at)
        del row["started_at"], row["taps"]
        if world.major >= 9:
            row["memhost"] = row["mem"] + HOST_SHARE
    world.views[machine.vmid] = (seen, machine.node, at), row
    return dict(row)


def vm_row(world: World, machine: Machine) -> dict[str, Any]:
    """One VM as the list shows it."""
    row = told_row(world, machine)
    if machine.lock is not None:
        row["lock"] = machine.lock
    tags = machine.config.get("tags")
    if tags is not None:
        row["tags"] = tags
    state = hastate(world, machine.vmid)
    if state is not None:
        row["hastate"] = state
    return row


def vm_rows(world: World, identity: Identity) -> list[dict[str, Any]]:
    """Every VM that the identity may audit."""
    broadcast.catch_up(world)
    pools = {vmid: name for name, pool in world.pools.items() for vmid in pool.vms}
    rows = []
    for vmid, machine in world.vms.items():
        if not identity.root and "VM.Audit" not in privileges_at(world, identity, f"/vms/{vmid}"):
            continue
        row = vm_row(world, machine)
        if vmid in pools:
            row["pool"] = pools[vmid]
        rows.append(row)
    return rows


def node_rows(world: World, identity: Identity) -> list[dict[str, Any]]:
    rows = []
    for node in world.nodes.values():
        audit = nodes.sees_node(world, identity, node.name)
        row = nodes.row(world, node, audit)
        state = node_hastate(world, node.name)
        if state is not None:
            row["hastate"] = state
        rows.append(row | {"cgroup-mode": 2} if node.online else row)
    return rows


def storage_rows(world: World, identity: Identity) -> list[dict[str, Any]]:
    """One row per storage and node, shared ones too."""
    rows = []
    for storage in world.storages.values():
        if not storages.sees(world, identity, storage.name):
            continue
        for node in world.nodes.values():
            if not storage.on(node.name):
                continue
            row: dict[str, Any] = {
                "id": f"storage/{node.name}/{storage.name}",
                "type": "storage",
                "storage": storage.name,
                "node": node.name,
                "plugintype": storage.kind,
                "shared": int(storage.shared),
                "content": ",".join(storage.content),
                "status": "available" if node.online else "unknown",
            }
            if node.online:
                row["disk"] = storages.used(world, storage, node.name)
                row["maxdisk"] = storage.size
            rows.append(row)
    return rows


def sdn_rows(world: World, identity: Identity) -> list[dict[str, Any]]:
    """The zone that stands for the nodes' own bridges, and the applied ones."""
    zones = networks(world).running.zones
    return [
        {
            "id": f"sdn/{name}/{zone}",
            "type": "sdn",
            "sdn": zone,
            "node": name,
            "status": "ok",
        }
        for name, node in world.nodes.items()
        if node.online
        for zone in (LOCAL, *sorted(zones))
        if allowed(world, identity, f"/sdn/zones/{zone}", ["SDN.Audit"])
        and (zone == LOCAL or reaches(zones[zone], name))
    ]


def pool_rows(world: World, identity: Identity) -> list[dict[str, Any]]:
    return [
        {"id": f"/pool/{name}", "type": "pool", "pool": name}
        for name in sorted(world.pools)
        if allowed(world, identity, f"/pool/{name}", ["Pool.Audit"])
    ]


@route(
    "GET",
    "/cluster/resources",
    fields={"type": Text(optional=True, enum=TYPES)},
    permission=all_users,
)
def list_resources(world: World, request: Request) -> Json:
    """The same rows again while nothing moved; those of nodes for a second."""
    broadcast.catch_up(world)
    guests, wanted = world.vms, request.params.get("type")
    second = 0 if wanted == "vm" and not world.frozen else int(world.now)
    moved = None if guests.all_moved else len(guests.moved)
    state = (world.revision, world.seen_at, world.access.generation, moved, second)
    key = ("resources", str(request.identity), wanted)
    before, rows = world.views.get(key, (None, None))
    if before != state or moved is None:
        rows = View(listed(world, request.identity, wanted))
        world.views[key] = state, rows
    return rows


def listed(world: World, identity: Identity, wanted: str | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if wanted is None:
        rows += pool_rows(world, identity)
    if wanted in (None, "vm"):
        rows += vm_rows(world, identity)
    if wanted in (None, "node"):
        rows += node_rows(world, identity)
    if wanted in (None, "storage"):
        rows += storage_rows(world, identity)
    if wanted in (None, "sdn"):
        rows += sdn_rows(world, identity)
    return rows
