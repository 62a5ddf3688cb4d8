"""What a backup writes into its task's log, in the words and units of Proxmox's vzdump.

Sources: qemu-server PVE/VZDump/QemuServer.pm, pve-manager PVE/VZDump.pm (format_size).
"""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.sim.backup.archive import Archive, choices
from reconciler.sim.cluster.tasks import Task
from reconciler.sim.parameters.values import format_size
from reconciler.sim.vm.machine import Machine


def describe(task: Task, machine: Machine) -> None:
    if machine.config.get("name"):
        task.say(f"INFO: VM Name: {machine.config['name']}")
    for one in choices(machine.config):
        what = f"disk '{one.drive.key}' '{one.drive.file}'"
        if one.included:
            size = "" if one.drive.size is None else f" {format_size(one.drive.size)}"
            task.say(f"INFO: include {what}{size}")
        else:
            task.say(f"INFO: exclude {what} ({one.reason})")


def say_left_out(task: Task, machine: Machine) -> None:
    for key in sorted(machine.config):
        if key.startswith("unused"):
            volid = machine.config[key]
            task.say(f"INFO: skip unused drive '{volid}' (not included into backup)")
    if machine.cloudinit:
        task.say("INFO: special config section found (not included into backup)")
    if machine.snapshots:
        task.say("INFO: snapshots found (not included into backup)")
    if machine.pending or machine.pending_delete:
        text = "pending configuration changes found (not included into backup)"
        task.say(f"INFO: {text}")


def say_sizes(task: Task, inside: Archive, seconds: int) -> None:
    """Progress at its end, for an archive with disks."""
    total = sum(one.size for one in inside.disks)
    if not total:
        return
    zero = total - sum(one.used for one in inside.disks)
    whole, share, pace = readable(total), zero * 100 // total, readable(total // seconds)
    task.say(f"INFO: 100% ({whole} of {whole}) in {seconds}s")
    task.say(f"INFO: backup is sparse: {readable(zero)} ({share}%) total zero data")
    task.say(f"INFO: transferred {whole} in {seconds} seconds ({pace}/s)")


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(int(at), UTC):%Y-%m-%d %H:%M:%S}"


def readable(count: int) -> str:
    """Bytes as Proxmox renders them in a task's log: `64.0 MiB`."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}"


def file_size(count: int) -> str:
    """The size of an archive in the older form: `17MB`, `1.25GB`."""
    if count < 1 << 20:
        return f"{count >> 10}KB"
    if count < 1 << 30:
        return f"{count >> 20}MB"
    return f"{count / (1 << 30):.2f}GB"
