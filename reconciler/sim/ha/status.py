"""/cluster/ha/status: what the managers say of quorum, nodes and services.

Sources: pve-ha-manager PVE/API2/HA/Status.pm, PVE/HA/Tools.pm (get_verbose_service_state).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import all_users, perm
from reconciler.sim.ha.book import ROOM, Book, Resource, Service, book, sid_of, vmid_of
from reconciler.sim.ha.fencing import node_state
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

AUDIT = perm("/", "Sys.Audit")
DEAD_AFTER = 30.0
SHOWN = ("group", "max_restart", "max_relocate", "failback", "comment")


def verbose(world: World, sid: str, resource: Resource | None, service: Service | None) -> str:
    """The state as people are told it."""
    wanted = "ignored" if resource is None else resource.wanted
    if wanted == "ignored":
        return "ignored"
    if service is None:
        return "queued"
    machine = world.vms.get(vmid_of(sid))
    running = machine is not None and machine.running
    if service.state == "stopped":
        return {"started": "starting", "disabled": "disabled"}.get(wanted, "stopped")
    if service.state == "started":
        if wanted in ("stopped", "disabled"):
            return "stopping"
        return "started" if running else "starting"
    if service.state == "error" and wanted == "disabled":
        return "clearing error flag"
    return service.state


def hastate(world: World, vmid: int) -> str | None:
    """The manager's state of a VM's service, for the lists of resources."""
    if ROOM not in world.rooms:
        return None
    service = book(world).services.get(sid_of(vmid))
    return None if service is None else service.state


def node_hastate(world: World, name: str) -> str | None:
    """The manager's state of a node; None before there is a manager."""
    if ROOM not in world.rooms or book(world).master is None:
        return None
    return node_state(world, book(world), name)


def ha_of(world: World, vmid: int) -> dict[str, Any]:
    """The `ha` part of a VM's status."""
    held = book(world) if ROOM in world.rooms else Book()
    resource = held.resources.get(sid_of(vmid))
    if resource is None or resource.wanted == "ignored":
        return {"managed": 0}
    service = held.services.get(sid_of(vmid))
    row: dict[str, Any] = {"managed": 1, "state": None if service is None else service.state}
    if world.major < 9:
        row["group"] = resource.group
    return row


@route("GET", "/cluster/ha", permission=AUDIT)
def list_parts(world: World, request: Request) -> Json:
    rules = "rules" if world.major >= 9 else "groups"
    return [{"id": name} for name in ("status", "resources", rules)]


@route("GET", "/cluster/ha/status", permission=all_users)
def list_statuses(world: World, request: Request) -> Json:
    return [{"name": "current"}, {"name": "manager_status"}]


@route("GET", "/cluster/ha/status/current", permission=AUDIT)
def get_current(world: World, request: Request) -> Json:
    held, via = book(world), request.via
    rows: list[dict[str, Any]] = [
        {
            "id": "quorum",
            "type": "quorum",
            "node": via,
            "quorate": int(world.quorate),
            "status": "OK" if world.quorate else f"No quorum on node '{via}'!",
        }
    ]
    if held.master is None:
        return rows + [service_row(world, held, sid) for sid in sorted(held.resources)]
    rows.append(manager_row(world, "master", held.master, _master_word(held)))
    for name in sorted(world.nodes):
        rows.append(manager_row(world, "lrm", name, _lrm_word(world, held, name)))
    known = sorted(held.services)
    queued = sorted(set(held.resources) - set(known))
    return rows + [service_row(world, held, sid) for sid in [*known, *queued]]


def _master_word(held: Book) -> str:
    return "active" if held.resources else "idle"


def _lrm_word(world: World, held: Book, name: str) -> str:
    if name in held.maintenance:
        return "maintenance mode"
    if not world.nodes[name].online:
        return "old timestamp - dead?"
    busy = any(one.node == name and one.state != "stopped" for one in held.services.values())
    return "active" if busy else "idle"


def manager_row(world: World, kind: str, node: str, word: str) -> dict[str, Any]:
    stamp = int(world.now if world.nodes[node].online else last_seen(world, node))
    said = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(stamp))
    return {
        "id": "master" if kind == "master" else f"lrm:{node}",
        "type": kind,
        "node": node,
        "status": f"{node} ({word}, {said})",
        "timestamp": stamp,
    }


def last_seen(world: World, node: str) -> float:
    return book(world).lost.get(node, world.now - DEAD_AFTER)


def service_row(world: World, held: Book, sid: str) -> dict[str, Any]:
    resource, service = held.resources.get(sid), held.services.get(sid)
    machine = world.vms.get(vmid_of(sid))
    state = verbose(world, sid, resource, service)
    row: dict[str, Any] = {"id": f"service:{sid}", "type": "service", "sid": sid, "state": state}
    if service is not None:
        row |= {"node": service.node, "crm_state": service.state}
    elif machine is not None:
        row["node"] = machine.node
    row["status"] = f"{sid} ({row.get('node', '---')}, {state})"
    if resource is not None:
        row["request_state"] = resource.wanted
        given = {key: getattr(resource, key) for key in SHOWN}
        defaults = {"max_restart": 1, "max_relocate": 1}
        row |= defaults | {key: value for key, value in given.items() if value is not None}
    return row


@route("GET", "/cluster/ha/status/manager_status", permission=AUDIT)
def get_manager_status(world: World, request: Request) -> Json:
    """The managers' own files, as JSON."""
    held = book(world)
    status: dict[str, Any] = {}
    answer: dict[str, Any] = {
        "manager_status": status,
        "quorum": {"node": request.via, "quorate": int(world.quorate)},
    }
    if held.master is None:
        return answer
    status |= {
        "master_node": held.master,
        "timestamp": int(world.now),
        "node_status": {name: node_state(world, held, name) for name in world.nodes},
        "service_status": {
            sid: {"node": one.node, "state": one.state, "uid": f"{sid}:{one.node}"}
            for sid, one in sorted(held.services.items())
        },
    }
    words = {name: _lrm_word(world, held, name) for name in world.nodes}
    answer["lrm_status"] = {
        name: {
            "mode": "maintenance" if name in held.maintenance else "active",
            "results": {},
            "state": "active" if words[name] == "active" else "wait_for_agent_lock",
            "timestamp": int(world.now if node.online else last_seen(world, name)),
        }
        for name, node in world.nodes.items()
    }
    return answer
