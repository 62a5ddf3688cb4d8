"""Reads of the cluster as a whole: status, next free id, log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import all_users, allowed, perm
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.parameters.formats import vm_id
from reconciler.sim.parameters.schema import Integer
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

LOG_SHOWN = 50
"""Entries that GET /cluster/log answers when `max` is not given."""


@route("GET", "/cluster/status", permission=perm("/", "Sys.Audit"), protected=True)
def get_cluster_status(world: World, request: Request) -> Json:
    rows: list[dict[str, Any]] = []
    alone = world.name is None
    if not alone:
        rows.append(
            {
                "id": "cluster",
                "type": "cluster",
                "name": world.name,
                "nodes": len(world.nodes),
                "quorate": int(world.quorate),
                "version": len(world.nodes),
            }
        )
    for node in world.nodes.values():
        rows.append(
            {
                "id": f"node/{node.name}",
                "type": "node",
                "name": node.name,
                "nodeid": 0 if alone else node.number,
                "ip": node.ip,
                "level": "",
                "local": int(node.name == request.via),
                "online": int(node.online),
            }
        )
    return rows


@route(
    "GET",
    "/cluster/nextid",
    fields={"vmid": Integer(optional=True, format=vm_id, minimum=100, maximum=999999999)},
    permission=all_users,
)
def get_next_id(world: World, request: Request) -> Json:
    """The first free id, as a string; with `vmid` whether that one is free."""
    wanted = request.params.get("vmid")
    if wanted is not None:
        if wanted in world.vms:
            raise bad_parameters({"vmid": f"VM {wanted} already exists"})
        return str(wanted)
    bounds = world.options.get("next-id", {})
    lower, upper = int(bounds.get("lower", 100)), int(bounds.get("upper", 1000000))
    free = next((vmid for vmid in range(lower, upper) if vmid not in world.vms), None)
    if free is None:
        raise failed(f"unable to get any free VMID in range [{lower}, {upper}]")
    return str(free)


@route(
    "GET",
    "/cluster/log",
    fields={"max": Integer(optional=True, minimum=1)},
    permission=all_users,
)
def get_log(world: World, request: Request) -> Json:
    """The newest entries first; without Sys.Syslog on / only one's own."""
    everything = allowed(world, request.identity, "/", ["Sys.Syslog"])
    who = str(request.identity)
    limit = request.params.get("max") or LOG_SHOWN
    found: list[dict[str, Any]] = []
    for entry in reversed(world.logbook):
        if len(found) >= limit:
            break
        if everything or entry.user == who:
            found.append(entry.row())
    return found
