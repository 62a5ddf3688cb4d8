"""The boot order: reading and printing it, and what joins and leaves it as devices come and go.

Source: qemu-server PVE/API2/Qemu.pm (update_vm_api), PVE/QemuServer.pm (print_bootorder).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from reconciler.sim.errors import failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import drives_of
from reconciler.sim.parameters.schema import parse_properties, split_list
from reconciler.sim.vm.machine import Machine, Section

BUSES = ("ide", "scsi", "virtio", "sata")
"""Buses one can boot from, in the order in which a first disk is looked for."""


@dataclass(slots=True)
class Order:
    """What a change touches besides its own keys: the boot order, a pinned machine type."""

    machine: Machine
    devices: list[str]
    touched: set[str] = field(default_factory=set)

    def write(self) -> None:
        self.touched.add("boot")
        self.machine.pending["boot"] = print_order(self.devices)

    def pin(self, machine_type: str | None) -> None:
        """A guest that becomes Windows gets its machine type pinned on the way."""
        if machine_type is not None:
            self.touched.add("machine")
            self.machine.pending["machine"] = machine_type

    def drop(self, key: str) -> None:
        if key in self.devices:
            self.devices.remove(key)
            self.write()

    def append(self, key: str) -> None:
        if self.devices and key not in self.devices:
            self.devices.append(key)
            self.write()


def print_order(devices: list[str]) -> str:
    """The `boot` value of a device list; without devices it is one blank."""
    return f"order={';'.join(devices)}" if devices else " "


def drop_boot_device(machine: Machine, key: str) -> None:
    """Take a device that leaves the VM out of its boot order, at once."""
    order = boot_order(machine)
    if key in order.devices:
        order.devices.remove(key)
        machine.config["boot"] = print_order(order.devices)


def boot_order(machine: Machine) -> Order:
    """The devices of the main section's `order=`; none of a legacy or unset order."""
    value = machine.text("boot")
    parts = parse_properties(options.BOOT, value, "boot") if value and value != " " else {}
    return Order(machine, split_list(parts.get("order", "")))


def new_boot_order(
    machine: Machine, value: str, given: Collection[str], deleted: Collection[str]
) -> str:
    """The normal form of a `boot` value being set. Raises 500 for a device that is not there."""
    parts = parse_properties(options.BOOT, value, "boot") if value != " " else {}
    devices = split_list(parts.get("order", ""))
    for device in devices:
        there = device in machine.config or device in machine.pending or device in given
        if not there or device in deleted:
            raise failed(f"invalid bootorder: device '{device}' does not exist'\n")
    if devices and "bootdisk" in machine.config:
        machine.pending_delete["bootdisk"] = 1
    return print_order(devices) if devices else value


def default_boot(config: Section) -> list[str]:
    """The first disk, the first CD-ROM and the first NIC."""
    found: list[str] = []
    drives = [one for one in drives_of(config) if _bus(one.key) in BUSES]
    drives.sort(key=lambda one: (BUSES.index(_bus(one.key)), int(one.key[len(_bus(one.key)) :])))
    for wanted in (False, True):
        found += [one.key for one in drives if one.is_cdrom is wanted][:1]
    nets = [key for key in options.NET_KEYS if key in config]
    return found + nets[:1]


def _bus(key: str) -> str:
    return key.rstrip("0123456789")
