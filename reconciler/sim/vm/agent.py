"""The guest agent calls of a VM. The guest answers once it has been up for a while.

Sources: qemu-server PVE/API2/Qemu/Agent.pm, PVE/QemuServer/Agent.pm. The simulated guest knows its
own name, its addresses and Linux; commands that change it succeed and change nothing here.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Permission, all_users, perm
from reconciler.sim.errors import failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.net import parse_net
from reconciler.sim.parameters.schema import Array, Boolean, Integer, Text, parse_properties
from reconciler.sim.routes import Request, route
from reconciler.sim.vm.cloudinit import host_names
from reconciler.sim.vm.config import VM
from reconciler.sim.vm.locks import assert_exists
from reconciler.sim.vm.machine import Machine
from reconciler.sim.vm.power import agent_enabled

if TYPE_CHECKING:
    from reconciler.sim.world import World

AGENT = f"{VM}/agent"
MONITOR = perm("/vms/{vmid}", "VM.Monitor")
READS = {
    "get-fsinfo": MONITOR,
    "get-host-name": MONITOR,
    "get-memory-block-info": MONITOR,
    "get-memory-blocks": MONITOR,
    "get-osinfo": MONITOR,
    "get-time": MONITOR,
    "get-timezone": MONITOR,
    "get-users": MONITOR,
    "get-vcpus": MONITOR,
    "info": MONITOR,
    "network-get-interfaces": MONITOR,
}
POWER = perm("/vms/{vmid}", "VM.PowerMgmt")
WRITES = {
    "fsfreeze-freeze": MONITOR,
    "fsfreeze-status": MONITOR,
    "fsfreeze-thaw": MONITOR,
    "fstrim": MONITOR,
    "ping": MONITOR,
    "shutdown": POWER,
    "suspend-disk": POWER,
    "suspend-hybrid": POWER,
    "suspend-ram": POWER,
}
COUNTERS = tuple(
    f"{way}-{what}" for way in ("rx", "tx") for what in ("bytes", "dropped", "errs", "packets")
)


def live_guest(world: World, request: Request) -> Machine:
    """The VM if its agent answers. Raises 500: not running, no agent set up, or agent not up."""
    machine = assert_exists(world, request.node, request.vmid)
    if not agent_enabled(machine):
        raise failed("No QEMU guest agent configured\n")
    if not machine.running:
        raise failed(f"VM {machine.vmid} is not running\n")
    if machine.status == "paused" or world.now < machine.agent_ready_at:
        raise failed("QEMU guest agent is not running\n")
    return machine


def answer(machine: Machine, world: World, command: str) -> Any:
    """What the guest says to a command."""
    if command == "get-host-name":
        return {"host-name": host_names(machine)[0]}
    if command == "network-get-interfaces":
        return interfaces(machine)
    if command == "get-osinfo":
        return {
            "id": "debian",
            "name": "Debian GNU/Linux",
            "pretty-name": "Debian GNU/Linux 12 (bookworm)",
            "version-id": "12",
            "machine": "x86_64",
        }
    if command == "get-vcpus":
        count = machine.number("cores", 1) * machine.number("sockets", 1)
        return [{"logical-id": n, "online": True, "can-offline": n > 0} for n in range(count)]
    if command == "get-time":
        return int(world.now * 1_000_000_000)
    if command == "get-timezone":
        return {"offset": 0, "zone": "UTC"}
    if command == "fsfreeze-status":
        return "thawed"
    if command in ("fsfreeze-freeze", "fsfreeze-thaw"):
        return 1
    if command == "fstrim":
        return {"paths": []}
    if command in ("get-users", "get-fsinfo", "get-memory-blocks"):
        return []
    if command == "info":
        names = sorted(f"guest-{name}" for name in (*READS, *WRITES))
        known = [{"name": name, "enabled": True, "success-response": True} for name in names]
        return {"version": "7.2.0", "supported_commands": known}
    return {}


def interfaces(machine: Machine) -> list[dict[str, Any]]:
    """lo and a NIC per netN with its static addresses; one without ipconfigN stays down."""
    rows = [_interface("lo", "00:00:00:00:00:00", [("127.0.0.1", 8), ("::1", 128)])]
    for index, key in enumerate(one for one in options.NET_KEYS if one in machine.config):
        mac = (parse_net(str(machine.config[key])).mac or "").lower()
        value = machine.text(f"ipconfig{key[3:]}")
        parts = {} if value in (None, " ") else _addresses(str(value))
        found = []
        for name in ("ip", "ip6"):
            address, slash, mask = parts.get(name, "").partition("/")
            if slash:
                found.append((address, int(mask)))
        if value not in (None, " "):
            found.append((link_local(mac), 64))
        rows.append(_interface(f"eth{index}", mac, found))
    return rows


def _addresses(value: str) -> dict[str, str]:
    return parse_properties(options.IPCONFIG, value, "ipconfig")


def link_local(mac: str) -> str:
    """The EUI-64 address that Linux gives itself."""
    octets = [int(part, 16) for part in mac.split(":")]
    octets[0] ^= 2
    words = [*octets[:3], 0xFF, 0xFE, *octets[3:]]
    return str(ipaddress.IPv6Address(bytes([0xFE, 0x80, 0, 0, 0, 0, 0, 0, *words])))


def _interface(name: str, mac: str, addresses: list[tuple[str, int]]) -> dict[str, Any]:
    rows = [
        {
            "ip-address": address,
            "ip-address-type": "ipv6" if ":" in address else "ipv4",
            "prefix": prefix,
        }
        for address, prefix in addresses
    ]
    found: dict[str, Any] = {"name": name, "hardware-address": mac}
    if rows:
        found["ip-addresses"] = rows
    return {**found, "statistics": dict.fromkeys(COUNTERS, 0)}


def _register(method: str, command: str, permission: Permission) -> None:
    @route(method, f"{AGENT}/{command}", permission=permission, protected=True)
    def call(world: World, request: Request) -> dict[str, Any]:
        return {"result": answer(live_guest(world, request), world, command)}


for _command, _permission in READS.items():
    _register("GET", _command, _permission)
for _command, _permission in WRITES.items():
    _register("POST", _command, _permission)


@route("GET", AGENT, permission=all_users)
def index(world: World, request: Request) -> list[dict[str, str]]:
    names = sorted((*READS, *WRITES, "exec", "exec-status", "set-user-password"))
    return [{"name": name} for name in names]


@route(
    "POST",
    AGENT,
    fields={"command": Text(enum=tuple(sorted((*READS, *WRITES))))},
    permission=MONITOR,
    protected=True,
)
def command(world: World, request: Request) -> dict[str, Any]:
    """The older form, with the command as a parameter."""
    machine = live_guest(world, request)
    return {"result": answer(machine, world, str(request.params["command"]))}


@route(
    "POST",
    f"{AGENT}/exec",
    fields={"command": Array(items=Text()), "input-data": Text(optional=True, max_length=65536)},
    permission=MONITOR,
    protected=True,
)
def execute(world: World, request: Request) -> dict[str, Any]:
    """Every command ends at once with exit code 0 and no output."""
    live_guest(world, request)
    return {"pid": 1000 + world.rng.randrange(30000)}


@route("GET", f"{AGENT}/exec-status", fields={"pid": Integer()}, permission=MONITOR, protected=True)
def exec_status(world: World, request: Request) -> dict[str, Any]:
    live_guest(world, request)
    return {"exited": 1, "exitcode": 0}


@route(
    "POST",
    f"{AGENT}/set-user-password",
    fields={
        "username": Text(),
        "password": Text(min_length=5, max_length=1024),
        "crypted": Boolean(optional=True),
    },
    permission=MONITOR,
    protected=True,
)
def set_password(world: World, request: Request) -> dict[str, Any]:
    live_guest(world, request)
    return {"result": {}}
