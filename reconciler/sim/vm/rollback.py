"""Back to a snapshot of a VM.

Sources: pve-guest-common PVE/AbstractConfig.pm (snapshot_rollback), qemu-server PVE/API2/Qemu.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import Identity, perm
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import TaskFailed
from reconciler.sim.parameters.drives import drives_of
from reconciler.sim.parameters.schema import Boolean
from reconciler.sim.routes import Request, route
from reconciler.sim.vm.locks import drop_flock, load, take_flock
from reconciler.sim.vm.machine import check_lock
from reconciler.sim.vm.pending import add_unused, settle
from reconciler.sim.vm.power import START_SECONDS, start_task, switch_off, switch_on
from reconciler.sim.vm.snapshots import NAME, ONE, SNAPSHOT_SECONDS, saved_as

if TYPE_CHECKING:
    from reconciler.sim.world import World

MAY_ROLL_BACK = perm("/vms/{vmid}", "VM.Snapshot", "VM.Snapshot.Rollback", any=True)


@route(
    "POST",
    f"{ONE}/rollback",
    fields={"snapname": NAME, "start": Boolean(optional=True)},
    permission=MAY_ROLL_BACK,
    protected=True,
)
def roll_back(world: World, request: Request) -> str:
    name = str(request.params["snapname"])
    args = {
        "vmid": request.vmid,
        "name": name,
        "start": bool(request.params.get("start")),
        "user": str(request.identity),
    }
    said = f"rollback snapshot VM {request.vmid}: {name}"
    world.log(request.node, str(request.identity), "pvedaemon", said)
    steps = [Step("snapshot.back", args)]
    return world.tasks.start(request.node, "qmrollback", request.vmid, request.identity, steps)


@step("snapshot.back")
def back(world: World, task: Task, vmid: int, name: str, start: bool, user: str) -> list[Step]:
    """Stop the VM and lock it; the disks go back to the snapshot."""
    machine = load(world, task.node, vmid)
    take_flock(world, machine, task)
    if machine.template:
        raise TaskFailed("you can't rollback if vm is a template")
    if "snapstate" in saved_as(machine, name):
        state = machine.snapshots[name]["snapstate"]
        raise TaskFailed(f"unable to rollback to incomplete snapshot (snapstate = {state})")
    check_lock(machine)
    if machine.running:
        switch_off(world, machine, Identity.parse(user))
    machine.config["lock"] = "rollback"
    args = {"vmid": vmid, "name": name, "start": start, "user": user}
    return [Step("snapshot.restored", args, SNAPSHOT_SECONDS)]


@step("snapshot.restored")
def restored(
    world: World, task: Task, vmid: int, name: str, start: bool, user: str
) -> list[Step] | None:
    """The config is the snapshot's, but for the description and unused disks."""
    machine = load(world, task.node, vmid)
    saved = machine.snapshots[name]
    old = machine.config
    kept = {
        key: value for key, value in old.items() if key == "description" or key.startswith("unused")
    }
    gone = {"description", "snaptime", "snapstate", "vmstate", "runningmachine", "runningcpu"}
    machine.config = {key: value for key, value in saved.items() if key not in gone} | kept
    machine.config["parent"] = name
    if machine.config.get("vmgenid"):
        machine.config["vmgenid"] = world.new_uuid()
    machine.pending.clear()
    machine.pending_delete.clear()
    machine.cloudinit.clear()
    there = {drive.file for drive in drives_of(saved)}
    for drive in drives_of(old):
        if not drive.is_cdrom and drive.file not in there:
            add_unused(machine, drive.file)
    settle(machine)
    if "vmstate" in saved:
        return [Step("snapshot.resumed", {"vmid": vmid}, START_SECONDS)]
    if start:
        drop_flock(machine, task)
        start_task(world, task.node, vmid, Identity.parse(user))
    return None


@step("snapshot.resumed")
def resumed(world: World, task: Task, vmid: int) -> None:
    switch_on(world, load(world, task.node, vmid), task.pid + 20)
