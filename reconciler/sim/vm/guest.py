"""The simulated guest: what its agent answers, the files and commands that it knows.

It knows its own name, its addresses and Linux. A command that it does not know succeeds and says
nothing.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from reconciler.sim.errors import failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.net import parse_net
from reconciler.sim.parameters.schema import parse_properties
from reconciler.sim.vm.cloudinit_files import host_names
from reconciler.sim.vm.machine import Machine, Value

if TYPE_CHECKING:
    from reconciler.sim.world import World

COUNTERS = tuple(
    f"{way}-{what}" for way in ("rx", "tx") for what in ("bytes", "dropped", "errs", "packets")
)
OS = {
    "id": "debian",
    "name": "Debian GNU/Linux",
    "pretty-name": "Debian GNU/Linux 12 (bookworm)",
    "version-id": "12",
    "machine": "x86_64",
}
FIXED: dict[str, Any] = {
    "get-osinfo": OS,
    "get-timezone": {"offset": 0, "zone": "UTC"},
    "fsfreeze-status": "thawed",
    "fsfreeze-freeze": 1,
    "fsfreeze-thaw": 1,
    "fstrim": {"paths": []},
    "get-users": [],
    "get-fsinfo": [],
    "get-memory-blocks": [],
    "get-memory-block-info": {"size": 128 << 20},
}


def answer(machine: Machine, world: World, command: str, known: list[str]) -> Any:
    """What the guest says to a command without arguments."""
    if command in FIXED:
        return FIXED[command]
    if command == "get-host-name":
        return {"host-name": host_names(machine)[0]}
    if command == "network-get-interfaces":
        return interfaces(machine)
    if command == "get-vcpus":
        count = machine.number("cores", 1) * machine.number("sockets", 1)
        return [{"logical-id": n, "online": True, "can-offline": n > 0} for n in range(count)]
    if command == "get-time":
        return int(world.now * 1_000_000_000)
    if command == "info":
        names = sorted(f"guest-{name}" for name in known)
        rows = [{"name": name, "enabled": True, "success-response": True} for name in names]
        return {"version": "7.2.0", "supported_commands": rows}
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


def run(machine: Machine, world: World, command: list[str], given: str) -> int:
    """Start a command; the process id under which its result waits until it is fetched once."""
    pid = 1000 + world.rng.randrange(30000)
    code, said = _outcome(machine, command, given)
    result: dict[str, Value] = {"exited": 1, "exitcode": code}
    machine.commands[str(pid)] = result | ({"out-data": said} if said else {})
    return pid


def _outcome(machine: Machine, command: list[str], given: str) -> tuple[int, str]:
    """Exit code and output of the few commands that mean something here."""
    name, arguments = command[0].rpartition("/")[2] if command else "", command[1:]
    if name == "echo":
        return 0, " ".join(arguments) + "\n"
    if name == "hostname":
        return 0, f"{host_names(machine)[0]}\n"
    if name == "cat" and not arguments:
        return 0, given
    if name == "cat":
        known = [machine.files[one] for one in arguments if one in machine.files]
        return int(len(known) < len(arguments)), "".join(known)
    return int(name == "false"), ""


def result_of(machine: Machine, pid: int) -> dict[str, Value]:
    """What a command ended with. Raises 500 for a process that is not known (any more)."""
    found = machine.commands.pop(str(pid), None)
    if found is None:
        raise failed("Agent error: Invalid parameter 'pid'\n")
    return found


def read_file(machine: Machine, path: str) -> str:
    """Raises 500 in the agent's words when the guest has no such file."""
    if path not in machine.files:
        reason = "No such file or directory"
        raise failed(f"Agent error: failed to open file '{path}' (mode: 'r'): {reason}\n")
    return machine.files[path]
