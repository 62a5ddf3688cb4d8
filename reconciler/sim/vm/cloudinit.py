"""GET and PUT /nodes/N/qemu/V/cloudinit, and the user, network and meta data it would generate.

Source: qemu-server PVE/QemuServer/Cloudinit.pm (format nocloud).
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import unquote

from reconciler.sim.accounts.access import perm
from reconciler.sim.errors import failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.net import parse_net
from reconciler.sim.parameters.schema import Text, parse_properties, split_list
from reconciler.sim.routes import Request, route
from reconciler.sim.vm.config import AUDIT, VM, masked
from reconciler.sim.vm.locks import load, wait_flock
from reconciler.sim.vm.machine import Machine, Section, check_lock

if TYPE_CHECKING:
    from reconciler.sim.world import World

HOST_DNS = ("192.0.2.53", "example.invalid")
"""Name server and search domain of every node's resolv.conf."""

HIDDEN = "*" * 10


@route("GET", f"{VM}/cloudinit", permission=AUDIT)
def differences(world: World, request: Request) -> list[Section]:
    """The cloud-init keys with the values that the drive was made of, and what is new since."""
    machine = load(world, request.node, request.vmid)
    config = masked(machine.config)
    made_of = dict(machine.cloudinit)
    if "cipassword" in made_of:
        made_of["cipassword"] = HIDDEN
    added = split_list(made_of.pop("added", ""))
    rows: list[Section] = [{"key": key, "pending": config[key]} for key in added if key in config]
    for key in options.CLOUDINIT_KEYS:
        if key in added or not config.get(key):
            continue
        row: Section = {"key": key, "value": made_of.get(key, config[key])}
        if key in made_of:
            row["pending"] = config[key]
        rows.append(row)
    rows.extend({"key": key, "delete": 1} for key in made_of if not config.get(key))
    return rows


@route(
    "PUT",
    f"{VM}/cloudinit",
    permission=perm("/vms/{vmid}", "VM.Config.Cloudinit"),
    protected=True,
)
def regenerate(world: World, request: Request) -> None:
    """Make the drive again from the config as it is."""
    machine = load(world, request.node, request.vmid)
    wait_flock(world, machine)
    check_lock(machine)
    machine.cloudinit.clear()


@route(
    "GET",
    f"{VM}/cloudinit/dump",
    fields={"type": Text(enum=("user", "network", "meta"))},
    permission=AUDIT,
)
def dump(world: World, request: Request) -> str:
    """What the drive would hold now. A custom snippet is named, its text unknown here."""
    machine = load(world, request.node, request.vmid)
    kind = str(request.params["type"])
    custom = _custom(machine).get(kind)
    if custom is not None:
        if world.volume(machine.node, custom) is None:
            raise failed(f"volume '{custom}' does not exist\n")
        return f"# {custom}\n"
    if kind == "user":
        return user_data(machine)
    if kind == "network":
        return network_data(machine)
    return meta_data(machine)


def _custom(machine: Machine) -> dict[str, str]:
    value = machine.text("cicustom")
    return (
        {} if value in (None, " ") else parse_properties(options.SNIPPETS, str(value), "cicustom")
    )


def host_names(machine: Machine) -> tuple[str, str]:
    """Host name and full name, from the VM's name and its first search domain."""
    name = machine.text("name") or f"VM{machine.vmid}"
    host, dot, _rest = name.partition(".")
    domains = split_list(machine.text("searchdomain") or "")
    return host, name if dot or not domains else f"{host}.{domains[0]}"


def user_data(machine: Machine) -> str:
    """The cloud-config document."""
    host, full = host_names(machine)
    user, password = _set(machine, "ciuser"), _set(machine, "cipassword")
    lines = ["#cloud-config", f"hostname: {host}", "manage_etc_hosts: true", f"fqdn: {full}"]
    if user is not None:
        lines.append(f"user: {user}")
    if user == "root":
        lines.append("disable_root: False")
    if password is not None:
        lines.append(f"password: {password}")
    keys = [line for line in unquote(_set(machine, "sshkeys") or "").split("\n") if line.strip()]
    if keys:
        lines.append("ssh_authorized_keys:")
        lines.extend(f"  - {key}" for key in keys)
    lines += ["chpasswd:", "  expire: False"]
    if user != "root":
        lines += ["users:", "  - default"]
    if machine.number("ciupgrade", 1):
        lines.append("package_upgrade: true")
    return "\n".join(lines) + "\n"


def _set(machine: Machine, key: str) -> str | None:
    value = machine.text(key)
    return None if value == " " else value


def network_data(machine: Machine) -> str:
    """Network config version 1: a NIC per ipconfigN, then the name servers."""
    lines = ["version: 1", "config:"]
    for index in range(32):
        nic, addresses = machine.text(f"net{index}"), _set(machine, f"ipconfig{index}")
        if nic is None or addresses is None:
            continue
        mac = (parse_net(nic).mac or "").lower()
        lines += ["    - type: physical", f"      name: eth{index}"]
        lines += [f"      mac_address: '{mac}'", "      subnets:"]
        lines += _subnets(parse_properties(options.IPCONFIG, addresses, "ipconfig"))
    servers = split_list(_set(machine, "nameserver") or HOST_DNS[0])
    domains = split_list(_set(machine, "searchdomain") or HOST_DNS[1])
    lines += ["    - type: nameserver", "      address:"]
    lines += [f"      - '{server}'" for server in servers]
    lines += ["      search:", *(f"      - '{domain}'" for domain in domains)]
    return "\n".join(lines) + "\n"


def _subnets(parts: dict[str, str]) -> list[str]:
    lines: list[str] = []
    v4, v6 = parts.get("ip"), parts.get("ip6")
    if v4 == "dhcp":
        lines.append("      - type: dhcp4")
    elif v4 is not None:
        interface = ipaddress.IPv4Interface(v4)
        lines += ["      - type: static", f"        address: '{interface.ip}'"]
        lines.append(f"        netmask: '{interface.netmask}'")
        lines += [f"        gateway: '{parts['gw']}'"] if "gw" in parts else []
    if v6 in ("dhcp", "auto"):
        lines.append(f"      - type: {'dhcp6' if v6 == 'dhcp' else 'ipv6_slaac'}")
    elif v6 is not None:
        lines += ["      - type: static6", f"        address: '{v6}'"]
        lines += [f"        gateway: '{parts['gw6']}'"] if "gw6" in parts else []
    return lines


def meta_data(machine: Machine) -> str:
    """The instance id changes with the user or network data."""
    text = user_data(machine) + network_data(machine)
    return f"instance-id: {hashlib.sha1(text.encode()).hexdigest()}\n"
