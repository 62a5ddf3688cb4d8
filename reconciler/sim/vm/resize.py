"""PUT /nodes/N/qemu/V/resize: grow a disk. All failures but a bad parameter are in the task."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, check, perm
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import TaskFailed, failed
from reconciler.sim.parameters.drives import DRIVES, Drive, parse_drive
from reconciler.sim.parameters.schema import Boolean, Text
from reconciler.sim.parameters.values import UNITS
from reconciler.sim.parameters.volnames import split_volid
from reconciler.sim.routes import Request, route
from reconciler.sim.vm import config_rights as rights
from reconciler.sim.vm.config import DIGEST, VM
from reconciler.sim.vm.locks import load, take_flock
from reconciler.sim.vm.machine import Machine, check_lock
from reconciler.sim.vm.update import STALE
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

RESIZE_SECONDS = 1.0
SIZE = re.compile(r"(\+)?(\d+(?:\.\d+)?)([KMGT])?\Z")


@route(
    "PUT",
    f"{VM}/resize",
    fields={
        "disk": Text(enum=DRIVES),
        "size": Text(pattern=r"\+?\d+(?:\.\d+)?[KMGT]?"),
        "digest": DIGEST,
        "skiplock": Boolean(optional=True),
    },
    permission=perm("/vms/{vmid}", "VM.Config.Disk"),
    protected=True,
)
def resize(world: World, request: Request) -> str:
    params = request.params
    rights.refuse_root_options(request.identity, params, "skiplock")
    args: dict[str, Any] = {
        "vmid": request.vmid,
        "disk": params["disk"],
        "size": params["size"].rstrip("\n"),
        "digest": params.get("digest"),
        "skip": bool(params.get("skiplock")),
        "user": str(request.identity),
    }
    steps = [Step("resize.begin", args)]
    return world.tasks.start(request.node, "resize", request.vmid, request.identity, steps)


@step("resize.begin")
def begin(
    world: World,
    task: Task,
    vmid: int,
    disk: str,
    size: str,
    digest: str | None,
    skip: bool,
    user: str,
) -> list[Step] | None:
    machine = load(world, task.node, vmid)
    take_flock(world, machine, task)
    if digest and digest != machine.digest():
        raise failed(STALE)
    check_lock(machine, skip)
    drive = _drive(machine, disk)
    place = drive.file.partition(":")[0]
    check(world, Identity.parse(user), f"/storage/{place}", ["Datastore.AllocateSpace"])
    current = storage.existing(world, task.node, drive.file).size
    wanted = wanted_size(size, current)
    if wanted < current:
        raise TaskFailed("shrinking disks is not supported")
    if wanted == current:
        return None
    said = f"update VM {vmid}: resize --disk {disk} --size {size}"
    world.log(task.node, user, "pvedaemon", said)
    args = {"vmid": vmid, "disk": disk, "size": wanted}
    return [Step("resize.finish", args, RESIZE_SECONDS)]


def _drive(machine: Machine, disk: str) -> Drive:
    value = machine.text(disk)
    drive = parse_drive(disk, value) if value is not None else None
    if drive is None:
        raise TaskFailed(f"disk '{disk}' does not exist")
    if split_volid(drive.file) is None:
        raise TaskFailed(f"unable to parse volume ID '{drive.file}'")
    if drive.is_cdrom:
        raise TaskFailed("you can't resize a cdrom")
    return drive


def wanted_size(text: str, current: int) -> int:
    """`+1G` on top of the current bytes, anything else absolute; a plain number is bytes."""
    found = SIZE.match(text)
    if found is None:
        raise TaskFailed("internal error")
    size = int(float(found[2]) * UNITS[found[3] or ""])
    return size + current if found[1] else size


@step("resize.finish")
def finish(world: World, task: Task, vmid: int, disk: str, size: int) -> None:
    machine = load(world, task.node, vmid)
    drive = _drive(machine, disk)
    storage.resize(world, task.node, drive.file, size)
    task.say("Image resized.")
    machine.config[disk] = replace(drive, size=size).print()
