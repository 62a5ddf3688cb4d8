"""POST /nodes/N/qemu with `archive`: a VM from a backup, new or over an existing one.

The config in the archive is rewritten line by line; the VM keeps the bare `memory: 128` that
Proxmox leaves while the data is copied. Sources: qemu-server PVE/API2/Qemu.pm (create_vm),
PVE/QemuServer.pm (restore_vma_archive, restore_update_config_line, rescan).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, check
from reconciler.sim.accounts.pools import join_pool
from reconciler.sim.backup.access import check_archive
from reconciler.sim.backup.archive import Archive, contents, copy_seconds, find, path_of
from reconciler.sim.backup.rewrite import Placement, rescan, rewrite
from reconciler.sim.cluster.inventory import Volume
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import Refusal, TaskFailed, bad_parameters, failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import drives_of, is_drive
from reconciler.sim.parameters.volnames import file_path, split_volid
from reconciler.sim.vm import config_rights as rights
from reconciler.sim.vm.locks import load, take_flock, wait_flock
from reconciler.sim.vm.machine import Machine, Section, check_lock, check_protection
from reconciler.sim.vm.power import start_task
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

TEMPORARY = "/var/var/tmp/vzdumptmp"
"""Where the recorded host unpacks; its doubled directory is as recorded."""

UNPACKERS = {"zst": "zstd -q -d -c", "gz": "zcat", "lzo": "lzop -d -c"}
LIVE = "live-restore is only compatible with backup images from a Proxmox Backup Server"


def check_call(
    world: World, node: str, identity: Identity, vmid: int, archive: str, params: dict[str, Any]
) -> Volume:
    """What the call itself refuses about an archive. Raises 400, 403 and 500."""
    for key in sorted(params):
        if is_drive(key):
            raise bad_parameters({key: "option conflicts with option 'archive'"})
    if archive == "-":
        raise failed("pipe requires cli environment\n")
    check_archive(world, identity, vmid, archive)
    return find(world, node, archive)


def claim(world: World, node: str, vmid: int, force: bool) -> None:
    """Take the id, or with `force` the VM that has it, and lock it. Raises 500."""
    head = f"unable to restore VM {vmid} - "
    other = world.vms.get(vmid)
    if other is None:
        world.vms[vmid] = Machine(vmid, node, {"lock": "create"}, made_at=world.now)
        return
    if not force:
        raise failed(f"{head}VM {vmid} already exists on node '{other.node}'\n")
    if other.node != node:
        path = f"/etc/pve/nodes/{node}/qemu-server/{vmid}.conf"
        raise failed(f"{head}close (rename) atomic file '{path}' failed: File exists\n")
    wait_flock(world, other)
    try:
        check_lock(other)
    except Refusal as refusal:
        raise failed(f"{head}{refusal.reason}") from refusal
    other.config["lock"] = "create"


def begin(
    world: World,
    node: str,
    identity: Identity,
    vmid: int,
    source: Volume,
    wish: dict[str, Any],
) -> str:
    """The qmrestore task. `wish`: storage, pool, unique, start, live, bwlimit and the config keys
    that win over the archive's (`override`)."""
    args = {"vmid": vmid, "source": source.volid, "wish": wish, "user": str(identity)}
    undo = Step("restore.undo", {"vmid": vmid})
    steps = [Step("restore.open", args)]
    return world.tasks.start(node, "qmrestore", vmid, identity, steps, undo)


@step("restore.undo")
def undo(world: World, task: Task, vmid: int, placed: Mapping[str, str] | None = None) -> None:
    """After a failure the lock goes, and the volumes that were to be filled: what was overwritten
    stays so."""
    machine = world.vms.get(vmid)
    for volid in (placed or {}).values():
        storage.free(world, task.node, volid)
        task.say(f"temporary volume '{volid}' successfully removed")
    if machine is not None and machine.lock == "create":
        del machine.config["lock"]
    task.say(
        "error before or during data restore, some or all disks were not completely restored. "
        f"VM {vmid} state is NOT cleaned up."
    )


def in_command(world: World, source: Volume, task: Task, refusal: Refusal) -> TaskFailed:
    """A fault while `vma extract` reads the archive is worded as the fault of that command."""
    path = path_of(world, source)
    unpack = UNPACKERS.get(source.format.rpartition(".")[2])
    place = f"{TEMPORARY}{task.pid}"
    if unpack is None:
        command = f"vma extract -v -r {place}.fifo {path} {place}"
    else:
        command = f"set -o pipefail && {unpack} {path} | vma extract -v -r {place}.fifo - {place}"
    return TaskFailed(f"command '{command}' failed: {_said(refusal)}")


def _said(refusal: Refusal) -> str:
    text = refusal.reason.rstrip("\n")
    return f"403 {text}" if refusal.status == 403 else text


@step("restore.open")
def open_archive(
    world: World, task: Task, vmid: int, source: str, wish: dict[str, Any], user: str
) -> list[Step]:
    """Last checks of the VM, then the disks of the archive are laid out over the old ones."""
    machine = load(world, task.node, vmid)
    head = f"unable to restore VM {vmid} -"
    check_protection(machine, head)
    if machine.running:
        raise TaskFailed(f"{head} vm is running")
    take_flock(world, machine, task)
    volume = storage.existing(world, task.node, source)
    archive = contents(world, volume)
    if archive is None:
        raise TaskFailed("ERROR: archive contains no configuration file")
    identity = Identity.parse(user)
    _check_bridges(world, identity, {**archive.config, **wish["override"]})
    if wish["live"] and volume.format != "pbs-vm":
        raise TaskFailed(LIVE)
    task.say(f"restore vma archive: vma extract -v {path_of(world, volume)}")
    for number, disk in enumerate(archive.disks, 1):
        task.say(f"DEV: dev_id={number} size: {disk.size} devname: {disk.device}")
    try:
        placed = lay_out(world, task, machine, archive, wish["storage"], identity)
    except Refusal as refusal:
        if volume.format == "pbs-vm":
            raise TaskFailed(_said(refusal)) from refusal
        raise in_command(world, volume, task, refusal) from refusal
    args = {"vmid": vmid, "source": source, "wish": wish, "user": user, "placed": placed}
    task.on_fail = Step("restore.undo", {"vmid": vmid, "placed": placed})
    seconds = copy_seconds(archive, int(wish["bwlimit"] or 0))
    return [Step("restore.fill", args, seconds)]


