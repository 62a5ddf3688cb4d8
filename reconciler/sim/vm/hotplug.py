"""What a running VM takes up of its pending changes, what waits for a restart, what fails.

The table of pve-api.md section 5; sources: qemu-server PVE/QemuServer.pm
(vmconfig_hotplug_pending, vmconfig_update_{net,disk,agent}).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import Identity
from reconciler.sim.cluster.networks import bridges_of
from reconciler.sim.errors import Refusal, failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import NEEDS_RESTART, is_drive, parse_drive
from reconciler.sim.parameters.net import Nic, parse_net
from reconciler.sim.parameters.schema import parse_properties, split_list
from reconciler.sim.parameters.values import words
from reconciler.sim.vm.machine import Machine, Value
from reconciler.sim.vm.pending import detach, register_unused, settle

if TYPE_CHECKING:
    from reconciler.sim.world import World

ALWAYS = (
    frozenset(
        words(
            "description hookscript lock migrate_downtime migrate_speed name onboot protection "
            "shares startup tags vmstatestorage"
        )
    )
    | frozenset(options.CLOUDINIT_KEYS)
    | frozenset(options.IPCONFIG_KEYS)
)
"""Keys without any effect on the running QEMU process."""

RECORDED = (
    frozenset(options.CLOUDINIT_KEYS)
    | frozenset(options.IPCONFIG_KEYS)
    | frozenset(options.NET_KEYS)
    | {"name"}
)
"""Keys whose changes the cloud-init section notes until the drive is generated again."""

COLD_DRIVE = re.compile(r"(?:efidisk|ide|sata|tpmstate)\d+\Z")
TAP_KEYS = ("bridge", "tag", "trunks", "firewall", "rate", "link_down")


class Skip(Exception):
    """The change stays pending; no error."""


@dataclass(frozen=True, slots=True)
class Plugs:
    """A VM being changed while it runs, with what its `hotplug` key allows."""

    world: World
    machine: Machine
    identity: Identity
    features: frozenset[str]

    @property
    def usb(self) -> bool:
        kind = self.machine.text("ostype") or ""
        return "usb" in self.features and kind in ("l26", "win8", "win10", "win11")

    def need(self, feature: str) -> None:
        if feature not in self.features:
            raise Skip

    def has_bridge(self, nic: Nic) -> bool:
        """Whether the node has the NIC's bridge; one without a bridge uses QEMU's own network."""
        bridges = bridges_of(self.world, self.machine.node)
        return nic.options.get("bridge") in {None, *bridges}

    def unplug(self, key: str) -> None:
        """Ask the guest to let go of a device. A guest that ignores it is an error."""
        if is_drive(key) and key in boot_disks(self.machine):
            raise failed(f"can't unplug bootdisk '{key}'\n")
        if self.machine.stubborn:
            raise failed(f"error on hot-unplugging device '{key}'\n")


def features_of(machine: Machine) -> frozenset[str]:
    """The `hotplug` key as a set; unset and 1 stand for network, disk and usb, 0 for nothing."""
    text = machine.text("hotplug")
    if text is None or text == "1":
        return frozenset(("network", "disk", "usb"))
    return frozenset() if text == "0" else frozenset(split_list(text))


def boot_disks(machine: Machine) -> list[str]:
    """Disks in the boot order of the running VM."""
    value = machine.text("boot")
    if value is None or value == " ":
        return [machine.text("bootdisk") or ""]
    order = parse_properties(options.BOOT, value, "boot").get("order")
    return [one for one in split_list(order or "") if is_drive(one)]


def hotplug_pending(
    world: World, machine: Machine, identity: Identity, selection: frozenset[str]
) -> dict[str, str]:
    """Apply what can be applied now; only the keys in `selection`, but the harmless ones always.
    Returns `hotplug problem - ...` texts by key; those changes stay pending."""
    for key in sorted(ALWAYS & set(machine.pending)):
        value = machine.pending.pop(key)
        record(machine, key, machine.config.get(key), value)
        machine.config[key] = value
    plugs = Plugs(world, machine, identity, features_of(machine))
    errors: dict[str, str] = {}
    for key in sorted(selection & set(machine.pending_delete)):
        try:
            _remove(plugs, key, machine.pending_delete[key] == 2)
        except Skip:
            continue
        except Refusal as refusal:
            errors[key] = f"hotplug problem - {refusal.reason}"
            continue
        record(machine, key, machine.config.pop(key, None), None)
        machine.pending_delete.pop(key, None)
    for key in sorted(selection & set(machine.pending)):
        try:
            _change(plugs, key, machine.pending[key])
        except Skip:
            continue
        except Refusal as refusal:
            errors[key] = f"hotplug problem - {refusal.reason}"
            continue
        value = machine.pending.pop(key)
        record(machine, key, machine.config.get(key), value)
        machine.config[key] = value
    settle(machine)
    if "cloudinit" in plugs.features:
        machine.cloudinit.clear()
    return errors


def record(machine: Machine, key: str, old: Value | None, new: Value | None) -> None:
    """Note in the cloud-init section how a key differs from what the drive was made of."""
    if key not in RECORDED:
        return
    noted = machine.cloudinit
    added = set(split_list(noted.pop("added", "")))
    if new is not None and str(new) == noted.get(key):
        del noted[key]
        added.discard(key)
    elif key in noted or (new is not None and key in added):
        pass
    elif new is not None and old is None:
        added.add(key)
    elif new is None and key in added:
        added.discard(key)
    elif old is not None:
        noted[key] = str(old)
    if added:
        noted["added"] = ",".join(sorted(added))


def _remove(plugs: Plugs, key: str, force: bool) -> None:
    machine = plugs.machine
    if key == "hotplug":
        if re.search("cpu|memory", machine.text("hotplug") or ""):
            raise Skip
    elif key == "tablet":
        plugs.need("usb")
    elif key.startswith("usb"):
        if not plugs.usb:
            raise Skip
        plugs.unplug(key)
    elif key == "vcpus":
        plugs.need("cpu")
    elif key == "balloon":
        if machine.config.get("balloon") == 0:
            raise Skip
    elif re.fullmatch(r"net\d+", key):
        plugs.need("network")
        plugs.unplug(key)
    elif is_drive(key):
        plugs.need("disk")
        if COLD_DRIVE.match(key):
            raise Skip
        plugs.unplug(key)
        detach(plugs.world, machine, plugs.identity, key, force)
    elif key == "memory":
        plugs.need("memory")
    elif key not in ("cpuunits", "cpulimit") and key not in ALWAYS:
        raise Skip


def _change(plugs: Plugs, key: str, value: Value) -> None:
    machine = plugs.machine
    if key == "hotplug":
        old = machine.text("hotplug") or ""
        if any(one in str(value) or one in old for one in ("memory", "cpu")):
            raise Skip
    elif key == "tablet":
        plugs.need("usb")
    elif key.startswith("usb"):
        if not plugs.usb:
            raise Skip
        if key in machine.config:
            plugs.unplug(key)
    elif key == "vcpus":
        plugs.need("cpu")
        if int(value) > machine.number("sockets", 1) * machine.number("cores", 1):
            raise failed("you can't add more vcpus than maxcpus\n")
    elif key == "balloon":
        if (machine.config.get("balloon") == 0) != (value == 0):
            raise Skip
    elif re.fullmatch(r"net\d+", key):
        _change_net(plugs, key, parse_net(str(value)))
    elif is_drive(key):
        _change_drive(plugs, key, str(value))
    elif key == "memory":
        plugs.need("memory")
        _change_memory(machine, options.memory_of(value))
    elif key == "agent":
        _change_agent(machine, str(value))
    elif key not in ("cpuunits", "cpulimit"):
        raise Skip


def _change_net(plugs: Plugs, key: str, new: Nic) -> None:
    current = plugs.machine.text(key)
    if current is None:
        plugs.need("network")
        _plug_nic(plugs, key, new)
        return
    old = parse_net(current)
    same = (old.model, old.mac) == (new.model, new.mac) and all(
        old.options.get(one) == new.options.get(one) for one in ("queues", "mtu")
    )
    if same and "bridge" in old.options and "bridge" in new.options:
        if not plugs.has_bridge(new):
            raise failed(f"bridge '{new.options['bridge']}' does not exist\n")
        return
    plugs.need("network")
    plugs.unplug(key)
    _plug_nic(plugs, key, new)


def _plug_nic(plugs: Plugs, key: str, nic: Nic) -> None:
    """QEMU runs a script that joins the NIC's tap to its bridge; a new tap counts from nothing."""
    if not plugs.has_bridge(nic):
        script = "network script /var/lib/qemu-server/pve-bridge-hotplug failed with status 512"
        command = f"VM {plugs.machine.vmid} qmp command 'netdev_add'"
        raise failed(f"{command} failed - {script}\n")
    plugs.machine.taps[key] = plugs.world.now


