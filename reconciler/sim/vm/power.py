"""Power: start, stop and shutdown of a VM.

Sources: qemu-server PVE/API2/Qemu.pm, PVE/QemuServer.pm (vm_start, vm_stop).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import Identity, perm
from reconciler.sim.cluster.networks import bridges_of
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.cluster.traffic import keep_run
from reconciler.sim.errors import TaskFailed, bad_parameters, failed
from reconciler.sim.ha import requests
from reconciler.sim.ha.book import managed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import drives_of
from reconciler.sim.parameters.formats import node_name
from reconciler.sim.parameters.net import parse_net
from reconciler.sim.parameters.schema import Boolean, Field, Integer, Text, parse_properties
from reconciler.sim.parameters.volnames import split_volid
from reconciler.sim.routes import Request, route
from reconciler.sim.vm import config_rights as rights
from reconciler.sim.vm.cloudinit import generate_drive
from reconciler.sim.vm.fitness import has_system, refuse_start
from reconciler.sim.vm.locks import assert_exists, load, take_flock
from reconciler.sim.vm.machine import Machine, check_lock
from reconciler.sim.vm.migration import network, storage_pair
from reconciler.sim.vm.passthrough import refuse_missing_devices
from reconciler.sim.vm.pending import apply_pending
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

STATUS = "/nodes/{node}/qemu/{vmid}/status"
POWER = perm("/vms/{vmid}", "VM.PowerMgmt")
START_SECONDS = 3.0
STOP_SECONDS = 2.0
SHUTDOWN_SECONDS = 15.0
AGENT_SECONDS = 10.0
DEFAULT_TIMEOUT = 60
SKIPLOCK: dict[str, Field] = {"skiplock": Boolean(optional=True)}
TIMEOUT: dict[str, Field] = {"timeout": Integer(optional=True, minimum=0)}
KEEP: dict[str, Field] = {"keepActive": Boolean(optional=True)}
FROM_NODE: dict[str, Field] = {"migratedfrom": Text(optional=True, format=node_name)}
START: dict[str, Field] = {
    **SKIPLOCK,
    **TIMEOUT,
    **FROM_NODE,
    "force-cpu": Text(optional=True),
    "machine": options.OPTIONS["machine"],
    "migration_network": Text(optional=True, format=network),
    "migration_type": Text(optional=True, enum=("secure", "insecure")),
    "stateuri": Text(optional=True, max_length=128),
    "targetstorage": Text(optional=True, list_of=storage_pair),
}
VERBS = ("current", "start", "stop", "reset", "shutdown", "suspend", "reboot")
NO_SOURCE = "targetstorage can only by used with migratedfrom."
LATE = "VM quit/powerdown failed - got timeout"


def start_task(world: World, node: str, vmid: int, identity: Identity, skip: bool = False) -> str:
    """A qmstart task; a missing or locked VM fails inside it."""
    args = {"vmid": vmid, "skip": skip, "user": str(identity)}
    return world.tasks.start(node, "qmstart", vmid, identity, [Step("power.start", args)])


@route("POST", f"{STATUS}/start", fields=START, permission=POWER, protected=True)
def start(world: World, request: Request) -> str:
    params = request.params
    rights.refuse_root_options(
        request.identity,
        params,
        "stateuri",
        "skiplock",
        "migratedfrom",
        "migration_type",
        "migration_network",
        "targetstorage",
        "force-cpu",
    )
    if params.get("targetstorage") and not params.get("migratedfrom"):
        raise bad_parameters({"targetstorage": NO_SOURCE})
    if managed(world, request.vmid) and not params.get("stateuri"):
        return requests.ask_start(world, request.node, request.vmid, request.identity)
    skip = bool(params.get("skiplock"))
    return start_task(world, request.node, request.vmid, request.identity, skip)


@step("power.start")
def begin_start(world: World, task: Task, vmid: int, skip: bool, user: str) -> list[Step]:
    machine = load(world, task.node, vmid)
    take_flock(world, machine, task)
    if machine.template:
        raise TaskFailed("you can't start a vm if it's a template")
    if machine.lock == "backup" and machine.running:
        machine.status = "running"
        return []
    check_lock(machine, skip or machine.lock == "suspended")
    if machine.running:
        raise TaskFailed(f"VM {vmid} already running")
    for key, text in sorted(apply_pending(world, machine, Identity.parse(user)).items()):
        task.say(f"{key}: {text.rstrip()}")
    if generate_drive(world, machine):
        task.say("generating cloud-init ISO")
    if machine.lock == "suspended" or "vmstate" in machine.config:
        task.say("Resuming suspended VM")
    refuse_start(world, machine)
    _refuse_missing_parts(world, machine, task)
    return [Step("power.started", {"vmid": vmid}, START_SECONDS)]


def _refuse_missing_parts(world: World, machine: Machine, task: Task) -> None:
    for drive in drives_of(machine.config):
        if split_volid(drive.file) is not None:
            storage.existing(world, machine.node, drive.file)
    refuse_missing_devices(world, machine)
    bridges = bridges_of(world, machine.node)
    for key in sorted(machine.config):
        if key not in options.NET_KEYS:
            continue
        bridge = parse_net(str(machine.config[key])).options.get("bridge")
        if bridge is not None and bridge not in bridges:
            task.say(f"bridge '{bridge}' does not exist")
            raise TaskFailed("start failed: QEMU exited with code 1")


@step("power.started")
def finish_start(world: World, task: Task, vmid: int) -> None:
    switch_on(world, load(world, task.node, vmid), task.pid + 20)


def switch_on(world: World, machine: Machine, pid: int) -> None:
    """The QEMU process is there; a VM that was suspended to disk goes on from its state."""
    machine.status = "running"
    machine.started_at = world.now
    machine.pid = pid
    machine.agent_ready_at = world.now + AGENT_SECONDS / world.speed
    machine.taps.clear()
    if machine.lock == "suspended":
        del machine.config["lock"]
        for key in ("runningmachine", "runningcpu"):
            machine.config.pop(key, None)
        state = machine.config.pop("vmstate", None)
        if state is not None:
            storage.free(world, machine.node, str(state))


def switch_off(world: World, machine: Machine, identity: Identity) -> None:
    """The QEMU process is gone; what was pending is taken up."""
    keep_run(machine, world.now)
    machine.status = "stopped"
    machine.devices.clear()
    machine.pid = 0
    machine.started_at = 0.0
    machine.commands.clear()
    apply_pending(world, machine, identity)


@route(
    "POST",
    f"{STATUS}/stop",
    fields={
        **SKIPLOCK,
        **TIMEOUT,
        **KEEP,
        **FROM_NODE,
        "overrule-shutdown": Boolean(optional=True),
    },
    permission=POWER,
    protected=True,
)
def stop(world: World, request: Request) -> str:
    params, vmid = request.params, request.vmid
    rights.refuse_root_options(request.identity, params, "skiplock", "keepActive", "migratedfrom")
    if managed(world, vmid) and "migratedfrom" not in params:
        return requests.ask_stop(world, request.node, vmid, request.identity, 0)
    skip, overrule = bool(params.get("skiplock")), bool(params.get("overrule-shutdown"))
    return stop_task(world, request.node, vmid, request.identity, skip, overrule)


def stop_task(
    world: World,
    node: str,
    vmid: int,
    identity: Identity,
    skip: bool = False,
    overrule: bool = False,
) -> str:
    """A qmstop task; a missing or locked VM fails inside it."""
    args = {"vmid": vmid, "skip": skip, "overrule": overrule, "user": str(identity)}
    return world.tasks.start(node, "qmstop", vmid, identity, [Step("power.stop", args)])


@step("power.stop")
def begin_stop(
    world: World, task: Task, vmid: int, skip: bool, overrule: bool, user: str
) -> list[Step] | None:
    if overrule:
        for other in world.tasks.running():
            if other.kind == "qmshutdown" and other.id == str(vmid) and other.node == task.node:
                world.tasks.stop(other)
                task.say(f"overruled qmshutdown tasks: {other.upid}")
    machine = at_rest_or_locked(world, task, vmid, skip)
    if machine is None:
        return None
    return [Step("power.off", {"vmid": vmid, "user": user}, STOP_SECONDS)]


def at_rest_or_locked(world: World, task: Task, vmid: int, skip: bool) -> Machine | None:
    """The running VM under its flock; None when it does not run, whatever its lock."""
    machine = world.vm(vmid, task.node)
    if machine is not None:
        take_flock(world, machine, task)
    machine = assert_exists(world, task.node, vmid)
    if not machine.running:
        return None
    check_lock(machine, skip)
    return machine


@step("power.off")
def turn_off(world: World, task: Task, vmid: int, user: str) -> None:
    switch_off(world, load(world, task.node, vmid), Identity.parse(user))


def refuse_paused(world: World, request: Request) -> bool:
    machine = world.vm(request.vmid, request.node)
    if machine is None or machine.status != "paused":
        return False
    if not request.params.get("forceStop"):
        raise failed("VM is paused - cannot shutdown\n")
    return True


@route(
    "POST",
    f"{STATUS}/shutdown",
    fields={**SKIPLOCK, **TIMEOUT, **KEEP, "forceStop": Boolean(optional=True)},
    permission=POWER,
    protected=True,
)
def shutdown(world: World, request: Request) -> str:
    params, vmid = request.params, request.vmid
    rights.refuse_root_options(request.identity, params, "skiplock", "keepActive")
    paused = refuse_paused(world, request)
    if managed(world, vmid):
        timeout = int(params.get("timeout") or DEFAULT_TIMEOUT)
        return requests.ask_stop(world, request.node, vmid, request.identity, timeout)
    args = {
        "vmid": vmid,
        "skip": bool(params.get("skiplock")),
        "timeout": params.get("timeout"),
        "force": bool(params.get("forceStop")),
        "user": str(request.identity),
    }
    first = Step("power.shutdown", args)
    if paused:
        keep = {key: args[key] for key in ("vmid", "skip", "user")}
        first = Step("power.stop", {**keep, "overrule": False})
    return world.tasks.start(request.node, "qmshutdown", vmid, request.identity, [first])


def shutdown_task(world: World, node: str, vmid: int, identity: Identity, timeout: int) -> str:
    """A qmshutdown task that kills the guest when its time is up."""
    args = {"vmid": vmid, "skip": False, "timeout": timeout, "force": True, "user": str(identity)}
    return world.tasks.start(node, "qmshutdown", vmid, identity, [Step("power.shutdown", args)])


@step("power.shutdown")
def begin_shutdown(
    world: World, task: Task, vmid: int, skip: bool, timeout: int | None, force: bool, user: str
) -> list[Step] | None:
    machine = at_rest_or_locked(world, task, vmid, skip)
    if machine is None:
        return None
    return power_down(world, machine, timeout, force, Step("power.off", who(vmid, user)))


def who(vmid: int, user: str) -> dict[str, object]:
    return {"vmid": vmid, "user": user}


def power_down(
    world: World, machine: Machine, timeout: int | None, force: bool, then: Step
) -> list[Step]:
    """Ask the guest to power off; `then` runs when it has, or when it is killed."""
    if timeout is None:
        timeout = _down_time(machine) or DEFAULT_TIMEOUT
    if timeout > SHUTDOWN_SECONDS and has_system(world, machine):
        then.seconds = SHUTDOWN_SECONDS
        return [then]
    if force:
        then.seconds = float(timeout)
        return [then]
    return [Step("power.late", {"text": LATE}, float(timeout))]


def _down_time(machine: Machine) -> int | None:
    value = machine.text("startup")
    for part in (value or "").split(","):
        if part.startswith("down="):
            return int(part.removeprefix("down="))
    return None


def agent_enabled(machine: Machine) -> bool:
    """Whether the running config has a guest agent."""
    value = machine.text("agent")
    if value is None:
        return False
    return parse_properties(options.AGENT, value, "agent").get("enabled") == "1"


@step("power.late")
def too_late(world: World, task: Task, text: str) -> None:
    raise TaskFailed(text)


def need_running(world: World, request: Request) -> Machine:
    """Raise 500 `VM V not running`; this comes before any look at locks."""
    machine = assert_exists(world, request.node, request.vmid)
    if not machine.running:
        raise failed(f"VM {request.vmid} not running\n")
    return machine
