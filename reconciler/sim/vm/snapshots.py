"""Snapshots of a VM: list, create, delete, config.

Sources: pve-guest-common PVE/AbstractConfig.pm, qemu-server PVE/API2/Qemu.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import all_users, perm
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import TaskFailed, failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import drives_of
from reconciler.sim.parameters.formats import config_id
from reconciler.sim.parameters.schema import Boolean, Text
from reconciler.sim.routes import Request, route
from reconciler.sim.vm.config import AUDIT, VM
from reconciler.sim.vm.locks import load, wait_flock
from reconciler.sim.vm.machine import Machine, Section, check_lock
from reconciler.sim.vm.pending import add_unused, settle
from reconciler.sim.vm.suspend import RUNS_AS, refuse_unsavable, state_storage
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

SNAPSHOT_SECONDS = 2.0
ONE = f"{VM}/snapshot/{{snapname}}"
NAME = Text(format=config_id, max_length=40)
MAY_SNAPSHOT = perm("/vms/{vmid}", "VM.Snapshot")
MAY_READ = perm("/vms/{vmid}", "VM.Snapshot", "VM.Snapshot.Rollback", "VM.Audit", any=True)
NOT_SAVED = frozenset(("snapstate", "snaptime", "vmstate", "lock", "description"))


@route("GET", f"{VM}/snapshot", permission=AUDIT, protected=True)
def listing(world: World, request: Request) -> list[dict[str, Any]]:
    machine = load(world, request.node, request.vmid)
    rows = [_row(name, saved) for name, saved in sorted(machine.snapshots.items())]
    now: dict[str, Any] = {
        "name": "current",
        "description": "You are here!",
        "digest": machine.digest(),
        "running": int(machine.running),
    }
    if "parent" in machine.config:
        now["parent"] = machine.config["parent"]
    return [*rows, now]


def _row(name: str, saved: Section) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": name,
        "description": saved.get("description", ""),
        "snaptime": saved.get("snaptime", 0),
        "vmstate": int("vmstate" in saved),
    }
    for key in ("parent", "snapstate"):
        if key in saved:
            row[key] = saved[key]
    return row


@route(
    "POST",
    f"{VM}/snapshot",
    fields={
        "snapname": NAME,
        "description": Text(optional=True),
        "vmstate": Boolean(optional=True),
    },
    permission=MAY_SNAPSHOT,
    protected=True,
)
def create(world: World, request: Request) -> str:
    params, name = request.params, str(request.params["snapname"])
    if name == "current" or name.lower() == "pending":
        raise failed(f"unable to use snapshot name '{name.lower()}' (reserved name)\n")
    machine = load(world, request.node, request.vmid)
    if params.get("vmstate"):
        refuse_unsavable(machine)
    args = {
        "vmid": request.vmid,
        "name": name,
        "text": params.get("description"),
        "memory": bool(params.get("vmstate")),
        "user": str(request.identity),
    }
    world.log(
        request.node, str(request.identity), "pvedaemon", f"snapshot VM {request.vmid}: {name}"
    )
    steps = [Step("snapshot.prepare", args)]
    return world.tasks.start(request.node, "qmsnapshot", request.vmid, request.identity, steps)


@step("snapshot.prepare")
def prepare(
    world: World, task: Task, vmid: int, name: str, text: str | None, memory: bool, user: str
) -> list[Step]:
    """Note the snapshot in the config under lock `snapshot`; the disks follow."""
    machine = load(world, task.node, vmid)
    wait_flock(world, machine, task.upid)
    if machine.template:
        raise TaskFailed("you can't take a snapshot if it's a template")
    check_lock(machine)
    if name in machine.snapshots:
        raise TaskFailed(f"snapshot name '{name}' already used")
    disks = [drive for drive in drives_of(machine.config) if not drive.is_cdrom]
    if not all(storage.has_feature(world, drive.file, "snapshot") for drive in disks):
        raise TaskFailed("snapshot feature is not available")
    saved: Section = {
        key: value
        for key, value in machine.config.items()
        if key not in NOT_SAVED and not key.startswith("unused")
    }
    saved["snaptime"] = int(world.now)
    saved["snapstate"] = "prepare"
    kept = options.stored("description", text or "")
    if kept:
        saved["description"] = kept
    if memory and machine.running:
        saved["vmstate"] = _save_memory(world, machine, name)
        saved.update(RUNS_AS)
    machine.snapshots[name] = saved
    machine.config["lock"] = "snapshot"
    task.on_fail = Step("snapshot.undo", {"vmid": vmid, "name": name})
    for drive in disks:
        task.say(f"snapshotting 'drive-{drive.key}' ({drive.file})")
    return [Step("snapshot.finish", {"vmid": vmid, "name": name}, SNAPSHOT_SECONDS)]


def _save_memory(world: World, machine: Machine, name: str) -> str:
    """A volume for the memory image, on the VM's state storage."""
    size = (2 * options.memory_of(machine.config.get("memory")) + 500) * storage.MIB
    place = state_storage(world, machine)
    stem = f"vm-{machine.vmid}-state-{name}"
    volume = storage.allocate(
        world, machine.node, place, machine.vmid, "raw", size, stem, used=size // 8
    )
    return volume.volid


