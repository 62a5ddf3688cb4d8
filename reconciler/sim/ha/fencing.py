"""Dead nodes: after a minute they are fenced, after two their services are recovered elsewhere.

Source: pve-ha-manager PVE/HA/{Manager,NodeStatus}.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.cluster.traffic import keep_run
from reconciler.sim.ha.book import Book, Service, vmid_of
from reconciler.sim.ha.placement import best_node
from reconciler.sim.vm.machine import Machine

if TYPE_CHECKING:
    from reconciler.sim.world import World

FENCE_AFTER = 60.0
RECOVER_AFTER = 120.0


def node_state(world: World, held: Book, name: str) -> str:
    """The manager's word for a node: online, unknown, fence, gone or maintenance."""
    if world.nodes[name].online:
        return "maintenance" if name in held.maintenance else "online"
    since = held.lost.get(name)
    if since is None or passed(world, since) < FENCE_AFTER:
        return "unknown"
    return "fence" if _services_on(held, name) else "gone"


def passed(world: World, since: float) -> float:
    """Seconds of the cluster's time since then."""
    return (world.now - since) * world.speed


def _services_on(held: Book, node: str) -> list[str]:
    return [sid for sid, one in sorted(held.services.items()) if one.node == node]


def look(world: World, held: Book) -> None:
    """Note who is missing; fence and recover the services of those that stay away."""
    for name, node in world.nodes.items():
        if node.online:
            if held.lost.pop(name, None) is not None:
                _welcome(world, held, name)
            continue
        if not _services_on(held, name):
            held.lost.pop(name, None)
            continue
        since = held.lost.setdefault(name, world.now)
        for sid in _services_on(held, name):
            _judge(world, sid, held.services[sid], passed(world, since))


def _welcome(world: World, held: Book, name: str) -> None:
    """A fenced node is back, freshly booted: what could go nowhere else starts there."""
    for sid in _services_on(held, name):
        service = held.services[sid]
        if service.state in ("fence", "recovery"):
            _power_off(world.vms[vmid_of(sid)], world.now)
            service.state = "request_start"


def _power_off(machine: Machine, at: float) -> None:
    keep_run(machine, at)
    machine.status, machine.pid, machine.started_at = "stopped", 0, 0.0
    machine.devices.clear()
    machine.holds.clear()


def _judge(world: World, sid: str, service: Service, seconds: float) -> None:
    if seconds >= FENCE_AFTER and service.state not in ("fence", "recovery"):
        service.state, service.task, service.target = "fence", None, None
    if seconds >= RECOVER_AFTER:
        service.state = "recovery"
        _recover(world, sid, service)


def _recover(world: World, sid: str, service: Service) -> None:
    """The fenced node is off: its config file is moved, the VM is started by its new node."""
    target = best_node(world, sid, [service.node])
    if target is None:
        return
    machine = world.vms[vmid_of(sid)]
    _power_off(machine, world.now)
    if machine.lock in ("backup", "migrate", "snapshot", "rollback"):
        del machine.config["lock"]
    machine.node = service.node = target
    service.state = "request_start"
