"""The user, network and meta data of a cloud-init drive, letter by letter.

Source: qemu-server PVE/QemuServer/Cloudinit.pm, PVE/QemuServer.pm (parse_ipconfig).
"""

from __future__ import annotations

import hashlib
import ipaddress
from urllib.parse import unquote

from reconciler.sim.errors import failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.net import parse_net
from reconciler.sim.parameters.schema import FormatError, parse_properties
from reconciler.sim.vm.machine import Machine

HOST_DNS = ("192.0.2.53", "example.invalid")
"""Name server and search domain of every node's resolv.conf."""

META = """{{
     "uuid": "{uuid}",
     "network_config": {{ "content_path": "/content/0000" }}
}}
"""


def data_format(machine: Machine) -> str:
    """nocloud, but configdrive2 for Windows, unless `citype` says otherwise."""
    windows = (machine.text("ostype") or "").startswith("w")
    return machine.text("citype") or ("configdrive2" if windows else "nocloud")


def host_names(machine: Machine) -> tuple[str, str]:
    """Host name and full name, from the VM's name and its search domain as it is written."""
    name = machine.text("name") or f"VM{machine.vmid}"
    host, dot, _rest = name.partition(".")
    domain = machine.text("searchdomain")
    return host, name if dot or domain is None else f"{host}.{domain}"


def user_data(machine: Machine) -> str:
    """The cloud-config document."""
    host, full = host_names(machine)
    user, password = machine.text("ciuser"), machine.text("cipassword")
    lines = ["#cloud-config", f"hostname: {host}", "manage_etc_hosts: true", f"fqdn: {full}"]
    if user is not None:
        lines.append(f"user: {user}")
    if user == "root":
        lines.append("disable_root: False")
    if password is not None:
        lines.append(f"password: {password}")
    keys = machine.text("sshkeys")
    if keys is not None:
        lines.append("ssh_authorized_keys:")
        lines.extend(f"  - {key}" for key in unquote(keys).split("\n") if key.strip())
    lines += ["chpasswd:", "  expire: False"]
    if user != "root":
        lines += ["users:", "  - default"]
    if machine.number("ciupgrade", 1):
        lines.append("package_upgrade: true")
    return "\n".join(lines) + "\n"


def network_data(machine: Machine) -> str:
    """Network config version 1 (nocloud), else what /etc/network/interfaces would hold."""
    if data_format(machine) == "nocloud":
        return _version_one(machine)
    return _interfaces(machine)


def meta_data(machine: Machine) -> str:
    """The instance id changes with the user or network data."""
    text = user_data(machine) + network_data(machine)
    uuid = hashlib.sha1(text.encode()).hexdigest()
    if data_format(machine) == "nocloud":
        return f"instance-id: {uuid}\n"
    return META.format(uuid=uuid)


def name_servers(machine: Machine) -> tuple[list[str], list[str]]:
    """Name servers and search domains; unset keys give the node's own."""
    servers, domains = machine.text("nameserver"), machine.text("searchdomain")
    return (
        (HOST_DNS[0] if servers is None else servers).split(),
        (HOST_DNS[1] if domains is None else domains).split(),
    )


def _configured(machine: Machine) -> list[tuple[str, str, dict[str, str]]]:
    """Number, value and addresses of every NIC with an ipconfigN, sorted as texts."""
    found = []
    for key in sorted(one for one in machine.config if one in options.NET_KEYS):
        number = key.removeprefix("net")
        addresses = machine.text(f"ipconfig{number}")
        if addresses is not None:
            found.append((number, str(machine.config[key]), parse_ipconfig(addresses)))
    return found


def parse_ipconfig(text: str) -> dict[str, str]:
    """The addresses of an ipconfigN: DHCP for both when none is given, nothing at all when a
    gateway stands beside DHCP."""
    try:
        parts = parse_properties(options.IPCONFIG, text, "ipconfig")
    except FormatError:
        return {}
    if "gw" in parts and parts["ip"] == "dhcp":
        return {}
    if "gw6" in parts and parts["ip6"] in ("dhcp", "auto", "manual"):
        return {}
    return parts if "ip" in parts or "ip6" in parts else {"ip": "dhcp", "ip6": "dhcp"}


def _split_v4(text: str) -> tuple[str, str]:
    if "/" not in text:
        raise failed(f"not a CIDR: {text}\n")
    network = ipaddress.IPv4Interface(text)
    return text.partition("/")[0], str(network.netmask)


def _version_one(machine: Machine) -> str:
    lines = ["version: 1", "config:"]
    for number, nic, parts in _configured(machine):
        mac = (parse_net(nic).mac or "").lower()
        lines += ["    - type: physical", f"      name: eth{number}"]
        lines += [f"      mac_address: '{mac}'", "      subnets:"]
        lines += _subnets(parts)
    servers, domains = name_servers(machine)
    lines.append("    - type: nameserver")
    if servers:
        lines += ["      address:", *(f"      - '{server}'" for server in servers)]
    if domains:
        lines += ["      search:", *(f"      - '{domain}'" for domain in domains)]
    return "\n".join(lines) + "\n"


def _subnets(parts: dict[str, str]) -> list[str]:
    lines: list[str] = []
    v4, v6 = parts.get("ip"), parts.get("ip6")
    if v4 == "dhcp":
        lines.append("      - type: dhcp4")
    elif v4 is not None:
        address, mask = _split_v4(v4)
        lines += ["      - type: static", f"        address: '{address}'"]
        lines.append(f"        netmask: '{mask}'")
        lines += [f"        gateway: '{parts['gw']}'"] if "gw" in parts else []
    if v6 in ("dhcp", "auto"):
        lines.append(f"      - type: {'dhcp6' if v6 == 'dhcp' else 'ipv6_slaac'}")
    elif v6 is not None:
        lines += ["      - type: static6", f"        address: '{v6}'"]
        lines += [f"        gateway: '{parts['gw6']}'"] if "gw6" in parts else []
    return lines


def _interfaces(machine: Machine) -> str:
    lines = ["auto lo", "iface lo inet loopback", ""]
    servers, domains = name_servers(machine)
    if servers:
        lines.append(f"        dns_nameservers {' '.join(servers)}")
    if domains:
        lines.append(f"        dns_search {' '.join(domains)}")
    for number, _nic, parts in _configured(machine):
        name = f"eth{number}"
        lines += [f"auto {name}", *_stanza_v4(name, parts), *_stanza_v6(name, parts)]
    return "\n".join(lines) + "\n"


def _stanza_v4(name: str, parts: dict[str, str]) -> list[str]:
    if "ip" not in parts:
        return []
    if parts["ip"] == "dhcp":
        return [f"iface {name} inet dhcp"]
    address, mask = _split_v4(parts["ip"])
    lines = [f"iface {name} inet static", f"        address {address}", f"        netmask {mask}"]
    return lines + ([f"        gateway {parts['gw']}"] if "gw" in parts else [])


def _stanza_v6(name: str, parts: dict[str, str]) -> list[str]:
    if "ip6" not in parts:
        return []
    if parts["ip6"] in ("dhcp", "auto"):
        return [f"iface {name} inet6 {parts['ip6']}"]
    address, _slash, mask = parts["ip6"].partition("/")
    lines = [f"iface {name} inet6 static", f"        address {address}", f"        netmask {mask}"]
    return lines + ([f"        gateway {parts['gw6']}"] if "gw6" in parts else [])
