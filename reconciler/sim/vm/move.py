"""POST /nodes/N/qemu/V/move_disk: to another storage, or to another VM of the node."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, check, perm
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import Refusal, TaskFailed, bad_parameters, failed
from reconciler.sim.parameters.drives import DRIVES, UNUSED, Drive, parse_drive
from reconciler.sim.parameters.formats import VM as VM_ID
from reconciler.sim.parameters.formats import storage_id
from reconciler.sim.parameters.schema import Boolean, Integer, Text
from reconciler.sim.parameters.volnames import disk_number, image_name
from reconciler.sim.routes import Request, route
from reconciler.sim.vm import config_rights as rights
from reconciler.sim.vm.boot import drop_boot_device
from reconciler.sim.vm.clone import Copier
from reconciler.sim.vm.config import DIGEST, VM
from reconciler.sim.vm.locks import load, take_flock
from reconciler.sim.vm.machine import Machine, check_lock
from reconciler.sim.vm.pending import add_unused, in_use
from reconciler.sim.vm.update import Change, carry_out
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

MOVE_SECONDS = 30.0
REASSIGN_SECONDS = 1.0
MODIFIED = "detected modified configuration - file changed by other user? Try again.\n"


@route(
    "POST",
    f"{VM}/move_disk",
    fields={
        "disk": Text(enum=(*DRIVES, *UNUSED)),
        "storage": Text(optional=True, format=storage_id),
        "format": Text(optional=True, enum=("raw", "qcow2", "vmdk")),
        "delete": Boolean(optional=True),
        "digest": DIGEST,
        "bwlimit": Integer(optional=True, minimum=0),
        "target-vmid": replace(VM_ID, optional=True),
        "target-disk": Text(optional=True, enum=(*DRIVES, *UNUSED)),
        "target-digest": DIGEST,
    },
    permission=perm("/vms/{vmid}", "VM.Config.Disk"),
    protected=True,
)
def move_disk(world: World, request: Request) -> str:
    params, identity = request.params, request.identity
    place, target = params.get("storage"), params.get("target-vmid")
    if (place is None) == (target is None):
        text = "both 'storage' and 'target-vmid' missing, either needs to be set"
        if place is not None:
            text = "either set 'storage' or 'target-vmid', but not both"
        raise bad_parameters({"storage": text, "target-vmid": text})
    if target is not None:
        return _reassign(world, request, int(target))
    check(world, identity, f"/storage/{place}", ["Datastore.AllocateSpace"])
    args: dict[str, Any] = {
        "vmid": request.vmid,
        "disk": params["disk"],
        "place": place,
        "form": params.get("format"),
        "delete": bool(params.get("delete")),
        "digest": params.get("digest"),
    }
    movable(world, load(world, request.node, request.vmid), **_examined(args))
    steps = [Step("move.begin", {**args, "user": str(identity)})]
    return world.tasks.start(request.node, "qmmove", request.vmid, identity, steps)


def _examined(args: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in args.items() if key != "vmid"}


def movable(
    world: World,
    machine: Machine,
    disk: str,
    place: str,
    form: str | None,
    delete: bool,
    digest: str | None,
) -> Drive:
    """The drive to move. Raises 500 in Proxmox's words."""
    check_lock(machine)
    if digest and digest != machine.digest():
        raise failed(MODIFIED)
    value = machine.text(disk)
    drive = parse_drive(disk, value) if value is not None else None
    if drive is None:
        raise failed(f"disk '{disk}' does not exist\n")
    if drive.is_cdrom and not drive.is_cloudinit:
        raise failed("you can't move a cdrom\n")
    volume = storage.existing(world, machine.node, drive.file)
    target = storage.enabled_storage(world, place, machine.node)
    same = volume.storage == place
    if same and (form is None or target.path is None or form == volume.format):
        raise failed("you can't move to the same storage with same format\n")
    storage.need_images(target)
    if delete and volume.snapshots:
        raise failed("you can't move a disk with snapshots and delete the source\n")
    return drive


@step("move.begin")
def begin(
    world: World,
    task: Task,
    vmid: int,
    disk: str,
    place: str,
    form: str | None,
    delete: bool,
    digest: str | None,
    user: str,
) -> list[Step]:
    machine = load(world, task.node, vmid)
    take_flock(world, machine, task)
    movable(world, machine, disk, place, form, delete, digest)
    said = f"move disk VM {vmid}: move --disk {disk} --storage {place}"
    world.log(task.node, user, "pvedaemon", said)
    args = {"vmid": vmid, "disk": disk, "place": place, "form": form, "delete": delete}
    return [Step("move.finish", args, MOVE_SECONDS)]


