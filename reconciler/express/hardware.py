"""Processors, memory, disks and NICs of a VM as a spec would say them."""

from typing import get_args

from desired.hardware import Nic
from desired.units import MIB
from handlers.throttles import FLAGS, LIMITS
from reconciler.express.words import Tree, amount, known, rate, section, size
from state.conf import VMConfig
from state.drive import Drive
from state.net import IpConfig, Net

MODELS = frozenset(get_args(get_args(Nic.model_fields["model"].annotation)[0]))
"""The models that a spec may name."""


def cpu(config: VMConfig) -> Tree:
    return section(
        "cpu",
        {
            "cores": config.integer("cores", 1),
            "sockets": config.integer("sockets", 1),
            "type": config.cpu_type,
            "limit": amount(config.number("cpulimit", 0)),
            "units": config.integer("cpuunits", 100),
            "numa": config.boolean("numa", False),
        },
    )


def memory(config: VMConfig) -> Tree:
    balloon = config.memory if config.balloon is None else config.balloon
    return {"memory": size(config.memory * MIB), "balloon": size(balloon * MIB)}


def disks(config: VMConfig) -> Tree:
    """The boot disk stands under `system`, whatever its slot."""
    found = {
        "system" if slot == config.boot_disk else slot: _disk(drive)
        for slot, drive in config.disks.items()
    }
    return section("disks", found)


def _disk(drive: Drive) -> Tree:
    limits = {
        name: amount(drive.number(name) or float(name.endswith("_length"))) for name in LIMITS
    }
    flags = {name: drive.flag(name, default) for name, (default, _, _) in FLAGS.items()}
    found = known(
        size=None if drive.size is None else size(drive.size),
        storage=drive.storage,
        cache=drive.option("cache") or "none",
    )
    return {**found, **limits, **flags}


def nics(config: VMConfig) -> Tree:
    """With their addresses as cloud-init is told them; a lease is not known from here."""
    found = {
        slot: _nic(net) | _addresses(config.ipconfigs.get(int(slot.removeprefix("net"))))
        for slot, net in config.nics.items()
    }
    return section("nics", found)


def _nic(net: Net) -> Tree:
    return known(
        bridge=net.bridge,
        vlan=net.tag or 0,
        rate=rate(net.rate),
        model=net.model if net.model in MODELS else None,
        mtu=net.mtu,
        firewall=net.firewall,
        link="down" if net.link_down else "up",
    )


def _addresses(config: IpConfig | None) -> Tree:
    if config is None:
        return {}
    return known(ipv4=_family(config.ip, config.gw), ipv6=_family(config.ip6, config.gw6))


def _family(address: str | None, gateway: str | None) -> str | Tree | None:
    if address in (None, "dhcp", "auto"):
        return address
    return known(static=address, gateway=gateway)
