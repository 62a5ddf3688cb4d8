"""DELETE /nodes/N/qemu/V: the VM, its disks, rights, pool membership and firewall file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import perm
from reconciler.sim.accounts.pools import forget_vm
from reconciler.sim.backup.jobs import forget_guest
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import failed
from reconciler.sim.firewall.files import drop_firewall
from reconciler.sim.ha.book import book, sid_of
from reconciler.sim.ha.resources import forget
from reconciler.sim.parameters.drives import is_drive, parse_drive
from reconciler.sim.parameters.schema import Boolean
from reconciler.sim.routes import Request, route
from reconciler.sim.vm import config_rights as rights
from reconciler.sim.vm.config import VM
from reconciler.sim.vm.locks import load, take_flock
from reconciler.sim.vm.machine import Machine, check_lock, check_protection, sections
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

DESTROY_SECONDS = 2.0


@route(
    "DELETE",
    VM,
    fields={
        "destroy-unreferenced-disks": Boolean(optional=True),
        "purge": Boolean(optional=True),
        "skiplock": Boolean(optional=True),
    },
    permission=perm("/vms/{vmid}", "VM.Allocate"),
    protected=True,
)
def destroy(world: World, request: Request) -> str:
    """Protection and a running VM refuse at once; a lock or a used base fail in the task."""
    params, vmid = request.params, request.vmid
    rights.refuse_root_options(request.identity, params, "skiplock")
    _may_go(world, load(world, request.node, vmid), bool(params.get("purge")))
    args = {
        "vmid": vmid,
        "skip": bool(params.get("skiplock")),
        "strays": bool(params.get("destroy-unreferenced-disks")),
        "purge": bool(params.get("purge")),
    }
    first = {key: args[key] for key in ("vmid", "skip", "purge")}
    steps = [Step("destroy.take", first)]
    steps.append(Step("destroy.finish", args, DESTROY_SECONDS))
    return world.tasks.start(request.node, "qmdestroy", vmid, request.identity, steps)


def _may_go(world: World, machine: Machine, purge: bool) -> None:
    check_protection(machine, f"can't remove VM {machine.vmid}")
    if not purge and sid_of(machine.vmid) in book(world).resources:
        why = "used in HA resources and purge parameter not set"
        raise failed(f"unable to remove VM {machine.vmid} - {why}.\n")
    if machine.running:
        raise failed(f"VM {machine.vmid} is running - destroy failed\n")


@step("destroy.take")
def take(world: World, task: Task, vmid: int, skip: bool, purge: bool) -> None:
    machine = load(world, task.node, vmid)
    take_flock(world, machine, task)
    machine = load(world, task.node, vmid)
    _may_go(world, machine, purge)
    check_lock(machine, skip or machine.lock == "suspended")
    for volid in own_volumes(world, machine):
        volume = world.volume(machine.node, volid)
        if machine.template and volume is not None:
            storage.refuse_used_base(world, machine.node, volume)


def own_volumes(world: World, machine: Machine) -> list[str]:
    """The VM's own volumes that the config names, what is pending included; of snapshots only
    the saved memory, since their disks are the VM's or nobody's any more."""
    found = set()
    for label, section in sections(machine):
        for key, value in section.items():
            volid = str(value)
            if label in ("", "[PENDING]") and (is_drive(key) or key.startswith("unused")):
                drive = parse_drive(key, volid)
                volid = "" if drive is None else drive.file
            elif key != "vmstate":
                continue
            if storage.owner(world, volid) == machine.vmid:
                found.add(volid)
    return sorted(found)


@step("destroy.finish")
def finish(world: World, task: Task, vmid: int, skip: bool, strays: bool, purge: bool) -> None:
    machine = load(world, task.node, vmid)
    for volid in own_volumes(world, machine):
        storage.free(world, machine.node, volid)
    if strays:
        _free_strays(world, machine)
    if purge:
        task.say(f"purging VM {vmid} from related configurations..")
        forget_guest(world, vmid)
        if sid_of(vmid) in book(world).resources:
            forget(world, sid_of(vmid))
            task.say(f"NOTE: removed VM {vmid} from HA resource configuration.")
    del world.vms[vmid]
    drop_firewall(world, vmid)
    forget_vm(world, vmid)


def _free_strays(world: World, machine: Machine) -> None:
    for volume in list(world.volumes.values()):
        here = volume.node in ("", machine.node)
        if here and volume.vmid == machine.vmid and volume.content == "images":
            storage.free(world, machine.node, volume.volid)