@step("move.finish")
def finish(
    world: World, task: Task, vmid: int, disk: str, place: str, form: str | None, delete: bool
) -> None:
    """A full copy takes the slot; the old volume is erased or becomes unusedN."""
    machine = load(world, task.node, vmid)
    drive = parse_drive(disk, str(machine.config[disk]))
    if drive is None:
        raise TaskFailed(f"disk '{disk}' does not exist")
    try:
        moved = Copier(world, task, vmid, place, form).copy(drive, full=True)
    except Refusal as refusal:
        text = refusal.reason.rstrip("\n")
        raise TaskFailed(f"storage migration failed: {text}") from refusal
    if machine.template:
        moved = replace(moved, file=storage.make_base(world, machine.node, moved.file).volid)
    if disk.startswith("unused"):
        # its line holds the volume alone (PVE/QemuServer.pm, clone_disk)
        moved = replace(moved, size=None)
    machine.config[disk] = moved.print()
    if delete:
        storage.free(world, machine.node, drive.file)
    else:
        add_unused(machine, drive.file)


def _reassign(world: World, request: Request, target: int) -> str:
    params, vmid, identity = request.params, request.vmid, request.identity
    rights.check_vm(world, identity, target, ["VM.Config.Disk"])
    if target == vmid:
        text = "must be different than source VMID to reassign disk"
        raise bad_parameters({"target-vmid": text})
    disk = str(params["disk"])
    slot = str(params.get("target-disk") or disk)
    drive = reassignable(world, request.node, vmid, target, disk, slot, params)
    place = drive.file.partition(":")[0]
    check(world, identity, f"/storage/{place}", ["Datastore.AllocateSpace"])
    args = {"vmid": vmid, "target": target, "disk": disk, "slot": slot, "user": str(identity)}
    name = f"{vmid}-{disk}>{target}-{slot}"
    steps = [Step("move.take", {"vmid": vmid, "target": target})]
    steps.append(Step("move.reassign", args, REASSIGN_SECONDS))
    return world.tasks.start(request.node, "qmmove", name, identity, steps)


def reassignable(
    world: World, node: str, vmid: int, target: int, disk: str, slot: str, params: dict[str, Any]
) -> Drive:
    """The drive to give away. Raises 500 in Proxmox's words."""
    for one, what in ((vmid, "VM"), (target, "target VM")):
        if one not in world.vms:
            raise failed(f"could not find {what} {one}\n")
    if world.vms[vmid].node != world.vms[target].node:
        nodes = f"{world.vms[vmid].node} != {world.vms[target].node}"
        raise failed(f"Both VMs need to be on the same node ({nodes})\n")
    source, other = load(world, node, vmid), load(world, node, target)
    check_lock(source)
    check_lock(other)
    if source.template or other.template:
        raise failed("Can't move disks from or to template VMs\n")
    for machine, digest in ((source, params.get("digest")), (other, params.get("target-digest"))):
        if digest and digest != machine.digest():
            raise failed(f"VM {machine.vmid}: {MODIFIED}")
    value = source.text(disk)
    drive = parse_drive(disk, value) if value is not None else None
    if drive is None:
        raise failed(f"Disk '{disk}' for VM '{vmid}' does not exist\n")
    if slot in other.config:
        raise failed(f"Target disk key '{slot}' is already in use for VM '{target}'\n")
    if drive.is_cdrom:
        raise failed("CD drive contents can't be moved to another VM\n")
    if in_use(source, drive.file, disk):
        raise failed("Can't move disk used by a snapshot to another VM\n")
    if source.running and not disk.startswith("unused"):
        raise failed(
            "Cannot move disk to another VM while the source VM is running - detach first\n"
        )
    return drive


@step("move.take")
def take(world: World, task: Task, vmid: int, target: int) -> None:
    for one in (vmid, target):
        take_flock(world, load(world, task.node, one), task)


@step("move.reassign")
def reassign(
    world: World, task: Task, vmid: int, target: int, disk: str, slot: str, user: str
) -> None:
    """Rename the volume to its new owner and attach it there as a config update would."""
    drive = reassignable(world, task.node, vmid, target, disk, slot, {})
    source, other = load(world, task.node, vmid), load(world, task.node, target)
    task.say(f"moving disk '{disk}' from VM '{vmid}' to '{target}'")
    volume = storage.existing(world, task.node, drive.file)
    store = storage.storage_of(world, volume.storage)
    taken = {disk_number(one.name, target) for one in world.storage_volumes(task.node, store.name)}
    number = next(n for n in range(len(taken) + 1) if n not in taken)
    stem = f"vm-{target}-disk-{number}"
    name = image_name(store, target, stem, volume.format)
    if volume.parent is not None and "/" in volume.name:
        name = f"{volume.parent.partition(':')[2]}/{name}"
    del world.volumes[volume.node, volume.volid]
    volume.volid, volume.vmid = f"{store.name}:{name}", target
    world.volumes[volume.node, volume.volid] = volume
    drop_boot_device(source, disk)
    del source.config[disk]
    task.say(f"removing disk '{disk}' from VM '{vmid}' config")
    if slot.startswith("unused"):
        other.config[slot] = volume.volid
        return
    given = {slot: replace(drive, key=slot, file=volume.volid).print()}
    carry_out(world, other, Identity.parse(user), Change(target, dict(given), [], []))
