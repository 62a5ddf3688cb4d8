"""The local resource managers: they start, stop and move VMs as the manager decided.

What they do are ordinary tasks of root@pam on the VM's node. Source: pve-ha-manager PVE/HA/LRM.pm,
PVE/HA/Resources/PVEVM.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import ROOT, Identity
from reconciler.sim.ha.book import Book, Service, book, vmid_of
from reconciler.sim.ha.placement import best_node
from reconciler.sim.vm.machine import Machine
from reconciler.sim.vm.migrate import begin
from reconciler.sim.vm.migration import StorageMap
from reconciler.sim.vm.power import shutdown_task, start_task, stop_task

if TYPE_CHECKING:
    from reconciler.sim.world import World

MAX_RESTART = 1
MAX_RELOCATE = 1
SHUTDOWN_TIMEOUT = 60
MOVES = ("migrate", "relocate")


def work(world: World, sid: str, service: Service) -> None:
    """Follow the running worker, or begin what the service's state asks for."""
    machine = world.vms.get(vmid_of(sid))
    if machine is None or not world.nodes[service.node].online:
        return
    if service.task is not None and not _finished(world, sid, service):
        return
    if service.state == "started":
        _keep_running(world, machine, service)
    elif service.state == "request_stop":
        _bring_down(world, machine, service)
    elif service.state in MOVES:
        _move(world, machine, service)


def _finished(world: World, sid: str, service: Service) -> bool:
    """Whether the worker has ended; its result changes the service."""
    task = world.tasks.get(service.task or "")
    if task is not None and task.running:
        return False
    failed = task is None or task.failed
    service.task = None
    if service.state == "started" and failed:
        _count_failure(world, book(world), sid, service)
    elif service.state == "started":
        service.failures, service.relocations = 0, 0
        service.failed_nodes.clear()
    return True


def _count_failure(world: World, held: Book, sid: str, service: Service) -> None:
    """Try again here, then elsewhere, then give up. Source: Manager.pm next_state_started."""
    resource = held.resources.get(sid)
    restarts = MAX_RESTART if resource is None else resource.restarts(MAX_RESTART)
    relocations = MAX_RELOCATE if resource is None else resource.relocations(MAX_RELOCATE)
    service.failures += 1
    if service.failures <= restarts:
        return
    service.failed_nodes.append(service.node)
    target = best_node(world, sid, service.failed_nodes)
    if service.relocations >= relocations or target is None:
        service.state = "error"
        return
    service.relocations += 1
    service.failures = 0
    service.state, service.target, service.online = "relocate", target, False


def _keep_running(world: World, machine: Machine, service: Service) -> None:
    if not machine.running and machine.node == service.node:
        service.task = start_task(world, machine.node, machine.vmid, Identity(ROOT))


def _bring_down(world: World, machine: Machine, service: Service) -> None:
    if not machine.running:
        service.state, service.timeout = "stopped", None
        return
    timeout = SHUTDOWN_TIMEOUT if service.timeout is None else service.timeout
    who = Identity(ROOT)
    if timeout == 0:
        service.task = stop_task(world, machine.node, machine.vmid, who)
    else:
        service.task = shutdown_task(world, machine.node, machine.vmid, who, timeout)


def _move(world: World, machine: Machine, service: Service) -> None:
    """A relocation shuts the VM down first; a move that failed leaves the service where it is."""
    target = service.target
    if machine.node == target or target is None or service.tried:
        service.node, service.target, service.tried = machine.node, None, False
        service.state = "started"
        return
    if machine.running and not service.online:
        who = Identity(ROOT)
        service.task = shutdown_task(world, machine.node, machine.vmid, who, SHUTDOWN_TIMEOUT)
        return
    service.tried = True
    service.task = begin(world, machine, target, Identity(ROOT), StorageMap())