def _check_bridges(world: World, identity: Identity, config: Section) -> None:
    try:
        rights.check_bridges(world, identity, config)
    except Refusal as refusal:
        raise TaskFailed(_said(refusal)) from refusal


def lay_out(
    world: World,
    task: Task,
    machine: Machine,
    archive: Archive,
    place: str | None,
    identity: Identity,
) -> dict[str, str]:
    """Free the disks that come back and allocate them anew; volume ids by drive key.

    From here on a failure costs the VM its config. Raises Refusal.
    """
    wanted = _placements(archive, place)
    for one in wanted:
        store = storage.storage_of(world, one.storage)
        if "images" not in store.content:
            text = f"Content type 'images' is not available on storage '{one.storage}'"
            raise failed(f"{text}\n")
        check(world, identity, f"/storage/{one.storage}", ["Datastore.AllocateSpace"])
    if archive.firewall is not None:
        world.firewall[str(machine.vmid)] = deepcopy(archive.firewall)
    _clear_old(world, machine, {one.key for one in wanted})
    placed: dict[str, str] = {}
    try:
        for one in wanted:
            volume = _allocate(world, machine, one)
            placed[one.key] = volume.volid
            task.say(f"new volume ID is '{volume.volid}'")
            if not one.cloudinit:
                store = storage.storage_of(world, volume.storage)
                path = file_path(store, volume.name)
                task.say(f"map 'drive-{one.key}' to '{path}' (write zeros = 0)")
    except Refusal:
        for volid in placed.values():
            storage.free(world, machine.node, volid)
            task.say(f"temporary volume '{volid}' successfully removed")
        raise
    return placed


def _placements(archive: Archive, place: str | None) -> list[Placement]:
    """Where each disk goes: the storage asked for, else the one it came from."""
    found = [
        Placement(one.key, place or one.storage or "local", one.format, one.size, one.used)
        for one in archive.disks
    ]
    for drive in drives_of(archive.config):
        parts = split_volid(drive.file)
        if drive.is_cloudinit and parts is not None:
            form = "qcow2" if parts[1].endswith(".qcow2") else "raw"
            size = storage.CLOUDINIT_SIZE
            found.append(Placement(drive.key, place or parts[0], form, size, 0, cloudinit=True))
    return sorted(found, key=lambda one: one.key)


def _allocate(world: World, machine: Machine, one: Placement) -> Volume:
    store = storage.storage_of(world, one.storage)
    form = storage.default_format(store, one.format)
    stem = f"vm-{machine.vmid}-cloudinit" if one.cloudinit else None
    used = max(one.used, storage.FRESH)
    return storage.allocate(
        world, machine.node, one.storage, machine.vmid, form, one.size, stem, used=used
    )


def _clear_old(world: World, machine: Machine, keys: set[str]) -> None:
    """The VM's own disks in slots that come back are erased; other volumes stay, without their
    snapshots, and so do memory images of none."""
    for drive in drives_of(machine.config):
        plain_cdrom = drive.is_cdrom and not drive.is_cloudinit
        if plain_cdrom or storage.owner(world, drive.file) != machine.vmid:
            continue
        volume = world.volume(machine.node, drive.file)
        if drive.key in keys:
            storage.free(world, machine.node, drive.file)
        elif volume is not None:
            volume.snapshots.clear()
    for saved in machine.snapshots.values():
        if "vmstate" in saved:
            storage.free(world, machine.node, str(saved["vmstate"]))
    machine.config = {"memory": "128"}
    machine.pending.clear()
    machine.pending_delete.clear()
    machine.snapshots.clear()
    machine.cloudinit.clear()


@step("restore.fill")
def fill(
    world: World,
    task: Task,
    vmid: int,
    source: str,
    wish: dict[str, Any],
    user: str,
    placed: dict[str, str],
) -> None:
    """The data is there: write the config, note strays as unusedN, then pool, template, start."""
    machine = load(world, task.node, vmid)
    archive = contents(world, storage.existing(world, task.node, source))
    if archive is None:
        raise TaskFailed("ERROR: archive contains no configuration file")
    config = rewrite(world, archive.config, placed, bool(wish["unique"]))
    config.update({key: options.stored(key, value) for key, value in wish["override"].items()})
    _check_bridges(world, Identity.parse(user), config)
    machine.config = config
    task.say("rescan volumes...")
    for line in rescan(world, machine):
        task.say(line)
    if wish["pool"] is not None and wish["pool"] in world.pools:
        join_pool(world, vmid, str(wish["pool"]))
    if machine.template:
        task.say("Convert to template.")
        _make_bases(world, machine, placed)
    if wish["start"] or wish["live"]:
        task.say("Execute autostart")
        machine.holds.clear()
        start_task(world, task.node, vmid, Identity.parse(user))


def _make_bases(world: World, machine: Machine, placed: dict[str, str]) -> None:
    for drive in drives_of(machine.config):
        if drive.key in placed and not drive.is_cdrom:
            base = storage.make_base(world, machine.node, drive.file)
            machine.config[drive.key] = replace(drive, file=base.volid).print()
