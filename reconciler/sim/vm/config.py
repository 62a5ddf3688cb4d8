"""GET, PUT and POST /nodes/N/qemu/V/config, GET .../pending and PUT .../unlink."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, all_users, perm
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import Refusal, TaskFailed, bad_parameters, failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.formats import config_id, storage_id
from reconciler.sim.parameters.schema import Boolean, Field, Integer, Text
from reconciler.sim.parameters.values import words
from reconciler.sim.routes import Request, route
from reconciler.sim.vm.locks import load, take_flock
from reconciler.sim.vm.machine import Section
from reconciler.sim.vm.pending import listing
from reconciler.sim.vm.update import Change, admit, carry_out, read_change

if TYPE_CHECKING:
    from reconciler.sim.world import World

VM = "/nodes/{node}/qemu/{vmid}"
HIDDEN = "*" * 10
CONFIG_SECONDS = 0.3
AUDIT = perm("/vms/{vmid}", "VM.Audit")
MODIFY = perm(
    "/vms/{vmid}",
    "VM.Config.Disk",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.HWType",
    "VM.Config.Options",
    "VM.Config.Cloudinit",
    any=True,
)
SNAPSHOT_NAME = Text(optional=True, format=config_id, max_length=40)
DIGEST = Text(optional=True, max_length=40)
LISTED = Text(optional=True, list_of=config_id)
WRITE: dict[str, Field] = {
    **options.OPTIONS,
    **options.CDROM,
    "skiplock": Boolean(optional=True),
    "delete": LISTED,
    "revert": LISTED,
    "force": Boolean(optional=True, requires="delete"),
    "digest": DIGEST,
}
POSTED: dict[str, Field] = {
    **WRITE,
    "background_delay": Integer(optional=True, minimum=1, maximum=30),
    "import-working-storage": Text(optional=True, format=storage_id),
}
CHILDREN = words(
    "config cloudinit pending status unlink vncproxy termproxy migrate resize move rrd "
    "rrddata monitor agent snapshot spiceproxy sendkey firewall mtunnel remote_migrate"
)


def masked(values: Section) -> Section:
    """A config as the API shows it: the cloud-init password is never given away."""
    return {**values, "cipassword": HIDDEN} if values.get("cipassword") else values


@route("GET", VM, permission=all_users)
def index(world: World, request: Request) -> list[dict[str, str]]:
    return [{"subdir": name} for name in CHILDREN]


@route(
    "GET",
    f"{VM}/config",
    fields={"current": Boolean(optional=True), "snapshot": SNAPSHOT_NAME},
    permission=AUDIT,
)
def read_config(world: World, request: Request) -> dict[str, Any]:
    """Pending values laid over; `current` the main section only, `snapshot` a snapshot's."""
    current, name = request.params.get("current"), request.params.get("snapshot")
    if current and name:
        text = "cannot use 'snapshot' parameter with 'current'"
        raise bad_parameters({"snapshot": text, "current": text})
    machine = load(world, request.node, request.vmid)
    if name is not None:
        if name not in machine.snapshots:
            raise failed(f"snapshot '{name}' does not exist\n")
        values = machine.snapshots[name]
    else:
        values = machine.config if current else machine.shown()
    return {**masked(values), "digest": machine.digest()}


@route("GET", f"{VM}/pending", permission=AUDIT)
def read_pending(world: World, request: Request) -> list[Section]:
    return listing(load(world, request.node, request.vmid))


@route("PUT", f"{VM}/config", fields=WRITE, permission=MODIFY, protected=True)
def put_config(world: World, request: Request) -> None:
    """Synchronous: answers null when done, 400 when a hot-plug failed."""
    change_now(world, request.node, request.identity, request.vmid, request.params)


def change_now(
    world: World, node: str, identity: Identity, vmid: int, params: dict[str, Any]
) -> None:
    change = read_change(world, identity, vmid, params)
    machine = admit(world, node, identity, change)
    carry_out(world, machine, identity, change)


@route("POST", f"{VM}/config", fields=POSTED, permission=MODIFY, protected=True)
def post_config(world: World, request: Request) -> str | None:
    """As a task that holds the VM's flock; digest and lock are checked before it starts. With
    `background_delay` the call waits for it and answers null."""
    change = read_change(world, request.identity, request.vmid, request.params)
    admit(world, request.node, request.identity, change)
    wait = request.params.get("background_delay")
    seconds = 0.0 if wait else CONFIG_SECONDS
    args = {"change": asdict(change), "user": str(request.identity)}
    steps = [Step("config.take", {"vmid": change.vmid}), Step("config.write", args, seconds)]
    upid = world.tasks.start(request.node, "qmconfig", change.vmid, request.identity, steps)
    task = world.tasks.get(upid)
    if not wait or task is None or task.running:
        return upid
    if task.failed:
        raise failed(f"failed to update VM {change.vmid}: {task.status}\n")
    return None


@step("config.take")
def take(world: World, task: Task, vmid: int) -> None:
    take_flock(world, load(world, task.node, vmid), task)


@step("config.write")
def write(world: World, task: Task, change: dict[str, Any], user: str) -> None:
    wanted = Change(**change)
    machine = load(world, task.node, wanted.vmid)
    task.say(f"update VM {wanted.vmid}: {wanted.said}")
    try:
        carry_out(world, machine, Identity.parse(user), wanted)
    except Refusal as refusal:
        if not refusal.errors:
            raise
        texts = [f"{key}: {text.rstrip()}" for key, text in sorted(refusal.errors.items())]
        raise TaskFailed("Parameter verification failed.  " + " ".join(texts)) from refusal
    finally:
        for line in wanted.lines:
            task.say(line)


@route(
    "PUT",
    f"{VM}/unlink",
    fields={"idlist": Text(list_of=config_id), "force": Boolean(optional=True)},
    permission=perm("/vms/{vmid}", "VM.Config.Disk"),
    protected=True,
)
def unlink(world: World, request: Request) -> None:
    """The same as PUT config with `delete`."""
    params = {"delete": request.params["idlist"], "force": request.params.get("force")}
    change_now(world, request.node, request.identity, request.vmid, params)
