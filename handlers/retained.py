"""Disks that come from a holder: to the VM that is made anew, or to another one that asks."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from desired.spec import VMSpec
from desired.units import format_size
from handlers.effects import plugged, stop_start, wanted
from handlers.handler import Subject, send_calls, vmid_of
from handlers.holder import HOLDER, TAG, read_holder
from handlers.placement import is_on_its_way
from handlers.slots import in_order
from state.change import Call, Change, Method, Note, Param
from state.drive import Drive
from state.memory import BACK
from state.observed import SeenHolder, SeenVM, VMRow

AWAY = "DiskAway"
"""A disk that the VM is to have waits on a holder, and cannot come."""


class Source(NamedTuple):
    """Where a disk waits: the holder's vmid, and the slot there."""

    vmid: int
    slot: str

    def __str__(self) -> str:
        return f"{self.vmid}/{self.slot}"


class Retained:
    """Takes disks from a holder and attaches them: those that outlived the VM's former machine,
    and those of another VM.

        disks:
          scsi1: {reclaim: retain}          # comes back after a reinstall or a redeploy
          scsi2: {adopt: 150/scsi1}         # what VM 150, a holder, has in scsi1

    Owns no config key. A slot that has a drive takes none. The holder must bear our mark, be
    stopped and stand on the VM's node: else it is migrated there first, with what it holds.
    `POST …/move_disk` with `target-vmid`, one disk in each look; until all are there nothing else
    is done to disks and the VM is not started, so no empty disk is made in the place of a full one.

    Risk: none to data: the volume keeps what is on it and changes its owner.
    """

    name = "retained"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        drives, found = wanted(seen).drives, sources(spec, seen)
        for slot in in_order(found):
            source = found[slot]
            if slot not in drives:
                yield self._brought(slot, source, seen)
            elif _drive(source, seen):
                reason = f"has {drives[slot].volume}, so {source} stays where it is: take another "
                yield self._note(seen, slot, reason + "slot", blocking=False)

    def _brought(self, slot: str, source: Source, seen: SeenVM) -> Change | Note:
        if is_on_its_way(seen):
            reason = f"{source} comes when the VM is on its node"
            return Note(seen.key, self.name, slot, reason, blocking=True)
        holder = seen.holders.get(source.vmid)
        if holder is not None and (holder.row.name is None or holder.row.lock):
            return Note(seen.key, self.name, slot, f"VM {source.vmid} is at work", blocking=True)
        drive = _drive(source, seen)
        if holder is None or drive is None or holder.row.status != "stopped":
            return self._note(seen, slot, f"waits for {source}: {_lacking(source, seen)}")
        row = holder.row
        if row.node != seen.node:
            return self._followed(slot, row, drive, seen)
        params: dict[str, Param] = {
            "disk": source.slot,
            "target-vmid": vmid_of(seen),
            "target-disk": slot,
        }
        path = f"/nodes/{row.node}/qemu/{row.vmid}/move_disk"
        hot = slot.startswith(("scsi", "virtio"))
        effect = plugged(seen, "disk") if hot else stop_start(seen)
        size = f", {format_size(drive.size)}" if drive.size else ""
        new = f"{drive.volume}{size} of VM {row.vmid} ({row.name})"
        call = Call(Method.POST, path, params)
        return Change(seen.key, self.name, slot, None, new, (call,), effect, gate=True)

    def _followed(self, slot: str, row: VMRow, drive: Drive, seen: SeenVM) -> Change | Note:
        """`POST …/migrate` of the holder: both must be on one node."""
        there = {one.storage for one in seen.cluster.storages if one.node == seen.node}
        if drive.storage not in there:
            reason = f"node {seen.node} has no storage {drive.storage}: move the VM to another node"
            return self._note(seen, slot, f"waits for {drive.volume}: {reason}")
        call = Call(
            Method.POST, f"/nodes/{row.node}/qemu/{row.vmid}/migrate", {"target": seen.node}
        )
        old, new = f"VM {row.vmid} on {row.node}", f"VM {row.vmid} on {seen.node}"
        return Change(seen.key, self.name, slot, old, new, (call,), gate=True)

    def _note(self, seen: SeenVM, slot: str, reason: str, blocking: bool = True) -> Note:
        return Note(seen.key, self.name, slot, reason, AWAY, blocking)


def sources(spec: VMSpec, seen: SeenVM) -> Mapping[str, Source]:
    """Where the disks of the spec come from that are not made, by slot.

    What was this key's own and waits for it comes before what the spec adopts.
    """
    found = {slot: _source(one.adopt) for slot, one in spec.disks.items() if one.adopt}
    for kind, intent in seen.memory.intents.items():
        slot = kind.removeprefix(BACK)
        if slot != kind and slot in spec.disks:
            found[slot] = _source(intent.detail)
    return found


def _source(text: str) -> Source:
    vmid, _, slot = text.partition("/")
    return Source(int(vmid), slot)


def is_holder(holder: SeenHolder, seen: SeenVM) -> bool:
    """Whether it is a holder that this store has made, by what was read of it in this look."""
    mark = read_holder(holder.config.description) if holder.config else None
    return TAG in holder.row.tags and mark is not None and mark.store == seen.store


def _drive(source: Source, seen: SeenVM) -> Drive | None:
    """The disk where it waits; None when it is not there, or not on a holder of ours."""
    holder = seen.holders.get(source.vmid)
    if holder is None or holder.config is None or not is_holder(holder, seen):
        return None
    return holder.config.disks.get(source.slot)


def _lacking(source: Source, seen: SeenVM) -> str:
    """Why a disk cannot be taken."""
    holder = seen.holders.get(source.vmid)
    if holder is None:
        return f"VM {source.vmid} is not there"
    row = holder.row
    if TAG in row.tags and holder.config is None:
        return f"VM {row.vmid} could not be read: grant VM.Audit and VM.Config.Disk on it"
    if not is_holder(holder, seen):
        return f"VM {row.vmid} ({row.name}) is no holder of ours"
    if row.status != "stopped":
        return f"VM {row.vmid} is {row.status}: stop it"
    return f"it has no disk {source.slot}"


def is_over(kind: str, spec: VMSpec, seen: SeenVM) -> bool:
    """Whether an intent that tells of a holder has done its work, of a VM that lives on.

    The holder was removed; or the spec names the slot no longer, or a disk is there and the holder
    has others.
    """
    slot = kind.removeprefix(BACK)
    if kind == HOLDER:
        return int(seen.memory.intents[kind].detail) not in seen.cluster.vms
    if slot == kind:
        return False
    source = sources(spec, seen).get(slot)
    if source is None:
        return True
    holder = seen.holders.get(source.vmid)
    return slot in wanted(seen).drives and (holder is None or not is_empty(holder, seen))


def is_empty(holder: SeenHolder, seen: SeenVM) -> bool:
    """Whether it is a holder of ours without any volume or snapshot."""
    config = holder.config
    if config is None or not is_holder(holder, seen):
        return False
    return not (config.drives or config.unused or config.text("parent"))
