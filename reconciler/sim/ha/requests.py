"""What power and migration calls become for a VM under HA: tasks that only ask the manager.

They end when the request is queued, long before the VM has reached the state. Sources: qemu-server
PVE/API2/Qemu.pm (vm_start, vm_stop, vm_shutdown, migrate_vm), pve-ha-manager PVE/CLI/ha_manager.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import Identity
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import TaskFailed
from reconciler.sim.ha.book import Order, book, sid_of
from reconciler.sim.ha.rounds import wake

if TYPE_CHECKING:
    from reconciler.sim.world import World

ASK_SECONDS = 1.0


def ask_start(world: World, node: str, vmid: int, identity: Identity) -> str:
    """A hastart task: the requested state becomes `started`."""
    return _ask(world, node, "hastart", vmid, identity, Order("start", sid_of(vmid)))


def ask_stop(world: World, node: str, vmid: int, identity: Identity, timeout: int) -> str:
    """A hastop task: the requested state becomes `stopped`; `timeout` 0 stops hard."""
    order = Order("stop", sid_of(vmid), timeout=timeout)
    return _ask(world, node, "hastop", vmid, identity, order)


def ask_migration(world: World, node: str, vmid: int, target: str, identity: Identity) -> str:
    """A hamigrate task: the manager will migrate the VM online."""
    order = Order("migrate", sid_of(vmid), target)
    return _ask(world, node, "hamigrate", vmid, identity, order)


def _ask(world: World, node: str, kind: str, vmid: int, identity: Identity, order: Order) -> str:
    args = {
        "verb": order.verb,
        "sid": order.sid,
        "target": order.target,
        "timeout": order.timeout,
    }
    steps = [Step("ha.ask", args), Step("ha.queue", args, ASK_SECONDS)]
    return world.tasks.start(node, kind, vmid, identity, steps)


@step("ha.ask")
def ask(
    world: World, task: Task, verb: str, sid: str, target: str | None, timeout: int | None
) -> None:
    vmid = sid.partition(":")[2]
    where = f" to node {target}" if target is not None else ""
    word = {"migrate": "migration"}.get(verb, verb)
    task.say(f"Requesting HA {word} for VM {vmid}{where}")


@step("ha.queue")
def queue(
    world: World, task: Task, verb: str, sid: str, target: str | None, timeout: int | None
) -> None:
    """`start` writes the requested state at once, the others wait for the manager's round."""
    held = book(world)
    resource = held.resources.get(sid)
    if resource is None:
        task.say(f"resource '{sid}' is not HA managed")
        command = {"start": f"set {sid} --state started", "migrate": f"migrate {sid} {target}"}
        said = command.get(verb, f"crm-command stop {sid} {timeout}")
        raise TaskFailed(f"command 'ha-manager {said}' failed: exit code 255")
    if verb == "start":
        resource.state = "started"
    else:
        held.orders.append(Order(verb, sid, target, timeout))
    wake(world)
