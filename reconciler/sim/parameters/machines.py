"""The `machine` and `vga` values: their forms, what goes together, what Windows is pinned to.

Source: qemu-server PVE/QemuServer/Machine.pm, PVE/QemuServer.pm (assert_clipboard_config).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.sim.errors import failed
from reconciler.sim.parameters.schema import Boolean, Integer, Properties, Text, parse_properties
from reconciler.sim.parameters.values import words

QEMU = "7.2.0"
"""The QEMU of the recorded node; it is named in `meta` and in pinned machine types."""
TYPE = (
    r"(?:pc|pc(?:-i440fx)?-\d+(?:\.\d+)+(?:\+pve\d+)?(?:\.pxe)?|q35"
    r"|pc-q35-\d+(?:\.\d+)+(?:\+pve\d+)?(?:\.pxe)?|virt(?:-\d+(?:\.\d+)+)?(?:\+pve\d+)?)"
)
FAMILIES = {"pc": "pc-i440fx", "q35": "pc-q35", "virt": "virt"}
CLIPBOARD = re.compile(r"std|cirrus|vmware|virtio|qxl")
DISPLAYS = words(
    "cirrus qxl qxl2 qxl3 qxl4 none serial0 serial1 serial2 serial3 std virtio virtio-gl vmware"
)
MACHINE = Properties(
    optional=True,
    parts={
        "type": Text(optional=True, default_key=True, max_length=40, pattern=TYPE),
        "viommu": Text(optional=True, enum=("intel", "virtio")),
        "enable-s3": Boolean(optional=True),
        "enable-s4": Boolean(optional=True),
    },
)
VGA = Properties(
    optional=True,
    parts={
        "type": Text(optional=True, default_key=True, enum=DISPLAYS),
        "memory": Integer(optional=True, minimum=4, maximum=512),
        "clipboard": Text(optional=True, enum=("vnc",)),
    },
)


def check_clipboard(value: object) -> None:
    """Raise 500 when the display type cannot share VNC's clipboard."""
    parts = parse_properties(VGA, str(value), "vga")
    kind = parts.get("type", "")
    if parts.get("clipboard") == "vnc" and kind and not CLIPBOARD.match(kind):
        raise failed(f"vga type {kind} is not compatible with VNC clipboard\n")


def pinned_machine(machine: object, ostype: object) -> str | None:
    """The machine type that a Windows guest is pinned to when its config names no version."""
    parts = _machine_parts(machine)
    family = FAMILIES.get(parts.get("type", "pc"))
    if family is None or not str(ostype).startswith("w"):
        return None
    return _printed_machine({**parts, "type": f"{family}-{QEMU.rpartition('.')[0]}"})


def checked_machine(machine: object, ostype: object) -> str:
    """The normal form of a `machine` value, pinned for Windows; "" when nothing is set.

    Raises 500 when its parts do not go together.
    """
    parts = _machine_parts(machine)
    if parts.get("viommu") == "intel" and "q35" not in parts.get("type", ""):
        raise failed("to use Intel vIOMMU please set the machine type to q35\n")
    return pinned_machine(machine, ostype) or _printed_machine(parts)


def _machine_parts(machine: object) -> dict[str, str]:
    if machine in (None, "", " "):
        return {}
    return parse_properties(MACHINE, str(machine), "machine")


def _printed_machine(parts: Mapping[str, str]) -> str:
    rest = [f"{key}={parts[key]}" for key in sorted(parts) if key != "type"]
    return ",".join([parts["type"], *rest] if "type" in parts else rest)
