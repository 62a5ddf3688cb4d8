"""The flock of a VM's config file: who holds it, and what waits for it.

Tasks hold it while they work (a shutdown until the guest is off); calls and other tasks wait 10 s
and then fail with `can't lock file '/var/lock/qemu-server/lock-V.conf' - got timeout`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.cluster.tasks import Task
from reconciler.sim.errors import failed, lock_timeout
from reconciler.sim.vm.machine import Hold, Machine

if TYPE_CHECKING:
    from reconciler.sim.world import World


def wait_flock(
    world: World, machine: Machine, mine: str | None = None, shared: bool = False
) -> None:
    """Raise Blocked while somebody but the task `mine` holds the flock against us."""
    alive = []
    for hold in machine.holds:
        task = world.tasks.get(hold.task)
        if task is not None and task.running:
            alive.append(hold)
    machine.holds = alive
    against = [hold for hold in alive if hold.task != mine and not (shared and hold.shared)]
    if against:
        holder = world.tasks.get(against[0].task)
        raise lock_timeout(machine.vmid, holder.due if holder is not None else world.now)


def take_flock(world: World, machine: Machine, task: Task, shared: bool = False) -> None:
    """Hold the flock for a task until it ends or lets go. Raises Blocked."""
    wait_flock(world, machine, task.upid, shared)
    if all(hold.task != task.upid for hold in machine.holds):
        machine.holds.append(Hold(task.upid, shared))


def drop_flock(machine: Machine, task: Task) -> None:
    machine.holds = [hold for hold in machine.holds if hold.task != task.upid]


def load(world: World, node: str, vmid: int) -> Machine:
    """The VM on that node. Raises 500 `Configuration file ... does not exist`."""
    machine = world.vm(vmid, node)
    if machine is None:
        raise failed(f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist\n")
    return machine


def assert_exists(world: World, node: str, vmid: int) -> Machine:
    """The same for the calls that word it differently (clone, and stop inside its task)."""
    machine = world.vm(vmid, node)
    if machine is None:
        raise failed(f"unable to find configuration file for VM {vmid} on node '{node}'\n")
    return machine
