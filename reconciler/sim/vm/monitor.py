"""QEMU's human monitor: a few questions, pause and go on, and keys pressed for the guest.

Sources: qemu-server PVE/API2/Qemu.pm (monitor, vm_sendkey), PVE/QemuServer.pm (vm_sendkey); QEMU
ui/input-keymap.c and monitor/hmp-cmds.c.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import check, perm
from reconciler.sim.accounts.roles import MONITOR
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.parameters.schema import Boolean, Text
from reconciler.sim.parameters.values import words
from reconciler.sim.routes import Request, route
from reconciler.sim.vm.config import VM
from reconciler.sim.vm.locks import load
from reconciler.sim.vm.machine import Machine

if TYPE_CHECKING:
    from reconciler.sim.world import World

READ_ONLY = re.compile(r"\s*(?:info(?:\s+|\Z)|help\s*\Z)")
LINE = "\r\n"
KEYS = frozenset(
    (
        *"abcdefghijklmnopqrstuvwxyz0123456789",
        *(f"f{number}" for number in range(1, 25)),
        *(f"kp_{number}" for number in range(10)),
        *words(
            "ac_back ac_bookmarks ac_forward ac_home ac_refresh again alt alt_r apostrophe "
            "asterisk audiomute audionext audioplay audioprev audiostop backslash backspace "
            "bracket_left bracket_right calculator caps_lock comma compose computer copy ctrl "
            "ctrl_r cut delete dot down end equal esc find front grave_accent help henkan "
            "hiragana home insert katakanahiragana kp_add kp_comma kp_decimal kp_divide "
            "kp_enter kp_equals kp_multiply kp_subtract lang1 lang2 left less lf mail "
            "mediaselect menu meta_l meta_r minus muhenkan num_lock open paste pause pgdn pgup "
            "power print props ret right ro scroll_lock semicolon shift shift_r slash sleep spc "
            "stop sysrq tab undo unmapped up volumedown volumeup wake yen"
        ),
    )
)
MOST_KEYS = 16


def press(combination: str) -> str:
    """What `sendkey` prints: nothing if every key is one."""
    names = combination.split("-")
    for number, name in enumerate(names):
        if number == MOST_KEYS:
            return f"too many keys{LINE}"
        if not name.startswith("0x") and name not in KEYS and combination != "<":
            return f"invalid parameter: {name}{LINE}"
    return ""


def told(machine: Machine, command: str) -> str:
    """What the monitor prints for a command line."""
    name, _, rest = command.strip().partition(" ")
    if name in ("stop", "cont"):
        machine.status = "paused" if name == "stop" else "running"
        return ""
    if name == "sendkey":
        return press(rest.strip())
    facts = {"status": f"VM status: {machine.status}", "name": machine.name}
    if name == "info" and rest.strip() in facts:
        return facts[rest.strip()] + LINE
    return f"unknown command: '{name}'{LINE}"


@route(
    "POST",
    f"{VM}/monitor",
    fields={"command": Text()},
    permission=perm("/vms/{vmid}", MONITOR),
    protected=True,
)
def ask(world: World, request: Request) -> str:
    """What the monitor prints; that there is none is an answer too. More than questions need
    Sys.Modify on /."""
    command = str(request.params["command"])
    if not READ_ONLY.match(command):
        check(world, request.identity, "/", ["Sys.Modify"])
    machine = load(world, request.node, request.vmid)
    if not machine.running:
        return f"ERROR: VM {machine.vmid} not running\n"
    return told(machine, command)


@route(
    "PUT",
    f"{VM}/sendkey",
    fields={"key": Text(), "skiplock": Boolean(optional=True)},
    permission=perm("/vms/{vmid}", "VM.Console"),
    protected=True,
)
def send_key(world: World, request: Request) -> None:
    """Press keys together, such as ctrl-alt-delete, at once; a lock is no hindrance."""
    if request.params.get("skiplock") and not request.identity.root:
        raise bad_parameters({"skiplock": "Only root may use this option."})
    machine = load(world, request.node, request.vmid)
    if not machine.running:
        raise failed(f"VM {machine.vmid} not running\n")
    if text := press(str(request.params["key"])):
        raise failed(text)
