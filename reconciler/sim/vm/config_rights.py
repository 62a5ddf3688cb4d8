"""Which privileges changing a VM's config keys takes, in Proxmox's order and words.

Source: qemu-server PVE/API2/Qemu.pm (check_vm_modify_config_perm and its neighbours).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import Identity, allowed, check, root_only
from reconciler.sim.cluster.networks import zone_of
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.parameters.net import parse_net
from reconciler.sim.parameters.options import OPTIONS, privileges_for
from reconciler.sim.parameters.schema import Properties, parse_properties

if TYPE_CHECKING:
    from reconciler.sim.world import World

ROOT_ONLY = "Only root may use this option."


def refuse_root_options(identity: Identity, params: Mapping[str, object], *keys: str) -> None:
    """Raise 400 when somebody else than root@pam gives an option such as skiplock."""
    for key in keys:
        if params.get(key) and not identity.root:
            raise bad_parameters({key: ROOT_ONLY})


def check_vm(
    world: World,
    identity: Identity,
    vmid: int,
    privileges: Iterable[str],
    pool: str | None = None,
    any: bool = False,
) -> None:
    """Privileges on the VM, or on the pool it is being created in."""
    wanted = list(privileges)
    if pool is not None and allowed(world, identity, f"/pool/{pool}", wanted, any):
        return
    check(world, identity, f"/vms/{vmid}", wanted, any)


def check_keys(
    world: World, identity: Identity, vmid: int, keys: Iterable[str], pool: str | None = None
) -> None:
    """Raise 403, or 500 `only root can set 'X' config`, unless the caller may set the keys."""
    if identity.root:
        return
    for key in sorted(keys):
        needed = privileges_for(key)
        if needed is None:
            root_only(identity, f"only root can set '{key}' config\n")
        elif needed:
            check_vm(world, identity, vmid, needed, pool, any=len(needed) > 1)
            if key == "startup":
                check(world, identity, "/", ["Sys.Modify"])


def check_devices(
    world: World,
    identity: Identity,
    vmid: int,
    params: Mapping[str, object],
    pool: str | None = None,
) -> None:
    """Rights that depend on the value: serial ports, USB and PCI devices, random sources."""
    if identity.root:
        return
    for key in sorted(params):
        check_device(world, identity, vmid, key, str(params[key]), pool)


def check_device(
    world: World,
    identity: Identity,
    vmid: int,
    key: str,
    value: str,
    pool: str | None = None,
    verb: str = "set",
) -> None:
    """One such key; others pass. `verb` is what a refused serial port is worded with."""
    kind = key.rstrip("0123456789")
    if identity.root or kind not in ("serial", "usb", "hostpci", "rng", "virtiofs"):
        return
    form = OPTIONS[key]
    parts = parse_properties(form, value, key) if isinstance(form, Properties) else {}
    if kind == "serial":
        if value != "socket":
            raise failed(f"only root can {verb} '{key}' config for real devices\n")
        check_vm(world, identity, vmid, ["VM.Config.HWType"], pool)
    elif kind == "virtiofs":
        check_vm(world, identity, vmid, ["VM.Config.Disk"], pool)
        check(world, identity, f"/mapping/dir/{parts['dirid']}", ["Mapping.Use"])
    elif kind == "rng":
        check_vm(world, identity, vmid, ["VM.Config.HWType"], pool)
        if parts.get("source") == "/dev/hwrng":
            check(world, identity, "/mapping/hwrng", ["Mapping.Use"])
    elif kind == "usb":
        check_vm(world, identity, vmid, ["VM.Config.HWType"], pool)
        if parts.get("host", "spice").lower() != "spice":
            raise failed(f"only root can set '{key}' config for real devices\n")
        if "host" not in parts:
            _check_mapping(world, identity, "usb", parts)
    else:
        if "host" in parts:
            raise failed(f"only root can set '{key}' config for non-mapped devices\n")
        _check_mapping(world, identity, "pci", parts)
        check_vm(world, identity, vmid, ["VM.Config.HWType"], pool)


def _check_mapping(world: World, identity: Identity, bus: str, parts: Mapping[str, str]) -> None:
    if "mapping" not in parts:
        raise failed("either 'host' or 'mapping' must be set.\n")
    check(world, identity, f"/mapping/{bus}/{parts['mapping']}", ["Mapping.Use"])


def check_bridges(world: World, identity: Identity, params: Mapping[str, object]) -> None:
    """SDN.Use on the bridge of every NIC, on the VLAN below it when one is set."""
    if identity.root:
        return
    for key in sorted(params):
        if not (key.startswith("net") and key[3:].isdecimal()):
            continue
        options = parse_net(str(params[key])).options
        bridge = options.get("bridge")
        if bridge is None:
            continue
        where = f"/sdn/zones/{zone_of(world, bridge)}/{bridge}"
        tag = options.get("tag")
        check(world, identity, f"{where}/{tag}" if tag else where, ["SDN.Use"])
        for vlan in filter(None, options.get("trunks", "").split(";")):
            check(world, identity, f"{where}/{vlan}", ["SDN.Use"])