def _change_drive(plugs: Plugs, key: str, value: str) -> None:
    machine = plugs.machine
    new = parse_drive(key, value)
    current = machine.text(key)
    old = parse_drive(key, current) if current is not None else None
    if new is None or key in ("efidisk0", "tpmstate0"):
        raise Skip
    if old is not None:
        if old.is_cdrom != new.is_cdrom:
            raise failed("unable to change media type\n")
        if old.is_cdrom:
            if new.file == "none" and old.is_cloudinit:
                register_unused(plugs.world, machine, old)
            return
        if old.file == new.file:
            if any(old.options.get(one) != new.options.get(one) for one in NEEDS_RESTART):
                raise Skip
            return
        plugs.need("disk")
        plugs.unplug(key)
        register_unused(plugs.world, machine, old)
        del machine.config[key]
    plugs.need("disk")
    if COLD_DRIVE.match(key):
        raise Skip


def _change_memory(machine: Machine, wanted: int) -> None:
    current = options.memory_of(machine.config.get("memory"))
    if machine.number("numa", 0) != 1 or current < 1024:
        raise Skip
    if wanted < current and machine.stubborn:
        raise failed("error unplug memory module\n")


def _change_agent(machine: Machine, value: str) -> None:
    current = machine.text("agent")
    if current is None:
        raise Skip
    old = _agent_parts(current)
    new = _agent_parts(value)
    if {key: old.get(key) for key in {*old, *new}} != {key: new.get(key) for key in {*old, *new}}:
        raise Skip


def _agent_parts(value: str) -> Mapping[str, str]:
    parts = parse_properties(options.AGENT, value, "agent")
    return {key: text for key, text in parts.items() if key != "fstrim_cloned_disks"}
