"""What each node's pvestatd tells the cluster about its VMs every 10 s.

/cluster/resources shows names, run states and sizes from the last broadcast only, so a new VM is
unknown at first (pve-manager PVE/API2/Cluster.pm, PVE/Service/pvestatd.pm).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.sim.cluster import traffic

if TYPE_CHECKING:
    from reconciler.sim.vm.machine import Machine
    from reconciler.sim.world import World

PERIOD = 10.0
"""Seconds of the cluster's time between two broadcasts."""

BELIEVED = 300.0
"""Seconds of the cluster's time after which an old broadcast counts for nothing."""

MIB = 1024**2
SIZES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
DISK = re.compile(r"(?:ide|sata|scsi|virtio)\d+\Z")
SIZE = re.compile(r"(?:^|,)size=(\d+(?:\.\d+)?)([KMGT]?)(?:,|$)")
ORDER = re.compile(r"(?:^|,)order=([^,]*)")


def catch_up(world: World) -> None:
    """Make the broadcast that fell due before now, if any.

    Called before every change and every read of the rows, so what it sees is what was there at
    the due time.
    """
    if world.now < world.seen_at + PERIOD / world.speed:
        return
    period = PERIOD / world.speed
    world.seen_at = world.booted + ((world.now - world.booted) // period) * period
    if world.seen_revision != world.revision:
        announce(world)


def announce(world: World) -> None:
    """Tell the cluster of every VM that may have moved. A node whose broadcasts stand still tells
    of none, and later of all."""
    guests, seen, frozen = world.vms, world.seen, world.frozen
    gone = seen.keys() - guests.keys() if guests.all_moved else guests.moved - guests.keys()
    for vmid in gone:
        seen.pop(vmid, None)
    for vmid in list(guests) if guests.all_moved else guests.moved & guests.keys():
        machine = guests.at_rest(vmid)
        if machine is not None and machine.node not in frozen:
            seen[vmid] = row_of(machine)
    guests.settle()
    world.seen_revision = world.revision


def heard_at(world: World, node: str) -> float | None:
    """When the node's last broadcast was; None when it is too old to be believed."""
    at = world.frozen.get(node)
    if at is None:
        return world.seen_at
    return at if world.now < at + BELIEVED / world.speed else None


def row_of(machine: Machine) -> dict[str, Any]:
    """The broadcast facts of one VM; `started_at` and `taps` stand for the counters that
    grow with them."""
    config = machine.config
    row: dict[str, Any] = {
        "name": machine.name,
        "status": machine.status,
        "maxcpu": cpu_count(config),
        "maxmem": memory_bytes(config),
        "maxdisk": boot_disk_size(config),
    }
    if machine.template:
        row["template"] = 1
    if machine.running:
        row["started_at"] = machine.started_at
        row["taps"] = traffic.taps(machine)
    return row


def cpu_count(config: Mapping[str, Any]) -> int:
    """`vcpus` if set, else sockets * cores."""
    if "vcpus" in config:
        return int(config["vcpus"])
    return int(config.get("sockets", 1)) * int(config.get("cores", 1))


def memory_bytes(config: Mapping[str, Any]) -> int:
    text = str(config.get("memory", 512)).partition(",")[0].removeprefix("current=")
    return int(text) * MIB


def boot_disk_size(config: Mapping[str, Any]) -> int:
    """Bytes of the first disk in the boot order that is no CD-ROM; 0 without one."""
    order = ORDER.search(str(config.get("boot", "")))
    names = order.group(1).split(";") if order else sorted(filter(DISK.match, config))
    for name in names:
        value = str(config.get(name, ""))
        if value and DISK.match(name) and "media=cdrom" not in value:
            size = SIZE.search(value)
            return int(float(size.group(1)) * SIZES[size.group(2)]) if size else 0
    return 0
