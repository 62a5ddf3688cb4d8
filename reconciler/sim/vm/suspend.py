"""Suspend and resume: a pause of the same QEMU process, or its memory saved to disk.

Sources: qemu-server PVE/API2/Qemu.pm, PVE/QemuServer.pm (vm_suspend, vm_resume).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import check
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.cluster.traffic import keep_run
from reconciler.sim.errors import TaskFailed, failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import drives_of
from reconciler.sim.parameters.formats import storage_id
from reconciler.sim.parameters.schema import Boolean, Text
from reconciler.sim.parameters.volnames import split_volid
from reconciler.sim.routes import Request, route
from reconciler.sim.vm import config_rights as rights
from reconciler.sim.vm.locks import assert_exists, drop_flock, load, take_flock
from reconciler.sim.vm.machine import Machine, check_lock
from reconciler.sim.vm.power import POWER, SKIPLOCK, STATUS, need_running
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

SUSPEND_SECONDS = 5.0
PASSED_THROUGH = (
    "cannot suspend VM to disk due to passed-through PCI device(s), which lack the possibility to"
    " save/restore their internal state\n"
)
RUNS_AS = {
    "runningmachine": "pc-i440fx-7.2+pve0",
    "runningcpu": "kvm64,enforce,+kvm_pv_eoi,+kvm_pv_unhalt,+lahf_lm,+sep",
}
"""What a VM with saved memory has to be started as."""


@route(
    "POST",
    f"{STATUS}/suspend",
    fields={
        **SKIPLOCK,
        "todisk": Boolean(optional=True),
        "statestorage": Text(optional=True, format=storage_id, requires="todisk"),
    },
    permission=POWER,
    protected=True,
)
def suspend(world: World, request: Request) -> str:
    """Pause (qmpause), or with `todisk` save the memory and stop (qmsuspend)."""
    params, vmid, identity = request.params, request.vmid, request.identity
    rights.refuse_root_options(identity, params, "skiplock")
    machine = need_running(world, request)
    args = {"vmid": vmid, "skip": bool(params.get("skiplock"))}
    if not params.get("todisk"):
        steps = [Step("power.pause", args)]
        return world.tasks.start(request.node, "qmpause", vmid, identity, steps)
    check(world, identity, f"/vms/{vmid}", ["VM.Config.Disk"])
    if any(key.startswith("hostpci") for key in machine.config):
        raise failed(PASSED_THROUGH)
    place = str(params.get("statestorage") or state_storage(world, machine))
    check(world, identity, f"/storage/{place}", ["Datastore.AllocateSpace"])
    steps = [Step("power.save", {**args, "place": place, "user": str(identity)})]
    return world.tasks.start(request.node, "qmsuspend", vmid, identity, steps)


def state_storage(world: World, machine: Machine) -> str:
    """Where a memory image goes: vmstatestorage, else a storage with a disk of the VM, shared and
    file-based ones first, else `local` (qemu-server PVE/QemuServer.pm, find_vmstate_storage)."""
    wanted = machine.text("vmstatestorage")
    if wanted:
        return wanted
    parts = [split_volid(one.file) for one in drives_of(machine.config) if not one.is_cdrom]
    found: dict[bool, str] = {}
    for name in sorted({one[0] for one in parts if one is not None}):
        store = storage.storage_of(world, name)
        if store.shared not in found or store.path is not None:
            found[store.shared] = name
    return found.get(True) or found.get(False) or "local"


def refuse_unsavable(machine: Machine) -> None:
    """Raise 500 for what a saved memory cannot hold."""
    kinds = [
        kind
        for kind in ("amd-sev", "virtiofs")
        if any(key.rstrip("0123456789") == kind for key in machine.config)
    ]
    if kinds:
        text = "Cannot live-migrate, snapshot (with RAM), or hibernate a VM with: "
        raise failed(f"{text}{', '.join(kinds)}\n")


@step("power.pause")
def pause(world: World, task: Task, vmid: int, skip: bool) -> None:
    machine = load(world, task.node, vmid)
    take_flock(world, machine, task)
    check_lock(machine, skip or machine.lock == "backup")
    machine.status = "paused"


@step("power.save")
def begin_save(
    world: World, task: Task, vmid: int, skip: bool, place: str, user: str
) -> list[Step]:
    machine = load(world, task.node, vmid)
    take_flock(world, machine, task)
    if machine.lock == "backup":
        raise TaskFailed("cannot suspend to disk during backup")
    check_lock(machine, skip)
    refuse_unsavable(machine)
    size = (2 * options.memory_of(machine.config.get("memory")) + 500) * storage.MIB
    day = datetime.fromtimestamp(world.now, tz=UTC).strftime("%Y-%m-%d")
    store = storage.enabled_storage(world, place, task.node)
    volume = storage.allocate(
        world,
        task.node,
        store.name,
        vmid,
        "raw",
        size,
        f"vm-{vmid}-state-suspend-{day}",
    )
    machine.config.update(lock="suspending", vmstate=volume.volid, **RUNS_AS)
    drop_flock(machine, task)
    return [Step("power.saved", {"vmid": vmid, "user": user}, SUSPEND_SECONDS)]


@step("power.saved")
def finish_save(world: World, task: Task, vmid: int, user: str) -> None:
    machine = load(world, task.node, vmid)
    take_flock(world, machine, task)
    machine.config["lock"] = "suspended"
    machine.config["runningmachine"] = "pc-i440fx-7.2+pve0"
    keep_run(machine, world.now)
    machine.status, machine.pid, machine.started_at = "stopped", 0, 0.0


@route(
    "POST",
    f"{STATUS}/resume",
    fields={**SKIPLOCK, "nocheck": Boolean(optional=True)},
    permission=POWER,
    protected=True,
)
def resume(world: World, request: Request) -> str:
    """Go on after a pause, or start a VM that was suspended to disk."""
    params, vmid, identity = request.params, request.vmid, request.identity
    rights.refuse_root_options(identity, params, "skiplock", "nocheck")
    machine = assert_exists(world, request.node, vmid)
    skip = bool(params.get("skiplock"))
    first = Step("power.resume", {"vmid": vmid, "skip": skip})
    if machine.lock == "suspended":
        first = Step("power.start", {"vmid": vmid, "skip": skip, "user": str(identity)})
    elif not machine.running:
        raise failed(f"VM {vmid} not running\n")
    return world.tasks.start(request.node, "qmresume", vmid, identity, [first])


@step("power.resume")
def go_on(world: World, task: Task, vmid: int, skip: bool) -> None:
    machine = load(world, task.node, vmid)
    take_flock(world, machine, task)
    check_lock(machine, skip or machine.lock == "backup")
    machine.status = "running"
