"""POST /nodes/N/qemu: a new VM. Source: qemu-server PVE/API2/Qemu.pm (create_vm)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, all_users, allowed, check, check_pool
from reconciler.sim.accounts.pools import join_pool
from reconciler.sim.backup import restore
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import Refusal, TaskFailed, failed, forbidden
from reconciler.sim.parameters import machines, options
from reconciler.sim.parameters.drives import is_drive
from reconciler.sim.parameters.formats import VM, pool_id, storage_id
from reconciler.sim.parameters.keys import check_ssh_keys
from reconciler.sim.parameters.net import with_mac
from reconciler.sim.parameters.schema import Boolean, Field, Integer, Text
from reconciler.sim.routes import Request, route
from reconciler.sim.vm import config_rights as rights
from reconciler.sim.vm import disks
from reconciler.sim.vm.boot import default_boot, print_order
from reconciler.sim.vm.locks import load, take_flock
from reconciler.sim.vm.machine import Machine, Section
from reconciler.sim.vm.pending import settle_section
from reconciler.sim.vm.power import start_task
from reconciler.sim.vm.update import name_cdrom

if TYPE_CHECKING:
    from reconciler.sim.world import World

CREATE_SECONDS = 1.0
CREATE: dict[str, Field] = {
    **options.OPTIONS,
    **options.CDROM,
    "vmid": VM,
    "archive": Text(optional=True, max_length=255),
    "bwlimit": Integer(optional=True, minimum=0),
    "force": Boolean(optional=True, requires="archive"),
    "import-working-storage": Text(optional=True, format=storage_id),
    "live-restore": Boolean(optional=True),
    "pool": Text(optional=True, format=pool_id),
    "start": Boolean(optional=True),
    "storage": Text(optional=True, format=storage_id),
    "unique": Boolean(optional=True, requires="archive"),
}
NOT_CONFIG = (
    "archive",
    "bwlimit",
    "force",
    "import-working-storage",
    "live-restore",
    "unique",
)


@route("POST", "/nodes/{node}/qemu", fields=CREATE, permission=all_users, protected=True)
def create(world: World, request: Request) -> str:
    """Checks, takes the id with a config that carries lock `create`, then works as qmcreate."""
    identity, node, vmid = request.identity, request.node, request.vmid
    params = {key: value for key, value in request.params.items() if value is not None}
    for key in ("node", "vmid"):
        params.pop(key)
    pool, default, start = (params.pop(key, None) for key in ("pool", "storage", "start"))
    extras = {key: params.pop(key, None) for key in NOT_CONFIG}
    archive, force = extras["archive"], bool(extras["force"])
    if "sshkeys" in params:
        check_ssh_keys(str(params["sshkeys"]))
    if "cpuunits" in params:
        params["cpuunits"] = options.clamp_cpu_units(int(params["cpuunits"]))
    if pool is not None:
        check_pool(world, pool)
    if default is not None:
        check(world, identity, f"/storage/{default}", ["Datastore.AllocateSpace"])
    _may_allocate(world, identity, vmid, pool, bool(archive) and force)
    if archive:
        source = restore.check_call(world, node, identity, vmid, str(archive), params)
    _check_params(world, identity, vmid, params, pool)
    if archive:
        restore.claim(world, node, vmid, force)
        wish = {
            **{key: extras[key] for key in ("unique", "bwlimit")},
            **{"storage": default, "pool": pool, "start": start},
            **{"live": extras["live-restore"], "override": params},
        }
        return restore.begin(world, node, identity, vmid, source, wish)
    other = world.vms.get(vmid)
    if other is not None:
        raise failed(
            f"unable to create VM {vmid} - VM {vmid} already exists on node '{other.node}'\n"
        )
    world.vms[vmid] = Machine(vmid, node, {"lock": "create"}, made_at=world.now)
    args = {
        "vmid": vmid,
        "params": params,
        "pool": pool,
        "start": bool(start),
        "user": str(identity),
    }
    steps = [Step("create.take", {"vmid": vmid}), Step("create.finish", args, CREATE_SECONDS)]
    undo = Step("create.undo", {"vmid": vmid})
    return world.tasks.start(node, "qmcreate", vmid, identity, steps, undo)


def _may_allocate(
    world: World, identity: Identity, vmid: int, pool: str | None, over: bool
) -> None:
    """VM.Allocate on the VM or its pool; VM.Backup is enough to restore over a VM."""
    places = [f"/vms/{vmid}"] + ([f"/pool/{pool}"] if pool is not None else [])
    if over and vmid in world.vms and allowed(world, identity, f"/vms/{vmid}", ["VM.Backup"]):
        return
    if not any(allowed(world, identity, place, ["VM.Allocate"]) for place in places):
        raise forbidden()


def _check_params(
    world: World,
    identity: Identity,
    vmid: int,
    params: dict[str, Any],
    pool: str | None,
) -> None:
    name_cdrom(params)
    disks.check_storage_access(world, identity, vmid, params)
    rights.check_keys(world, identity, vmid, params, pool)
    rights.check_devices(world, identity, vmid, params, pool)
    rights.check_bridges(world, identity, params)
    disks.normal_drives(world, params)
    for key in sorted(params):
        if key in options.NET_KEYS:
            params[key] = with_mac(str(params[key]), world.new_mac)


@step("create.take")
def take(world: World, task: Task, vmid: int) -> None:
    take_flock(world, load(world, task.node, vmid), task)


@step("create.undo")
def undo(world: World, task: Task, vmid: int) -> None:
    """A failed create leaves nothing behind."""
    machine = world.vms.get(vmid)
    if machine is not None and machine.config.get("lock") == "create":
        del world.vms[vmid]


@step("create.finish")
def finish(
    world: World,
    task: Task,
    vmid: int,
    params: dict[str, Any],
    pool: str | None,
    start: bool,
    user: str,
) -> None:
    """Allocate the disks and write the config; everything is freed again when one fails."""
    machine = load(world, task.node, vmid)
    config: Section = {"meta": f"creation-qemu={options.QEMU},ctime={int(world.now)}"}
    shop = disks.Workshop(world, task.node, vmid, [config])
    try:
        config.update(shop.build({key: str(params[key]) for key in params if is_drive(key)}))
        plain = {key: value for key, value in params.items() if not is_drive(key)}
        if "vga" in plain:
            machines.check_clipboard(plain["vga"])
        config.update({key: options.stored(key, plain[key]) for key in sorted(plain)})
        complete(world, config)
    except Refusal as refusal:
        shop.undo()
        text = refusal.reason.rstrip("\n")
        raise TaskFailed(f"unable to create VM {vmid} - {text}") from refusal
    for line in shop.lines:
        task.say(line)
    machine.config = config
    if pool is not None and pool in world.pools:
        join_pool(world, vmid, pool)
    if start:
        task.say("Execute autostart")
        machine.holds.clear()
        start_task(world, task.node, vmid, Identity.parse(user))


def complete(world: World, config: Section) -> None:
    """What Proxmox adds to a new config: boot order, ids, a pinned machine for Windows."""
    if not config.get("boot"):
        config["boot"] = print_order(default_boot(config))
    if not config.get("smbios1"):
        config["smbios1"] = f"uuid={world.new_uuid()}"
    if config.get("vmgenid", "1") == "1":
        config["vmgenid"] = world.new_uuid()
    machine = machines.checked_machine(config.get("machine"), config.get("ostype"))
    if machine:
        config["machine"] = machine
    settle_section(config)
