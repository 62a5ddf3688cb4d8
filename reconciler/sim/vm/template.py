"""POST /nodes/N/qemu/V/template: turn a stopped VM into a template, for good."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import perm
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import failed
from reconciler.sim.parameters.drives import DRIVES, drives_of
from reconciler.sim.parameters.schema import Text
from reconciler.sim.routes import Request, route
from reconciler.sim.vm.config import VM
from reconciler.sim.vm.locks import load, take_flock, wait_flock
from reconciler.sim.vm.machine import Machine, check_lock
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

TEMPLATE_SECONDS = 1.0


@route(
    "POST",
    f"{VM}/template",
    fields={"disk": Text(optional=True, enum=DRIVES)},
    permission=perm("/vms/{vmid}", "VM.Allocate"),
    protected=True,
)
def make_template(world: World, request: Request) -> str:
    disk = request.params.get("disk")
    _may_become(load(world, request.node, request.vmid), disk)
    args = {"vmid": request.vmid, "disk": disk}
    steps = [Step("template.take", args), Step("template.convert", args, TEMPLATE_SECONDS)]
    return world.tasks.start(request.node, "qmtemplate", request.vmid, request.identity, steps)


def _may_become(machine: Machine, disk: str | None) -> None:
    check_lock(machine)
    if machine.snapshots:
        raise failed("unable to create template, because VM contains snapshots\n")
    if machine.template and disk is None:
        raise failed("you can't convert a template to a template\n")
    if machine.running:
        raise failed("you can't convert a VM to template if VM is running\n")


@step("template.take")
def take(world: World, task: Task, vmid: int, disk: str | None) -> None:
    machine = load(world, task.node, vmid)
    wait_flock(world, machine)
    take_flock(world, machine, task)
    _may_become(machine, disk)
    machine.config["template"] = 1


@step("template.convert")
def convert(world: World, task: Task, vmid: int, disk: str | None) -> None:
    """Rename the disks to base volumes; only those can be linked to."""
    machine = load(world, task.node, vmid)
    for drive in drives_of(machine.config):
        chosen = disk is None or drive.key == disk
        if chosen and not drive.is_cdrom and not _convertible(world, drive.file):
            raise failed(f"volume '{drive.file}' does not support template/clone\n")
    for drive in drives_of(machine.config):
        if drive.is_cdrom or (disk is not None and drive.key != disk):
            continue
        _store, name = storage.read_volid(world, drive.file)
        if name.is_base:
            continue
        base = storage.make_base(world, machine.node, drive.file)
        machine.config[drive.key] = replace(drive, file=base.volid).print()


def _convertible(world: World, volid: str) -> bool:
    _store, name = storage.read_volid(world, volid)
    return name.is_base or storage.has_feature(world, volid, "template")
