"""The guest agent calls of a VM. The guest answers once it has been up for a while.

Sources: qemu-server PVE/API2/Qemu/Agent.pm, PVE/QemuServer/Agent.pm.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, Permission, all_users, check
from reconciler.sim.accounts.roles import MONITOR
from reconciler.sim.cluster.tasks import Step
from reconciler.sim.errors import failed
from reconciler.sim.parameters.schema import Array, Boolean, Integer, Text
from reconciler.sim.parameters.values import words
from reconciler.sim.routes import Request, route
from reconciler.sim.vm import guest
from reconciler.sim.vm.config import VM
from reconciler.sim.vm.fitness import has_system
from reconciler.sim.vm.locks import load
from reconciler.sim.vm.machine import Machine
from reconciler.sim.vm.power import agent_enabled

if TYPE_CHECKING:
    from reconciler.sim.world import World

AGENT = f"{VM}/agent"


def may(privilege: str) -> Permission:
    """VM.Monitor until 8.4; from 9.0 on the privilege, or VM.GuestAgent.Unrestricted."""

    def verify(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
        wanted = [f"VM.GuestAgent.{privilege}", "VM.GuestAgent.Unrestricted"]
        names = [MONITOR] if world.major < 9 else list(dict.fromkeys(wanted))
        check(world, identity, f"/vms/{params['vmid']}", names, any=len(names) > 1)

    return verify


RUN = may("Unrestricted")
READS = words(
    "get-fsinfo get-host-name get-memory-block-info get-memory-blocks get-osinfo get-time "
    "get-timezone get-users get-vcpus info network-get-interfaces"
)
WRITES = words(
    "fsfreeze-freeze fsfreeze-status fsfreeze-thaw fstrim ping shutdown suspend-disk "
    "suspend-hybrid suspend-ram"
)
WITH_ARGUMENTS = words("exec exec-status file-read file-write set-user-password")
POWER_OFF_SECONDS = 5.0


def live_guest(world: World, request: Request) -> Machine:
    """The VM if its agent answers. Raises 500: not running, no agent set up, or agent not up."""
    machine = load(world, request.node, request.vmid)
    if "agent" not in machine.config:
        raise failed("No QEMU guest agent configured\n")
    if not machine.running:
        raise failed(f"VM {machine.vmid} is not running\n")
    awake = machine.status != "paused" and world.now >= machine.agent_ready_at
    if not (awake and agent_enabled(machine) and has_system(world, machine)):
        raise failed("QEMU guest agent is not running\n")
    return machine


def ask(world: World, request: Request, name: str) -> dict[str, Any]:
    """Send a command without arguments; a shutdown lets the guest power off."""
    machine = live_guest(world, request)
    if name == "shutdown":
        args = {"vmid": machine.vmid, "user": str(request.identity)}
        world.tasks.later(machine.node, [Step("power.off", args, POWER_OFF_SECONDS)])
    return {"result": guest.answer(machine, world, name, [*READS, *WRITES])}


def privilege_of(name: str) -> str:
    """What a command without arguments needs from 9.0 on."""
    if name.startswith("fs"):
        return "FileSystemMgmt"
    return "Audit" if name in READS or name == "ping" else "Unrestricted"


def _register(method: str, name: str) -> None:
    @route(method, f"{AGENT}/{name}", permission=may(privilege_of(name)), protected=True)
    def call(world: World, request: Request) -> dict[str, Any]:
        return ask(world, request, name)


for _name in READS:
    _register("GET", _name)
for _name in WRITES:
    _register("POST", _name)


@route("GET", AGENT, permission=all_users)
def index(world: World, request: Request) -> list[dict[str, str]]:
    return [{"name": name} for name in sorted((*READS, *WRITES, *WITH_ARGUMENTS))]


@route(
    "POST",
    AGENT,
    fields={"command": Text(enum=tuple(sorted((*READS, *WRITES))))},
    permission=RUN,
    protected=True,
)
def command(world: World, request: Request) -> dict[str, Any]:
    """The older form, with the command as a parameter."""
    return ask(world, request, str(request.params["command"]))


@route(
    "POST",
    f"{AGENT}/exec",
    fields={"command": Array(items=Text()), "input-data": Text(optional=True, max_length=65536)},
    permission=RUN,
    protected=True,
)
def execute(world: World, request: Request) -> dict[str, Any]:
    machine = live_guest(world, request)
    given = str(request.params.get("input-data") or "")
    return {"pid": guest.run(machine, world, request.params["command"], given)}


@route("GET", f"{AGENT}/exec-status", fields={"pid": Integer()}, permission=RUN, protected=True)
def exec_status(world: World, request: Request) -> dict[str, Any]:
    return dict(guest.result_of(live_guest(world, request), request.params["pid"]))


@route(
    "GET", f"{AGENT}/file-read", fields={"file": Text()}, permission=may("FileRead"), protected=True
)
def file_read(world: World, request: Request) -> dict[str, Any]:
    content = guest.read_file(live_guest(world, request), request.params["file"])
    return {"content": content, "bytes-read": len(content.encode())}


@route(
    "POST",
    f"{AGENT}/file-write",
    fields={
        "file": Text(),
        "content": Text(max_length=61440),
        "encode": Boolean(optional=True),
    },
    permission=may("FileWrite"),
    protected=True,
)
def file_write(world: World, request: Request) -> None:
    """With `encode` 0 the content comes as base64 already."""
    machine, content = live_guest(world, request), str(request.params["content"])
    if request.params.get("encode") == 0:
        try:
            content = base64.b64decode(content).decode("utf-8", "replace")
        except binascii.Error as error:
            raise failed("Agent error: Base64 data is not valid\n") from error
    machine.files[str(request.params["file"])] = content


@route(
    "POST",
    f"{AGENT}/set-user-password",
    fields={
        "username": Text(),
        "password": Text(min_length=5, max_length=1024),
        "crypted": Boolean(optional=True),
    },
    permission=RUN,
    protected=True,
)
def set_password(world: World, request: Request) -> dict[str, Any]:
    live_guest(world, request)
    return {"result": {}}
