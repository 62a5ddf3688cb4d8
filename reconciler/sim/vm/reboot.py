"""Reboot and reset of a VM.

Sources: qemu-server PVE/API2/Qemu.pm, PVE/QemuServer.pm (vm_reboot, vm_reset).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import Identity
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import Refusal
from reconciler.sim.routes import Request, route
from reconciler.sim.vm import config_rights as rights
from reconciler.sim.vm.cloudinit import generate_drive
from reconciler.sim.vm.locks import drop_flock, load, take_flock
from reconciler.sim.vm.machine import check_lock
from reconciler.sim.vm.pending import apply_pending
from reconciler.sim.vm.power import (
    POWER,
    SKIPLOCK,
    STATUS,
    TIMEOUT,
    at_rest_or_locked,
    need_running,
    power_down,
    refuse_paused,
    switch_off,
    switch_on,
    who,
)

if TYPE_CHECKING:
    from reconciler.sim.world import World

RESTART_SECONDS = 2.0


@route("POST", f"{STATUS}/reboot", fields=TIMEOUT, permission=POWER, protected=True)
def reboot(world: World, request: Request) -> str:
    """Shutdown and start again; the task ends when the guest is off, before it is back."""
    refuse_paused(world, request)
    need_running(world, request)
    args = {"vmid": request.vmid, "timeout": request.params.get("timeout")}
    steps = [Step("power.reboot", {**args, "user": str(request.identity)})]
    return world.tasks.start(request.node, "qmreboot", request.vmid, request.identity, steps)


@step("power.reboot")
def begin_reboot(
    world: World, task: Task, vmid: int, timeout: int | None, user: str
) -> list[Step] | None:
    machine = at_rest_or_locked(world, task, vmid, skip=False)
    if machine is None:
        return None
    return power_down(world, machine, timeout, False, Step("power.cycle", who(vmid, user)))


@step("power.cycle")
def cycle(world: World, task: Task, vmid: int, user: str) -> None:
    machine = load(world, task.node, vmid)
    switch_off(world, machine, Identity.parse(user))
    drop_flock(machine, task)
    args = {"vmid": vmid, "pid": task.pid + 40}
    world.tasks.later(task.node, [Step("power.back", args, RESTART_SECONDS)])


@step("power.back")
def back(world: World, task: Task, vmid: int, pid: int) -> None:
    """qmeventd starts the VM again after a reboot, unless somebody was faster."""
    machine = world.vm(vmid, task.node)
    if machine is None or machine.running or machine.lock is not None:
        return
    take_flock(world, machine, task)
    apply_pending(world, machine, Identity("root@pam"))
    try:
        generate_drive(world, machine)
    except Refusal:
        return
    switch_on(world, machine, pid)


@route("POST", f"{STATUS}/reset", fields=SKIPLOCK, permission=POWER, protected=True)
def reset(world: World, request: Request) -> str:
    """Hard reset of the same QEMU process: nothing pending is applied."""
    rights.refuse_root_options(request.identity, request.params, "skiplock")
    need_running(world, request)
    args = {"vmid": request.vmid, "skip": bool(request.params.get("skiplock"))}
    steps = [Step("power.reset", args)]
    return world.tasks.start(request.node, "qmreset", request.vmid, request.identity, steps)


@step("power.reset")
def do_reset(world: World, task: Task, vmid: int, skip: bool) -> None:
    machine = load(world, task.node, vmid)
    take_flock(world, machine, task)
    check_lock(machine, skip)
