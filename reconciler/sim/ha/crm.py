"""The cluster resource manager: a round every 10 s that decides the state of every service.

A round lets the nodes' local managers work first, so what one round decides is done in the next.
No round is held while nothing can differ; every change of the world wakes the manager.
Source: pve-ha-manager PVE/HA/Manager.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.cluster.tasks import Task, step
from reconciler.sim.ha import fencing, lrm
from reconciler.sim.ha.book import Book, Order, Service, book, vmid_of
from reconciler.sim.ha.placement import best_node, usable_nodes
from reconciler.sim.ha.rounds import wake

if TYPE_CHECKING:
    from reconciler.sim.world import World


@step("ha.round")
def hold_round(world: World, task: Task) -> None:
    held = book(world)
    held.next_round = 0.0
    if world.quorate:
        if held.master not in usable_nodes(world):
            held.master = next(iter(usable_nodes(world)), None)
        for sid in sorted(held.services):
            lrm.work(world, sid, held.services[sid])
        _take_orders(held)
        _sort_services(world, held)
        fencing.look(world, held)
        for sid in sorted(held.services):
            decide(world, held, sid, held.services[sid])
    if not settled(world, held):
        wake(world)


def settled(world: World, held: Book) -> bool:
    """Whether another round would change nothing."""
    at_rest = all(one.settled for one in held.services.values())
    known = all(sid in held.services for sid in held.resources if _counts(world, held, sid))
    return world.quorate and at_rest and known and not held.orders and not held.lost


def _counts(world: World, held: Book, sid: str) -> bool:
    """Whether a resource is one for the manager: its VM is there and it is not ignored."""
    return vmid_of(sid) in world.vms and held.resources[sid].wanted != "ignored"


def _take_orders(held: Book) -> None:
    """A stop changes the requested state; a move waits in the list for its service."""
    waiting: list[Order] = []
    for order in held.orders:
        resource = held.resources.get(order.sid)
        if resource is None:
            continue
        if order.verb == "stop":
            resource.state = "stopped"
            if order.sid in held.services:
                held.services[order.sid].timeout = order.timeout
        else:
            waiting.append(order)
    held.orders = waiting


def _sort_services(world: World, held: Book) -> None:
    """New resources become services, those that are gone or ignored are let go."""
    for sid in sorted(held.resources):
        if sid not in held.services and _counts(world, held, sid):
            wanted = held.resources[sid].wanted
            state = "request_start" if wanted == "started" else "request_stop"
            held.services[sid] = Service(state, world.vms[vmid_of(sid)].node)
    for sid in sorted(held.services):
        if sid not in held.resources or not _counts(world, held, sid):
            del held.services[sid]
            continue
        service, machine = held.services[sid], world.vms[vmid_of(sid)]
        if service.task is None and service.state in ("started", "stopped"):
            service.node = machine.node


def decide(world: World, held: Book, sid: str, service: Service) -> None:
    """The next state of one service."""
    wanted = held.resources[sid].wanted
    service.settled = False
    if service.task is not None or not world.nodes[service.node].online:
        return
    if service.state == "request_start":
        service.state = "started"
    elif service.state == "error":
        service.settled = wanted != "disabled"
        if not service.settled:
            service.state, service.failures, service.relocations = "stopped", 0, 0
            service.failed_nodes.clear()
    elif service.state == "started":
        _decide_started(world, held, sid, service, wanted)
    elif service.state == "stopped":
        _decide_stopped(world, held, sid, service, wanted)


def _order_for(held: Book, sid: str) -> Order | None:
    found = next((one for one in held.orders if one.sid == sid), None)
    if found is not None:
        held.orders.remove(found)
    return found


def _decide_started(world: World, held: Book, sid: str, service: Service, wanted: str) -> None:
    machine = world.vms[vmid_of(sid)]
    if wanted != "started":
        service.state = "request_stop"
        return
    order = _order_for(held, sid)
    if order is not None and order.target != service.node:
        _move(world, service, order.verb, order.target)
        return
    failing = service.failures or service.failed_nodes
    place = None if failing else _place(world, held, sid, service)
    if place is not None and place != service.node:
        _move(world, service, "migrate", place)
        return
    service.settled = machine.running and machine.node == service.node


def _place(world: World, held: Book, sid: str, service: Service) -> str | None:
    """Where the service should be: back home when that node's maintenance is over."""
    if service.node in held.maintenance:
        service.home = service.home or service.node
    elif service.home is not None and service.home in usable_nodes(world):
        home, service.home = service.home, None
        return home
    return best_node(world, sid, service.failed_nodes)


def _move(world: World, service: Service, verb: str, target: str | None) -> None:
    """A target that is not online and not in maintenance is ignored."""
    if target in usable_nodes(world):
        service.state, service.target = verb, target
        service.online = verb == "migrate"


def _decide_stopped(world: World, held: Book, sid: str, service: Service, wanted: str) -> None:
    order = _order_for(held, sid)
    if order is not None and order.target != service.node:
        _move(world, service, order.verb, order.target)
    elif wanted == "started":
        service.state = "started"
    else:
        service.settled = not world.vms[vmid_of(sid)].running
