"""Disks that their spec gives back: detached and erased, once a person has approved it."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from desired.spec import VMSpec
from desired.units import format_size
from handlers.effects import wanted
from handlers.handler import Subject, config_call, send_calls, vm_path
from handlers.safeguard import Stage, session_of
from handlers.slots import in_order
from state.change import Call, Change, Effect, Method, Note
from state.drive import Drive
from state.memory import Intent
from state.observed import SeenVM

ERASE = "erase:"
"""How an intent's kind begins that lets the disk of a slot be erased; its detail is the volume."""


class Reclaim:
    """Detaches and erases additional disks that the spec gives up for good (CP-07, C-07).

        disks:
          scsi1: {size: 0, reclaim: delete}       # one of the two alone keeps the disk

    Owns no config key. The first change needs approval and names the volume; the engine keeps that
    permission as an intent until the volume is gone. Then each look takes one step: the snapshots,
    the newest first, since they hold the disk; the slot, at once where the guest lets go of it,
    else with its next stop and start; the volume itself, which Proxmox then lists as unused. While
    a guarded change is under way nothing of that is begun, for its snapshot is needed.

    Risk: this erases data, and every snapshot of the VM. The boot disk is never erased.
    """

    name = "reclaim"
    subject = Subject.VM
    after = ("exists",)
    blocking = False
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        config, session = wanted(seen), session_of(seen)
        for slot in given_up(spec):
            intent = seen.memory.intents.get(f"{ERASE}{slot}")
            drive = config.disks.get(slot)
            if drive is None:
                yield from self._unused(slot, intent, seen)
            elif slot in boot_disks(seen):
                reason = f"{drive.volume} is the boot disk, which is never erased"
                yield Note(seen.key, self.name, slot, reason, "DiskUnmanaged")
            elif session is not None and session.stage is not Stage.UNDONE:
                yield Note(seen.key, self.name, slot, "waits: the guarded change may go back")
            else:
                yield self._attached(slot, drive, intent, seen)

    def _attached(self, slot: str, drive: Drive, intent: Intent | None, seen: SeenVM) -> Change:
        newest = wanted(seen).text("parent")
        size = f", {format_size(drive.size)}" if drive.size else ""
        lost = f", and all snapshots ({newest} is the newest)" if newest else ""
        call = config_call(seen, {"delete": slot})
        if newest:
            call = Call(Method.DELETE, f"{vm_path(seen)}/snapshot/{newest}")
        permitted = intent is not None and intent.detail == drive.volume
        return self._change(seen, slot, f"{drive.volume}{size}{lost}", call, permitted)

    def _unused(self, slot: str, intent: Intent | None, seen: SeenVM) -> Iterator[Change]:
        if intent is None:
            return
        for key, volume in wanted(seen).unused.items():
            if volume == intent.detail:
                call = config_call(seen, {"delete": key})
                yield self._change(seen, slot, f"{volume}, detached", call, True)

    def _change(self, seen: SeenVM, slot: str, lost: str, call: Call, permitted: bool) -> Change:
        return Change(
            seen.key,
            self.name,
            slot,
            lost,
            None,
            (call,),
            Effect.DESTROY,
            approval=not permitted,
        )


def given_up(spec: VMSpec) -> list[str]:
    """The slots whose disks the spec wants erased, in order."""
    return in_order(
        slot for slot, one in spec.disks.items() if one.size == 0 and one.reclaim == "delete"
    )


def boot_disks(seen: SeenVM) -> set[str | None]:
    """The slot that the guest starts from, as it runs and after its next start."""
    live = seen.config.live if seen.config else wanted(seen)
    return {live.boot_disk, wanted(seen).boot_disk}


def permit(change: Change, at: datetime) -> Intent | None:
    """The permission to erase, which outlives the approval that is used up by its first step."""
    if change.handler != Reclaim.name or not change.approval:
        return None
    volume = str(change.old).partition(",")[0]
    return Intent(change.subject, f"{ERASE}{change.field}", at, 0, volume)


def erases(seen: SeenVM, intent: Intent) -> bool:
    """Whether the volume that may be erased is still there, in use or not."""
    views = (seen.config.live, seen.config.wanted) if seen.config else ()
    volumes = {drive.volume for view in views for drive in view.disks.values()}
    return not views or intent.detail in volumes.union(*(view.unused.values() for view in views))
