"""POST /nodes/N/qemu/V/clone: linked and full clones.

While it runs, the new VM's config is a stub with `lock: clone`; everything else, the name and the
description included, appears when the lock goes. Source: qemu-server PVE/API2/Qemu.pm (clone_vm).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, both, check, check_pool, either, perm
from reconciler.sim.accounts.pools import join_pool
from reconciler.sim.cluster.inventory import Volume
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import Refusal, TaskFailed, failed
from reconciler.sim.firewall.files import copy_firewall, drop_firewall
from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import Drive, drives_of
from reconciler.sim.parameters.formats import VM as VM_ID
from reconciler.sim.parameters.formats import dns_name, node_name, pool_id, storage_id
from reconciler.sim.parameters.net import Nic, parse_net
from reconciler.sim.parameters.schema import Boolean, Field, Integer, Text, parse_properties
from reconciler.sim.parameters.volnames import file_path, split_volid
from reconciler.sim.routes import Request, route
from reconciler.sim.vm import config_rights as rights
from reconciler.sim.vm.config import SNAPSHOT_NAME, VM
from reconciler.sim.vm.locks import assert_exists, load, take_flock
from reconciler.sim.vm.machine import CLONING, Machine, Section, check_lock
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

LINKED_SECONDS = 4.0
FULL_SECONDS = 30.0
SECONDS_PER_GIB = 1.0
GIB = 1 << 30
NOT_COPIED = frozenset(("parent", "snaptime", "vmstate", "snapstate", "lock", "template"))
CLONE: dict[str, Field] = {
    "newid": VM_ID,
    "bwlimit": Integer(optional=True, minimum=0),
    "description": Text(optional=True),
    "format": Text(optional=True, enum=("raw", "qcow2", "vmdk")),
    "full": Boolean(optional=True),
    "name": Text(optional=True, format=dns_name),
    "pool": Text(optional=True, format=pool_id),
    "snapname": SNAPSHOT_NAME,
    "storage": Text(optional=True, format=storage_id),
    "target": Text(optional=True, format=node_name),
}
MAY_CLONE = both(
    perm("/vms/{vmid}", "VM.Clone"),
    either(
        perm("/vms/{newid}", "VM.Allocate"),
        perm("/pool/{pool}", "VM.Allocate", require="pool"),
    ),
)


@route("POST", f"{VM}/clone", fields=CLONE, permission=MAY_CLONE, protected=True)
def clone(world: World, request: Request) -> str:
    params = {key: value for key, value in request.params.items() if value is not None}
    node, vmid, identity = request.node, request.vmid, request.identity
    params.pop("node")
    params.pop("vmid")
    params.pop("bwlimit", None)
    source = assert_exists(world, node, vmid)
    if params.get("target") in (node, "localhost"):
        del params["target"]
    examine(world, source, identity, params)
    args = {"vmid": vmid, "params": params, "user": str(identity), "running": source.running}
    return world.tasks.start(node, "qmclone", vmid, identity, [Step("clone.begin", args)])


def examine(world: World, source: Machine, identity: Identity, params: dict[str, Any]) -> Section:
    """Every check of a clone, made before the task and again in it; returns what is copied."""
    node, target, wanted = source.node, params.get("target"), params.get("storage")
    if "pool" in params:
        check_pool(world, str(params["pool"]))
    if target is not None and target not in world.nodes:
        raise failed(f"no such cluster node '{target}'\n")
    if wanted is not None:
        _check_storage(world, node, str(wanted), target)
    check_lock(source)
    snapname = params.get("snapname")
    if snapname is not None and snapname not in source.snapshots:
        raise failed(f"snapshot '{snapname}' does not exist\n")
    full = is_full(source, params)
    for key in ("storage", "format"):
        if key in params and not full:
            raise failed(f"parameter '{key}' not allowed for linked clones\n")
    config = source.snapshots[snapname] if snapname is not None else source.config
    shared = _check_places(world, identity, config, wanted)
    rights.check_bridges(world, identity, config)
    if target is not None and not shared:
        raise failed(f"can't clone VM to node '{target}' (VM uses local storage)\n")
    newid = int(params["newid"])
    if world.vm(newid, node) is not None:
        raise failed(f"unable to create VM {newid}: config file already exists\n")
    _check_features(world, config, full, snapname)
    return config


def is_full(source: Machine, params: dict[str, Any]) -> bool:
    """Templates are linked by default, other VMs copied."""
    full = params.get("full")
    return not source.template if full is None else bool(full)


def _check_storage(world: World, node: str, name: str, target: str | None) -> None:
    wanted = storage.enabled_storage(world, name, node)
    storage.need_images(wanted)
    if target is not None:
        storage.enabled_storage(world, name, target)
        if not wanted.shared:
            raise failed(f"can't clone to non-shared storage '{name}'\n")


def _check_places(world: World, identity: Identity, config: Section, wanted: Any) -> bool:
    """Rights on the storages that are written to; True when all disks are on shared ones."""
    shared = True
    for drive in drives_of(config):
        if drive.file == "none":
            continue
        if drive.file == "cdrom":
            check(world, identity, "/", ["Sys.Console"])
            continue
        parts = split_volid(drive.file)
        if parts is None:
            raise failed(f"unable to parse volume ID '{drive.file}'\n")
        shared = shared and storage.storage_of(world, parts[0]).shared
        if not drive.is_cdrom:
            place = wanted or parts[0]
            check(world, identity, f"/storage/{place}", ["Datastore.AllocateSpace"])
    if "vmstatestorage" in config:
        place = config["vmstatestorage"]
        check(world, identity, f"/storage/{place}", ["Datastore.AllocateSpace"])
    return shared


def _check_features(world: World, config: Section, full: bool, snapname: str | None) -> None:
    for drive in drives_of(config):
        if drive.is_cdrom and not drive.is_cloudinit:
            continue
        of = " a snapshot of" if snapname is not None else ""
        what = f"clone feature is not supported for{of} '{drive.file}' ({drive.key})\n"
        if full or drive.is_cloudinit or drive.key == "tpmstate0":
            if not storage.has_feature(world, drive.file, "copy", snapname):
                raise failed(f"Full {what}")
        elif not storage.has_feature(world, drive.file, "clone", snapname):
            raise failed(f"Linked {what}")


@step("clone.begin")
def begin(
    world: World, task: Task, vmid: int, params: dict[str, Any], user: str, running: bool
) -> list[Step]:
    """Locks, the checks once more, and the stub that takes the id."""
    source = assert_exists(world, task.node, vmid)
    take_flock(world, source, task, shared=not running)
    config = examine(world, source, Identity.parse(user), params)
    newid = int(params["newid"])
    if newid in world.vms:
        path = f"/etc/pve/nodes/{task.node}/qemu-server/{newid}.conf"
        raise TaskFailed(f"close (rename) atomic file '{path}' failed: File exists")
    stub: Section = {"description": CLONING, "lock": "clone"}
    machine = world.vms[newid] = Machine(newid, task.node, stub, made_at=world.now)
    take_flock(world, machine, task)
    copy_firewall(world, vmid, newid)
    task.on_fail = Step("clone.undo", {"newid": newid})
    task.interrupted = "clone failed: interrupted by signal"
    full = is_full(source, params)
    args = {
        "newid": newid,
        "old": new_config(world, source, dict(config), params),
        "full": full,
        "params": params,
    }
    return [Step("clone.finish", args, _seconds(config, full))]


def _seconds(config: Section, full: bool) -> float:
    if not full:
        return LINKED_SECONDS
    size = sum(drive.size or 0 for drive in drives_of(config) if not drive.is_cdrom)
    return FULL_SECONDS + SECONDS_PER_GIB * size / GIB


def new_config(world: World, source: Machine, config: Section, params: dict[str, Any]) -> Section:
    """The copy's config with its own MACs and ids; its drives are still the source's."""
    copied: Section = {}
    for key in sorted(config):
        if key in NOT_COPIED or key.startswith("unused"):
            continue
        copied[key] = config[key]
        if key in options.NET_KEYS:
            nic = parse_net(str(config[key]))
            copied[key] = Nic(nic.model, world.new_mac(), nic.options).print()
    ids = parse_properties(options.SMBIOS, str(copied.get("smbios1", "")), "smbios1")
    ids["uuid"] = world.new_uuid()
    copied["smbios1"] = ",".join(f"{key}={ids[key]}" for key in sorted(ids))
    if copied.get("vmgenid"):
        copied["vmgenid"] = world.new_uuid()
    copied["name"] = str(params.get("name") or f"Copy-of-VM-{config.get('name', source.vmid)}")
    if params.get("description"):
        copied["description"] = str(params["description"])
    return copied


@step("clone.finish")
def finish(
    world: World, task: Task, newid: int, old: Section, full: bool, params: dict[str, Any]
) -> None:
    """Copy or link the disks, then write the config without its lock."""
    machine = load(world, task.node, newid)
    copier = Copier(world, task, newid, params.get("storage"), params.get("format"))
    config = dict(old)
    try:
        for drive in drives_of(old):
            if drive.is_cdrom and not drive.is_cloudinit:
                continue
            config[drive.key] = copier.copy(drive, full).print()
    except Refusal as refusal:
        copier.undo()
        text = refusal.reason.rstrip("\n")
        raise TaskFailed(f"clone failed: {text}") from refusal
    machine.config = config
    machine.node = str(params.get("target") or task.node)
    pool = params.get("pool")
    if pool is not None and pool in world.pools:
        join_pool(world, newid, str(pool))


@step("clone.undo")
def undo(world: World, task: Task, newid: int) -> None:
    """A failed clone leaves neither config nor firewall file."""
    machine = world.vms.get(newid)
    if machine is not None and machine.lock == "clone":
        drop_firewall(world, newid)
        del world.vms[newid]


class Copier:
    """Copies drives to another VM (or storage) and remembers what it made."""

    def __init__(
        self, world: World, task: Task, vmid: int, place: str | None, form: str | None
    ) -> None:
        self.world = world
        self.task = task
        self.vmid = vmid
        self.place = place
        self.form = form
        self.made: list[Volume] = []

    def undo(self) -> None:
        for volume in self.made:
            storage.free(self.world, self.task.node, volume.volid)

    def copy(self, drive: Drive, full: bool) -> Drive:
        """The drive of the new VM: linked, copied, or a fresh cloud-init drive."""
        source = storage.existing(self.world, self.task.node, drive.file)
        whole = full or drive.is_cloudinit or drive.key == "tpmstate0"
        kind = "full" if whole else "linked"
        self.task.say(f"create {kind} clone of drive {drive.key} ({drive.file})")
        if whole:
            volume = self._whole(drive, source)
        else:
            volume = storage.link(self.world, self.task.node, drive.file, self.vmid)
        self.made.append(volume)
        self.task.say(made_line(self.world, volume))
        if whole and not drive.is_cloudinit:
            gib = f"{volume.size / GIB:.1f} GiB"
            self.task.say(f"transferred 0.0 B of {gib} (0.00%)")
            self.task.say(f"transferred {gib} of {gib} (100.00%)")
        rest = {key: text for key, text in drive.options.items() if key != "format"}
        return replace(drive, file=volume.volid, size=volume.size, options=rest)

    def _whole(self, drive: Drive, source: Volume) -> Volume:
        name = self.place or source.storage
        target = storage.storage_of(self.world, name)
        form = storage.default_format(target, self.form or source.format)
        stem, size, used = None, source.size, max(source.used, storage.FRESH)
        if drive.is_cloudinit:
            stem, size, used = f"vm-{self.vmid}-cloudinit", storage.CLOUDINIT_SIZE, 266240
        return storage.allocate(self.world, self.task.node, name, self.vmid, form, size, stem, used)


def made_line(world: World, volume: Volume) -> str:
    """What the storage prints when it has made a volume."""
    store = storage.storage_of(world, volume.storage)
    if store.path is None:
        return f'  Logical volume "{volume.name}" created.'
    path = file_path(store, volume.name)
    return f"Formatting '{path}', fmt={volume.format} size={volume.size}"
