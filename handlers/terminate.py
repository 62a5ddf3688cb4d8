"""The end of a VM: checked first, stopped, kept for a while, and destroyed (TERM-02)."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote

from desired.ending import End
from desired.spec import VMSpec
from desired.units import format_size
from handlers.effects import running, wanted
from handlers.exists import strange
from handlers.handler import Subject, config_call, send_calls, vm_path, vmid_of
from handlers.holder import handed_over, retained
from handlers.marker import read_marker, with_marker
from handlers.resource import RESOURCES, known_resource, troubled
from handlers.stop import STAY_OFF, SWITCH_OFF, ask, go_on, open_stop
from state.change import Call, Change, Effect, Method, Note, Param
from state.memory import Intent
from state.observed import UNFINISHED, SeenVM

WAITS = "TerminateWaits"
"""Its end was begun, or asked for, and waits for a time."""

GRACE, BACKUP = "grace", "last-backup"
"""Intents: since when the stopped VM is kept; that its last backup is made."""

DAY = 86_400

BLOCKED = "TerminateBlocked"
"""Something forbids the end that was asked for: nothing is touched, each tick looks again."""

VM = "vm"
"""The field of the change that destroys."""


class Terminate:
    """Ends the VM that its spec does not want any more.

        old-1: {state: absent, terminate: {grace: 7d, backup: pbs}}

    Owns no config key. First it is made sure that this is our machine, and that nothing forbids its
    end: a protection, an HA error. Then the VM is taken from the HA manager, asked to shut down and
    switched off when it does not. What its spec asks for follows: a last backup, days in which it
    is kept, disks with `reclaim: retain` that go to a holder. At last it is destroyed: `DELETE
    …?purge=1`, with its own volumes and no others. Only that can fail it (C-09, C-19).

    Risk: this destroys the VM. A machine whose vmid, marker, uuid and cluster do not all agree with
    what is bound is never touched.
    """

    name = "terminate"
    subject = Subject.VM
    after: tuple[str, ...] = ()
    blocking = True
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        if spec.state != "absent":
            return
        forbidden = list(self._forbidden(spec, seen))
        if forbidden:
            yield from forbidden
            return
        yield from self._marked(seen)
        yield from self._stopping(seen) if running(seen) else self._kept(spec, seen)
        yield self._destroy(spec, seen)

    def _forbidden(self, spec: VMSpec, seen: SeenVM) -> Iterator[Note]:
        """What forbids the end; of a VM that is being made nothing is known yet."""
        lock = (seen.row.lock if seen.row else None) or (seen.config and seen.config.live.lock)
        binding = seen.memory.binding
        if lock in UNFINISHED or seen.config is None:
            yield self._note(seen, "it is being made: its end comes after that")
            return
        for reason in strange(seen):
            yield self._note(seen, reason, "IdentityMismatch")
            return
        if binding is None or binding.uuid is None or binding.uuid.lower() != wanted(seen).uuid:
            reason = f"vm {vmid_of(seen)} has another uuid than ours, or none is known of ours"
            yield self._note(seen, reason, "IdentityMismatch")
            return
        if trouble := troubled(seen):
            reason = f"the HA manager has it in state {trouble}: nothing is touched"
            yield self._note(seen, reason, "HAError")
        if seen.row and seen.row.hastate and seen.cluster.ha is None:
            reason = "it is under the HA manager, which could not be read: Sys.Audit on / is needed"
            yield self._note(seen, reason, BLOCKED)

        newest = wanted(seen).text("parent")
        if newest and (slots := retained(spec, seen)):
            reason = f"{', '.join(slots)} is to be retained, and snapshot {newest} holds it: "
            yield self._note(seen, reason + "remove the snapshots", BLOCKED)

    def _marked(self, seen: SeenVM) -> Iterator[Change]:
        """Put our marker back: what is destroyed bears it (design 4)."""
        text = wanted(seen).description
        if read_marker(text) is None:
            call = config_call(seen, {"description": with_marker(text, seen)})
            yield Change(seen.key, self.name, "marker", None, "ours", (call,))

    def _stopping(self, seen: SeenVM) -> Iterator[Change | Note]:
        """Ask the guest to shut down, switch it off; after both windows go on all the same."""
        resource = known_resource(seen)
        if resource is not None:
            call = Call(Method.DELETE, f"{RESOURCES}/vm:{vmid_of(seen)}")
            old = resource.state
            yield Change(seen.key, self.name, "ha", old, None, (call,), Effect.DESTROY, gate=True)
            return
        stop = open_stop(seen)
        found = list(go_on(seen, stop)) if stop else [asked_off(seen)]
        if any(isinstance(one, Note) and one.condition == "StopFailed" for one in found):
            return
        for one in found:
            # It counts as the destroy that it begins, not as one more restart.
            yield replace(one, effect=Effect.DESTROY) if isinstance(one, Change) else one

    def _kept(self, spec: VMSpec, seen: SeenVM) -> Iterator[Change | Note]:
        """What is done with the stopped VM before it goes: one step after the other."""
        end, intents = spec.terminate or End(), seen.memory.intents
        if end.grace and wanted(seen).boolean("onboot", False):
            call = config_call(seen, {"onboot": False})
            yield Change(seen.key, self.name, "onboot", True, False, (call,))
        if end.backup and BACKUP not in intents:
            yield self._backup(seen, end.backup)
        elif end.grace and GRACE not in intents:
            kept = f"{end.grace / DAY:g} d"
            yield Change(seen.key, self.name, GRACE, None, kept, gate=True)
        elif end.grace and seen.at < (until := kept_until(end, intents[GRACE])):
            reason = f"stopped, and kept until {until:%Y-%m-%d %H:%M} UTC"
            yield Note(seen.key, self.name, GRACE, reason, WAITS, blocking=True)
        else:
            yield from handed_over(spec, seen)

    def _backup(self, seen: SeenVM, storage: str) -> Change:
        """`POST /nodes/N/vzdump` of the stopped VM; a failure is tried again, with pauses."""
        params: dict[str, Param] = {
            "vmid": vmid_of(seen),
            "storage": storage,
            "mode": "stop",
            "notes-template": f"last backup of {quote(seen.key)}",
        }
        call = Call(Method.POST, f"/nodes/{seen.node}/vzdump", params)
        return Change(seen.key, self.name, "backup", None, storage, (call,), gate=True)

    def _destroy(self, spec: VMSpec, seen: SeenVM) -> Change:
        params = {"purge": True, "destroy-unreferenced-disks": False}
        protected = bool(spec.protection) or wanted(seen).boolean("protection", False)
        calls: tuple[Call, ...] = (Call(Method.DELETE, vm_path(seen), params),)
        if wanted(seen).boolean("protection", False):
            calls = (config_call(seen, {"protection": False}), *calls)
        lost = ", ".join(losses(spec, seen)) or "no disks"
        return Change(
            seen.key,
            self.name,
            VM,
            lost,
            None,
            calls,
            Effect.DESTROY,
            gate=True,
            approval=protected,
        )

    def _note(self, seen: SeenVM, reason: str, condition: str | None = None) -> Note:
        return Note(seen.key, self.name, VM, reason, condition, blocking=True)


def asked_off(seen: SeenVM) -> Change:
    """Ask for a shutdown; a guest that was refused one (it is paused) is switched off."""
    if "power" not in seen.memory.attempts:
        return ask(seen, STAY_OFF)
    call = Call(Method.POST, f"{vm_path(seen)}/status/stop")
    return Change(seen.key, "power", SWITCH_OFF, seen.status, "stopped", (call,), gate=True)


def kept_until(end: End, began: Intent) -> datetime:
    """When the days are over in which a stopped VM is kept."""
    return began.at + timedelta(seconds=end.grace)


def losses(spec: VMSpec, seen: SeenVM) -> list[str]:
    """Every volume that dies with the VM, with its size: `scsi0 10 GiB (local-lvm:vm-1-disk-0)`.

    Only volumes that bear its vmid are its own: Proxmox leaves others that are attached to it.
    """
    own, found = f"-{vmid_of(seen)}-", dict[str, str]()
    saved = {wanted(seen).disks[slot].volume for slot in retained(spec, seen)}
    for config in (seen.config.wanted, seen.config.live) if seen.config else ():
        for slot, drive in config.drives.items():
            if drive.storage is not None and own in drive.volume and drive.volume not in saved:
                size = f" {format_size(drive.size)}" if drive.size else ""
                found.setdefault(drive.volume, f"{slot}{size} ({drive.volume})")
        for slot, volume in config.unused.items():
            if own in volume:
                found.setdefault(volume, f"{slot} ({volume})")
    return list(found.values())


def destroys(change: Change) -> bool:
    """Whether this is the one change that ends a machine."""
    return change.handler == Terminate.name and change.field == VM
