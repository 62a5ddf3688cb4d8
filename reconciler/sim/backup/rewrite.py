"""The config of a restored VM: the archive's lines with new volumes and, if asked, new addresses.

Source: qemu-server PVE/QemuServer.pm (restore_update_config_line, update_disk_config).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import drives_of, is_drive, parse_drive
from reconciler.sim.parameters.net import Nic, parse_net
from reconciler.sim.parameters.schema import parse_properties
from reconciler.sim.parameters.values import format_size
from reconciler.sim.vm.machine import Machine, Section
from reconciler.sim.vm.pending import add_unused

if TYPE_CHECKING:
    from reconciler.sim.world import World


@dataclass(frozen=True, slots=True)
class Placement:
    """A volume that a restore makes: sizes in bytes."""

    key: str
    storage: str
    format: str
    size: int
    used: int
    cloudinit: bool = False


def rewrite(
    world: World, config: Mapping[str, str | int], placed: Mapping[str, str], unique: bool
) -> Section:
    """A drive that was left out of the backup becomes a comment line, and comment lines are the
    description: that is how the odd `scsi1: ...` gets into it."""
    new: Section = {}
    comments: list[str] = []
    if "description" in config:
        comments.append(str(config["description"]))
    for key in sorted(config):
        value = config[key]
        if key == "description":
            continue
        if is_drive(key):
            kept = _drive(key, str(value), placed)
            if kept is None:
                comments.append(f"{key}: {value}")
            else:
                new[key] = kept
        elif key == "vmgenid":
            new[key] = value if str(value) == "0" else world.new_uuid()
        elif unique and key in options.NET_KEYS:
            nic = parse_net(str(value))
            new[key] = Nic(nic.model, world.new_mac() if nic.mac else None, nic.options).print()
        elif unique and key == "smbios1":
            ids = parse_properties(options.SMBIOS, str(value), "smbios1")
            ids["uuid"] = world.new_uuid()
            new[key] = ",".join(f"{name}={ids[name]}" for name in sorted(ids))
        else:
            new[key] = value
    if comments:
        new["description"] = "\n".join(comments)
    return new


def _drive(key: str, text: str, placed: Mapping[str, str]) -> str | None:
    """The drive with its new volume; None for one that no backup takes."""
    drive = parse_drive(key, text)
    if drive is None:
        return text
    if drive.options.get("backup") == "0":
        return None
    if key not in placed:
        return text
    rest = {name: one for name, one in drive.options.items() if name != "format"}
    return replace(drive, file=placed[key], options=rest).print()


def rescan(world: World, machine: Machine) -> list[str]:
    """True the sizes in the config and register the VM's other volumes as unusedN; what it did."""
    head = f"VM {machine.vmid}"
    lines = []
    own = {
        one.volid: one
        for one in world.volumes.values()
        if one.node in ("", machine.node)
        and one.content == "images"
        and one.vmid == machine.vmid
        and f"vm-{machine.vmid}-state-" not in one.volid
    }
    known = {str(value) for key, value in machine.config.items() if key.startswith("unused")}
    for drive in drives_of(machine.config):
        known.add(drive.file)
        volume = own.get(drive.file)
        if volume is None or drive.is_cdrom or drive.size == volume.size:
            continue
        machine.config[drive.key] = replace(drive, size=volume.size).print()
        old = "unknown" if drive.size is None else format_size(drive.size)
        now = format_size(volume.size)
        lines.append(
            f"{head} ({drive.key}): size of disk '{drive.file}' updated from {old} to {now}"
        )
    for volid in sorted(own):
        if volid in known:
            continue
        add_unused(machine, volid)
        key = next(name for name, value in machine.config.items() if value == volid)
        lines.append(f"{head} add unreferenced volume '{volid}' as '{key}' to config")
    return lines
