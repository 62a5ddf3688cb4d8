"""What is wrong with one spec by itself, above all what Proxmox takes although it is wrong."""

import re
from collections.abc import Iterator

from desired.cloudinit import CloudInit
from desired.fittings import fitting_wrongs
from desired.hardware import DISK_SLOT, NIC_SLOT, Disk, Nic
from desired.rules import rule_wrongs
from desired.spec import VMSpec
from desired.syntax import bad_domain, bad_host, bad_key
from desired.units import GIB, MIB, TIB, format_size
from desired.wording import Wrong

_DISK = re.compile(DISK_SLOT)
_NIC = re.compile(NIC_SLOT)
_BOOT = re.compile(f"{DISK_SLOT}|{NIC_SLOT}|(?:usb|hostpci)[0-9]+")
LEAST_MEMORY, MOST_MEMORY = 16 * MIB, 4 * TIB
MOST_DISK = 128 * TIB


def spec_wrongs(spec: VMSpec) -> Iterator[Wrong]:
    """Yield everything that is wrong with the spec, whatever the fleet around it."""
    yield from _names(spec)
    yield from _memory(spec)
    for slot, disk in spec.disks.items():
        yield from _disk(slot, disk)
    for slot, nic in spec.nics.items():
        yield from _nic(slot, nic)
    if spec.firewall:
        for index, rule in enumerate(spec.firewall.rules or ()):
            yield from rule_wrongs(rule, ("firewall", "rules", index))
    if spec.cloudinit:
        yield from _cloudinit(spec.cloudinit)
    yield from fitting_wrongs(spec)
    yield from _dns(spec)
    yield from _lists(spec)


def _names(spec: VMSpec) -> Iterator[Wrong]:
    message = bad_host(spec.name)
    if message:
        yield Wrong(("name",), message)
    if spec.domain is not None:
        message = bad_domain(spec.domain)
        if message is None and len(spec.fqdn or "") > 253:
            message = "name and domain together are longer than 253 characters"
        if message:
            yield Wrong(("domain",), message)


def _memory(spec: VMSpec) -> Iterator[Wrong]:
    for name, size in (("memory", spec.memory), ("balloon", spec.balloon)):
        if size is not None and size % MIB:
            yield Wrong((name,), f"expected whole MiB, seen {format_size(size)}")
    if spec.memory is None:
        return
    if not LEAST_MEMORY <= spec.memory <= MOST_MEMORY:
        seen = format_size(spec.memory)
        yield Wrong(("memory",), f"expected 16 MiB to 4 TiB, seen {seen}")
    elif spec.balloon is not None and spec.balloon > spec.memory:
        sizes = f"memory ({format_size(spec.memory)}), seen {format_size(spec.balloon)}"
        yield Wrong(("balloon",), f"expected at most {sizes}")


def _disk(slot: str, disk: Disk) -> Iterator[Wrong]:
    path = ("disks", slot)
    if not _DISK.fullmatch(slot):
        slots = "system, scsi0-30, virtio0-15, sata0-5 or ide0-3"
        yield Wrong(path, f"expected a slot ({slots}), seen {slot!r}", at_key=True)
        return
    if disk.size is None:
        if slot != "system" and disk.adopt is None:
            yield Wrong(path, "a disk needs a size, such as size: 10GiB", at_key=True)
    elif disk.size % MIB or disk.size > MOST_DISK:
        seen = format_size(disk.size)
        yield Wrong((*path, "size"), f"expected whole MiB, at most 128 TiB, seen {seen}")
    if slot == "system" and disk.reclaim == "delete":
        yield Wrong((*path, "reclaim"), "the system disk is never erased from under its VM")
    if slot == "system" and disk.adopt:
        yield Wrong((*path, "adopt"), "the system disk comes from the template: name a free slot")
    if disk.adopt and disk.size == 0:
        yield Wrong((*path, "adopt"), "size: 0 gives the disk up: expected one of the two")
    if disk.iothread and slot.startswith(("ide", "sata")):
        yield Wrong((*path, "iothread"), "only scsi and virtio disks have an iothread")
    if disk.ssd is not None and slot.startswith("virtio"):
        yield Wrong((*path, "ssd"), "a virtio disk has no ssd flag; use scsi")
    yield from _throttles(path, disk)


def _throttles(path: tuple[str, str], disk: Disk) -> Iterator[Wrong]:
    for base in ("iops_rd", "iops_wr", "mbps_rd", "mbps_wr"):
        limit, burst = getattr(disk, base), getattr(disk, f"{base}_max")
        if burst and not limit:
            yield Wrong((*path, f"{base}_max"), f"a burst needs {base} beside it")
        elif burst and burst < limit:
            wanted = f"expected at least {base} ({limit:g})"
            yield Wrong((*path, f"{base}_max"), f"{wanted}, seen {burst:g}")
        if base.startswith("iops") and getattr(disk, f"{base}_max_length") and not burst:
            yield Wrong((*path, f"{base}_max_length"), f"a burst's length needs {base}_max")


def _nic(slot: str, nic: Nic) -> Iterator[Wrong]:
    path = ("nics", slot)
    if not _NIC.fullmatch(slot):
        yield Wrong(path, f"expected a slot (net0 to net31), seen {slot!r}", at_key=True)
    if nic.mtu is not None and nic.model not in (None, "virtio"):
        yield Wrong((*path, "mtu"), f"only virtio takes an mtu, the model is {nic.model}")
    if nic.rate is not None and nic.rate > 10 * GIB / MIB:
        yield Wrong((*path, "rate"), f"expected at most 10240MB/s, seen {nic.rate:g}MB/s")


def _cloudinit(wanted: CloudInit) -> Iterator[Wrong]:
    for index, key in enumerate(wanted.keys or ()):
        message = bad_key(key)
        if message:
            yield Wrong(("cloudinit", "keys", index), message)
    if wanted.search is not None:
        names = wanted.search.split() or [""]
        message = next(filter(None, map(bad_domain, names)), None)
        if message:
            yield Wrong(("cloudinit", "search"), message)


def _dns(spec: VMSpec) -> Iterator[Wrong]:
    """An alias needs a name of the VM's own to point at; addresses are those of its own nics."""
    if spec.dns is None:
        return
    if spec.dns.cnames and spec.fqdn is None:
        yield Wrong(("dns", "cnames"), "an alias points at the VM's own name, which needs a domain")
    for whose in spec.dns.reverse:
        nic = whose.partition(".")[0]
        if nic.startswith("net") and nic not in spec.nics:
            yield Wrong(("dns", "reverse", whose), f"the VM has no nic {nic}", at_key=True)


def _lists(spec: VMSpec) -> Iterator[Wrong]:
    for index, device in enumerate(spec.boot or ()):
        if not _BOOT.fullmatch(device):
            wanted = "expected a device such as system, scsi0, ide2 or net0"
            yield Wrong(("boot", index), f"{wanted}, seen {device!r}")
    for name, items in (("boot", spec.boot), ("tags", spec.tags)):
        for index, item in enumerate(items or ()):
            if item in (items or ())[:index]:
                yield Wrong((name, index), f"{item} stands here twice")
