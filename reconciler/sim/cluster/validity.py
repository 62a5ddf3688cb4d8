"""Whether what a mapping names is what is plugged in, in Proxmox's words.

Sources: pve-guest-common PVE/Mapping/{PCI,USB,Dir}.pm (assert_valid).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.cluster.hardware import has_directory, pci_of, usb_of

if TYPE_CHECKING:
    from reconciler.sim.world import World


def fault_of(world: World, kind: str, name: str, node: str, place: dict[str, str]) -> str | None:
    """What is wrong with one place of a mapping on a node; None when it is right."""
    if kind == "pci":
        return _pci_fault(world, name, node, place)
    if kind == "usb":
        return _usb_fault(world, name, node, place)
    path = place.get("path", "")
    if not has_directory(world, node, path):
        return f"Path {path} does not exist"
    return None


def _pci_fault(world: World, name: str, node: str, place: dict[str, str]) -> str | None:
    there = {one.id: one for one in pci_of(world, node)}
    for position, path in enumerate(place.get("path", "").split(";")):
        path = path if "." in path else f"{path}.0"
        device = there.get(path)
        if device is None:
            return f"pci device '{path}' not found"
        right = {
            "id": f"{device.vendor}:{device.device}",
            "iommugroup": str(device.group),
            "subsystem-id": f"{device.sub_vendor}:{device.sub_device}",
        }
        for key in sorted(right):
            if key == "iommugroup" and position:
                continue
            if key not in place:
                return f"no '{key}' for device '{path}'"
            if right[key] != place[key].lower():
                return f"'{key}' does not match for '{name}' ({right[key]} != {place[key]})"
    return None


def _usb_fault(world: World, name: str, node: str, place: dict[str, str]) -> str | None:
    wanted, path = place.get("id", ""), place.get("path")
    for one in usb_of(world, node):
        real = f"{one.vendor}:{one.product}"
        if path is not None and path == one.path:
            if real == wanted.lower():
                return None
            return f"'id' does not match for '{name}' ({real} != {wanted})"
        if path is None and real == wanted.lower():
            return None
    return f"usb device '{path or wanted}' not found"
