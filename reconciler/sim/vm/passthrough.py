"""Devices of the host that a VM takes when it starts: by address or by mapping.

Sources: qemu-server PVE/QemuServer/{PCI,USB,Virtiofs}.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.cluster.hardware import pci_of
from reconciler.sim.cluster.mapped import mappings
from reconciler.sim.cluster.validity import fault_of
from reconciler.sim.errors import TaskFailed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.schema import Properties, parse_properties
from reconciler.sim.vm.machine import Machine

if TYPE_CHECKING:
    from reconciler.sim.world import World

CHANGED = "mapping invalid (hardware probably changed)"


def refuse_missing_devices(world: World, machine: Machine) -> None:
    """Raise TaskFailed unless every device of the VM can be had on its node. What it takes is
    kept in `machine.devices` until the VM is off."""
    wanted = any(key.startswith("hostpci") for key in machine.config)
    taken = in_use(world, machine) if wanted else {}
    mine: list[str] = []
    for key in sorted(machine.config):
        kind = key.rstrip("0123456789")
        if kind not in ("hostpci", "usb", "virtiofs") or kind == key:
            continue
        form = options.OPTIONS[key]
        parts = parse_properties(form, str(machine.config[key]), key)  # type: ignore[arg-type]
        assert isinstance(form, Properties)
        if kind == "hostpci":
            mine += _pci(world, machine, parts, {**taken, **dict.fromkeys(mine, machine.vmid)})
        elif kind == "usb" and "mapping" in parts:
            _mapped(world, machine, "usb", parts["mapping"], "USB device")
        elif kind == "virtiofs":
            _directory(world, machine, parts["dirid"])
    machine.devices = mine


def in_use(world: World, machine: Machine) -> dict[str, int]:
    """PCI address -> the running VM of the same node that has it."""
    return {
        address: other.vmid
        for other in world.vms.look()
        if other.node == machine.node and other.running and other is not machine
        for address in other.devices
    }


def _pci(world: World, machine: Machine, parts: dict[str, str], taken: dict[str, int]) -> list[str]:
    """The addresses that the VM gets for one key."""
    if "mapping" not in parts:
        if "host" not in parts:
            raise TaskFailed("Either 'host' or 'mapping' must be set.")
        wanted = [_exists(world, machine.node, one) for one in parts["host"].split(";")]
        for address in wanted:
            if address in taken:
                text = f"PCI device '{address}' already in use by VMID '{taken[address]}'"
                raise TaskFailed(text)
        return wanted
    places = _mapped(world, machine, "pci", parts["mapping"], "PCI device")
    choices = [one for place in places for one in place["path"].split(";")]
    addresses = [_exists(world, machine.node, one) for one in choices]
    free = next((one for one in addresses if one not in taken), None)
    if free is None and len(addresses) == 1:
        only = addresses[0]
        raise TaskFailed(f"PCI device '{only}' already in use by VMID '{taken[only]}'")
    if free is None:
        raise TaskFailed("could not find a free device for PCI mapping")
    return [free]


def _exists(world: World, node: str, address: str) -> str:
    """The full address of a device. Raises TaskFailed when the node has none such."""
    full = address if address.count(":") == 2 else f"0000:{address}"
    full = full if "." in full else f"{full}.0"
    if full not in [one.id for one in pci_of(world, node)]:
        raise TaskFailed(f"no PCI device found for '{address}'")
    return full


def _mapped(
    world: World, machine: Machine, kind: str, name: str, what: str
) -> list[dict[str, str]]:
    mapping = mappings(world).of(kind).get(name)
    places = [] if mapping is None else mapping.on(machine.node)
    if not places:
        raise TaskFailed(f"{what} mapping not found for '{name}'")
    for place in places:
        fault = fault_of(world, kind, name, machine.node, place)
        if fault is not None:
            raise TaskFailed(f"{what} {CHANGED}: {fault}")
    return places


def _directory(world: World, machine: Machine, name: str) -> None:
    mapping = mappings(world).dir.get(name)
    places = [] if mapping is None else mapping.on(machine.node)
    if len(places) != 1:
        raise TaskFailed("virtiofs needs exactly one directory mapping for this node")
    fault = fault_of(world, "dir", name, machine.node, places[0])
    if fault is not None:
        raise TaskFailed(f"Directory Mapping invalid: {fault}")