@step("snapshot.finish")
def finish(world: World, task: Task, vmid: int, name: str) -> None:
    machine = load(world, task.node, vmid)
    wait_flock(world, machine, task.upid)
    saved = machine.snapshots[name]
    saved.pop("snapstate", None)
    for drive in drives_of(saved):
        volume = None if drive.is_cdrom else world.volume(machine.node, drive.file)
        if volume is not None:
            volume.snapshots.append(name)
    machine.config.pop("lock", None)
    machine.config["parent"] = name


@step("snapshot.undo")
def undo(world: World, task: Task, vmid: int, name: str) -> None:
    """A snapshot that failed half-way is removed again."""
    machine = world.vms.get(vmid)
    if machine is None or name not in machine.snapshots:
        return
    _drop_memory(world, machine, machine.snapshots.pop(name))
    if machine.lock == "snapshot":
        del machine.config["lock"]


def _drop_memory(world: World, machine: Machine, saved: Section) -> None:
    state = saved.get("vmstate")
    if state is not None:
        storage.free(world, machine.node, str(state))


@route("GET", ONE, fields={"snapname": NAME}, permission=all_users, proxy_node=False)
def index(world: World, request: Request) -> list[dict[str, str]]:
    return [{"cmd": "rollback"}, {"cmd": "config"}]


@route("GET", f"{ONE}/config", fields={"snapname": NAME}, permission=MAY_READ)
def read(world: World, request: Request) -> Section:
    """The saved section as it is: this is where a plain cipassword shows."""
    return dict(saved_as(load(world, request.node, request.vmid), str(request.params["snapname"])))


def saved_as(machine: Machine, name: str) -> Section:
    if name not in machine.snapshots:
        raise failed(f"snapshot '{name}' does not exist\n")
    return machine.snapshots[name]


@route(
    "PUT",
    f"{ONE}/config",
    fields={"snapname": NAME, "description": Text(optional=True)},
    permission=MAY_SNAPSHOT,
    protected=True,
)
def describe(world: World, request: Request) -> None:
    text = request.params.get("description")
    if text is None:
        return
    machine = load(world, request.node, request.vmid)
    wait_flock(world, machine)
    check_lock(machine)
    saved = saved_as(machine, str(request.params["snapname"]))
    saved["description"] = options.stored("description", text)
    if not saved["description"]:
        del saved["description"]


@route(
    "DELETE",
    ONE,
    fields={"snapname": NAME, "force": Boolean(optional=True)},
    permission=MAY_SNAPSHOT,
    protected=True,
)
def delete(world: World, request: Request) -> str:
    name = str(request.params["snapname"])
    load(world, request.node, request.vmid)
    said = f"delete snapshot VM {request.vmid}: {name}"
    world.log(request.node, str(request.identity), "pvedaemon", said)
    steps = [Step("snapshot.drop", {"vmid": request.vmid, "name": name})]
    return world.tasks.start(request.node, "qmdelsnapshot", request.vmid, request.identity, steps)


@step("snapshot.drop")
def drop(world: World, task: Task, vmid: int, name: str) -> list[Step]:
    machine = load(world, task.node, vmid)
    wait_flock(world, machine, task.upid)
    saved_as(machine, name)
    check_lock(machine)
    machine.config["lock"] = "snapshot-delete"
    machine.snapshots[name]["snapstate"] = "delete"
    return [Step("snapshot.dropped", {"vmid": vmid, "name": name}, SNAPSHOT_SECONDS)]


@step("snapshot.dropped")
def dropped(world: World, task: Task, vmid: int, name: str) -> None:
    """Children and the current state get the removed snapshot's parent."""
    machine = load(world, task.node, vmid)
    saved = machine.snapshots.pop(name)
    _drop_memory(world, machine, saved)
    for section in (machine.config, *machine.snapshots.values()):
        if section.get("parent") == name:
            del section["parent"]
            if "parent" in saved:
                section["parent"] = saved["parent"]
    for drive in drives_of(saved):
        volume = world.volume(machine.node, drive.file)
        if volume is not None and name in volume.snapshots:
            volume.snapshots.remove(name)
        if not drive.is_cdrom:
            add_unused(machine, drive.file)
    settle(machine)
    machine.config.pop("lock", None)
