"""Disks: the system disk and additional ones, their size and their options."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from desired.hardware import Disk
from desired.spec import VMSpec
from desired.units import GIB, MIB, format_size
from handlers.effects import plugged, stop_start, wanted
from handlers.handler import Subject, config_change, send_calls, vm_path
from handlers.slots import in_order
from handlers.throttles import differences, laid_over
from state.change import Call, Change, Effect, Method, Note, Param
from state.drive import Drive, format_pve_size
from state.observed import SeenVM

EXTENT = 4 * MIB
"""LVM rounds a volume up to whole extents, so a disk may be this much larger than asked."""


class Target(NamedTuple):
    """One disk of the spec: the name a person gave it, the slot in Proxmox, what is wanted."""

    label: str
    slot: str
    disk: Disk


class Disks:
    """Grows disks, makes additional ones once, and sets throttles and flags (DEP-18 to DEP-20).

        disks:
          system: {size: 20GiB, iops_rd: 1000, mbps_wr: 100}    # the boot disk, in any slot
          scsi1: {size: 50GiB, storage: local-lvm, ssd: true, discard: true}

    Owns `scsiN`, `virtioN`, `sataN`, `ideN`, but no CD-ROM or cloud-init drive. Growing and
    throttles are live; ssd, discard, iothread and cache wait for a stop and start. A new disk is
    allocated by a POST alone in its look, and never asked for again once its slot is filled.

    Risk: growing cannot be taken back. A disk is never shrunk, moved, detached or erased here;
    `reclaim` does the last two.
    """

    name = "disks"
    subject = Subject.VM
    after = ("exists", "retained")
    blocking = True
    keys = (r"scsi\d+", r"virtio\d+", r"sata\d+", r"ide\d+")
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        config = wanted(seen)
        targets, notes = _targets(spec, config.boot_disk)
        for field, reason, condition in notes:
            yield self._note(seen, field, reason, condition, blocking=True)
        for target in targets:
            if target.slot in config.disks:
                yield from self._existing(target, config.disks[target.slot], seen)
            elif target.slot in config.drives:
                reason = f"{target.slot} holds a CD-ROM or cloud-init drive: take another slot"
                yield self._note(seen, target.label, reason, "SlotTaken", blocking=True)
            elif target.disk.size and _leaving(target.slot, seen):
                yield self._stays(target, seen)
            elif target.disk.size:
                yield self._new(target, spec, seen)
        if targets:
            yield from self._unmentioned({target.slot for target in targets}, seen)

    def _existing(self, target: Target, drive: Drive, seen: SeenVM) -> Iterator[Change | Note]:
        label, slot, disk = target
        if disk.storage and drive.storage != disk.storage:
            reason = f"stands on {drive.storage}, not on {disk.storage}: move it by hand"
            yield self._note(seen, f"{label}.storage", reason, "PlacementDiffers")
        yield from self._size(target, drive, seen)
        found = list(differences(disk, drive))
        attached = _attached(slot, drive, seen)
        if attached is not None and attached.size != drive.size and attached.size:
            yield self._corrected(target, drive, attached.size, seen)
            return
        value = laid_over(drive, found).render()
        at_start = any(difference.at_start for difference in found)
        effect = stop_start(seen) if at_start else Effect.LIVE
        for one in found:
            field = f"{label}.{one.option}"
            yield config_change(
                seen,
                self.name,
                field,
                old=one.old,
                new=one.new,
                params={slot: value},
                effect=effect,
            )

    def _corrected(self, target: Target, drive: Drive, size: int, seen: SeenVM) -> Change:
        """A value that waits says the size from before the disk grew, and Proxmox would keep that
        for ever: a resize to the size that a volume has already corrects nothing."""
        value = drive.with_options({"size": format_pve_size(size)}).render()
        old = drive.size and format_size(drive.size)
        return config_change(
            seen,
            self.name,
            f"{target.label}.waiting",
            old=old,
            new=format_size(size),
            params={target.slot: value},
            effect=stop_start(seen),
        )

    def _size(self, target: Target, drive: Drive, seen: SeenVM) -> Iterator[Change | Note]:
        label, slot, disk = target
        field = f"{label}.size"
        if disk.size == 0 and label != "system" and disk.reclaim != "delete":
            yield self._note(seen, label, _kept(drive, "size: 0 keeps it"), "DiskUnmanaged")
        if not disk.size:
            return
        attached = _attached(slot, drive, seen)
        size = (attached or drive).size
        if size is None:
            yield self._note(seen, field, f"Proxmox does not say the size of {drive.volume}")
        elif disk.size > size and attached is None:
            yield self._note(seen, field, "grows after the start that attaches it")
        elif disk.size > size:
            params: dict[str, Param] = {"disk": slot, "size": format_pve_size(disk.size)}
            call = Call(Method.PUT, f"{vm_path(seen)}/resize", params)
            old, new = format_size(size), format_size(disk.size)
            yield Change(seen.key, self.name, field, old, new, (call,))
        elif size - disk.size >= EXTENT:
            kind = "system" if label == "system" else "additional"
            reason = f"skip — shrink not allowed by Proxmox ({format_size(size)} is there, "
            reason += f"{format_size(disk.size)} wanted): {kind}_disk_shrink_rejected"
            yield self._note(seen, field, reason, "ShrinkRefused")

    def _new(self, target: Target, spec: VMSpec, seen: SeenVM) -> Change | Note:
        """Allocate on the disk's storage, the VM's, else the system disk's."""
        label, slot, disk = target
        config = wanted(seen)
        system = config.disks.get(config.boot_disk or "")
        storage = disk.storage or spec.storage or (system and system.storage)
        if not storage:
            return self._note(seen, label, "no storage: name one", "StorageMissing", blocking=True)
        blank = Drive(f"{storage}:{_gib(disk.size or 0)}")
        value = laid_over(blank, list(differences(disk, blank))).render()
        call = Call(Method.POST, f"{vm_path(seen)}/config", {slot: value})
        new = f"{format_size(disk.size or 0)} on {storage}"
        hot = slot.startswith(("scsi", "virtio"))
        effect = plugged(seen, "disk") if hot else stop_start(seen)
        return Change(seen.key, self.name, label, None, new, (call,), effect, gate=True)

    def _stays(self, target: Target, seen: SeenVM) -> Change:
        """Take back that the disk is to be detached by the next stop: else that detaches it."""
        params: dict[str, Param] = {"revert": target.slot}
        old, new = "waits to be detached", "attached"
        return config_change(seen, self.name, target.label, old=old, new=new, params=params)

    def _unmentioned(self, slots: set[str], seen: SeenVM) -> Iterator[Note]:
        config = wanted(seen)
        for slot in in_order(config.disks.keys() - slots - {config.boot_disk or ""}):
            reason = _kept(config.disks[slot], "the spec does not mention it")
            yield self._note(seen, slot, reason, "DiskUnmanaged")

    def _note(
        self,
        seen: SeenVM,
        field: str,
        reason: str,
        condition: str | None = None,
        blocking: bool = False,
    ) -> Note:
        return Note(seen.key, self.name, field, reason, condition, blocking)


def _targets(spec: VMSpec, boot: str | None) -> tuple[list[Target], list[tuple[str, str, str]]]:
    """Return the disks by slot, `system` first; (field, reason, condition) of what has none."""
    targets: list[Target] = []
    notes: list[tuple[str, str, str]] = []
    for label in in_order(spec.disks):
        slot = boot if label == "system" else label
        if slot is None:
            reason = "no boot disk is there: correct the template, or boot:"
            notes.append((label, reason, "SystemDiskMissing"))
        elif slot == boot and label != "system" and "system" in spec.disks:
            reason = f"{slot} is the system disk: name it once"
            notes.append((label, reason, "SlotTaken"))
        else:
            targets.append(Target(label, slot, spec.disks[label]))
    return targets, notes


def _attached(slot: str, drive: Drive, seen: SeenVM) -> Drive | None:
    """The same volume as it is attached now: a resize corrects the size there, not in a pending
    value beside it."""
    live = seen.config.live.disks.get(slot) if seen.config else None
    return live if live is not None and live.volume == drive.volume else None


def _leaving(slot: str, seen: SeenVM) -> bool:
    """Whether the slot has a disk that the next stop and start would detach."""
    return seen.config is not None and slot in seen.config.live.disks


def _gib(size: int) -> str:
    """Return whole MiB in GiB, exactly, as Proxmox's allocation form wants them: `0.9765625`."""
    return f"{size / GIB:.10f}".rstrip("0").rstrip(".")


def _kept(drive: Drive, why: str) -> str:
    size = f" {format_size(drive.size)}" if drive.size else ""
    return f"{why}: {drive.volume}{size} stays"
