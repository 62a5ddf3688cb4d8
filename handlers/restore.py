"""A VM that is put back from a backup: stopped, overwritten, and made ours again."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from desired.spec import VMSpec
from handlers.effects import running, wanted
from handlers.exists import strange
from handlers.handler import Subject, config_call, send_calls, vmid_of
from handlers.marker import marker, read_marker, with_marker
from handlers.resource import troubled
from handlers.stop import go_on, open_stop
from handlers.terminate import asked_off
from handlers.wishes import RESTORE, may_ask, wish_of
from state.change import Call, Change, Effect, Method, Note, Param
from state.drive import parse_drive
from state.observed import SeenConfig, SeenVM
from state.verbs import Wish

STEP, CHECKED, SENT, RESTORED, BACK, FAILED = (
    "step",
    "checked",
    "sent",
    "restored",
    "back",
    "failed",
)
"""How far a restore has come: looked into, asked of Proxmox, copied, the VM itself again; or that
it failed and left a VM that nobody can start."""

DISKS, RAN = "disks", "ran"
"""What was there before it: each disk by slot, and whether the VM ran."""

RESTORE_FAILED = "RestoreFailed"
CHECK, COPY, OUTCOME, CONFIG, IDENTITY = "check", "backup", "outcome", "config", "identity"
"""Fields of changes; `check` and `outcome` call nothing but reads."""

_LEFT_OUT = re.compile(
    r"^(?:(?:scsi|virtio|sata|ide|efidisk|tpmstate)\d+: \S*\bbackup=0\b\S*|#(?:qm|vz)dump#\S*)$\n?",
    re.M,
)
"""Lines that a restore leaves in a description: drives that no backup takes, and hints."""


class Restore:
    """Puts a VM back to what a backup of it holds, when a person asks for that.

        do: {restore: {token: "2026-11-20", backup: "pbs:backup/vm/100/2026-11-19T02:00:00Z"}}

    Owns no config key. The backup is looked for, the guest stopped, then `POST /nodes/N/qemu` with
    `archive` and `force` overwrites the VM; VM.Backup, VM.Allocate, Datastore.AllocateSpace. While
    that runs Proxmox shows a bare config and no lock: nothing is planned but by our own task.
    Disks that are in no backup come back as unused ones and are attached where they were; what the
    spec says is put right by the other handlers, and the VM is started.

    Risk: all that was written since the backup is lost, and every snapshot. A restore that failed
    leaves the VM off, with its identity mended, for a person to restore or reinstall.
    """

    name = RESTORE
    subject = Subject.VM
    after: tuple[str, ...] = ()
    blocking = True
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        wish = wish_of(seen.memory, RESTORE)
        step = wish.text(STEP) if wish else None
        if wish is None or step == BACK:
            return
        if step == SENT:
            yield self._change(seen, OUTCOME, None, wish.text("backup"))
        elif seen.config is None:
            yield Note(seen.key, self.name, COPY, "its config cannot be read yet", blocking=True)
        elif step == RESTORED:
            yield self._mended(seen, seen.config, wish)
        elif step == FAILED:
            yield self._failed(seen, wish)
        elif may_ask(seen):
            yield from self._begun(seen, wish)

    def _begun(self, seen: SeenVM, wish: Wish) -> Iterator[Change | Note]:
        """Until the call is sent: the machine must surely be ours, and off."""
        if wish.params.get("again") is True and is_bare(seen):
            yield self._identity(seen)
        elif reason := next(not_surely_ours(seen), ""):
            yield Note(seen.key, self.name, COPY, reason, "IdentityMismatch", blocking=True)
        elif trouble := troubled(seen):
            reason = f"the HA manager has it in state {trouble}: nothing is touched"
            yield Note(seen.key, self.name, COPY, reason, "HAError", blocking=True)
        elif wish.text(STEP) != CHECKED:
            yield self._change(seen, CHECK, None, wish.text("backup"))
        elif running(seen):
            yield from _stopping(seen)
        else:
            yield self._change(seen, COPY, "now", wish.text("backup"), copied_by(seen, wish))

    def _mended(self, seen: SeenVM, config: SeenConfig, wish: Wish) -> Change:
        """The marker, and the disks that are in no backup; without calls when nothing lacks."""
        params = lacking(seen, config, wish)
        calls = (config_call(seen, params),) if params else ()
        return self._change(seen, CONFIG, "as in the backup", ", ".join(params) or "whole", *calls)

    def _failed(self, seen: SeenVM, wish: Wish) -> Change | Note:
        if is_bare(seen):
            return self._identity(seen)
        reason = f"{wish.text('why')}: nothing is started; `reconcile restore {seen.key} --backup "
        reason += f"VOLUME` tries again, `reconcile reinstall {seen.key}` makes it anew"
        return Note(seen.key, self.name, COPY, reason, RESTORE_FAILED, blocking=True)

    def _identity(self, seen: SeenVM) -> Change:
        """Give the bare VM that a failed restore leaves its marker and its uuid again."""
        binding = seen.memory.binding
        assert binding is not None
        params: dict[str, Param] = {"description": marker(seen), "smbios1": f"uuid={binding.uuid}"}
        return self._change(seen, IDENTITY, None, "ours", config_call(seen, params))

    def _change(
        self, seen: SeenVM, field: str, old: str | None, new: str | None, *calls: Call
    ) -> Change:
        effect = Effect.DESTROY if field == COPY else Effect.LIVE
        return Change(seen.key, self.name, field, old, new, calls, effect, gate=True)


def not_surely_ours(seen: SeenVM) -> Iterator[str]:
    """Why this may not be the machine that is bound: before it is overwritten all must agree."""
    yield from strange(seen)
    binding = seen.memory.binding
    if binding is None or binding.uuid is None or binding.uuid.lower() != wanted(seen).uuid:
        yield f"vm {vmid_of(seen)} has another uuid than ours, or none is known of ours"


def is_bare(seen: SeenVM) -> bool:
    """Whether the VM does not say who it is: while a restore is copied, or after one failed."""
    config = wanted(seen)
    return config.uuid is None and read_marker(config.description) is None


def copied_by(seen: SeenVM, wish: Wish) -> Call:
    """`POST /nodes/N/qemu` over the VM; `storage` takes all disks, else each goes where it was."""
    volume = wish.text("backup") or ""
    params: dict[str, Param] = {"vmid": vmid_of(seen), "archive": volume, "force": True}
    if storage := wish.text("storage"):
        params["storage"] = storage
    return Call(Method.POST, f"/nodes/{seen.node}/qemu", params)


def lacking(seen: SeenVM, config: SeenConfig, wish: Wish) -> dict[str, Param]:
    """The config keys that make a restored VM ours and whole again.

    A disk that could not be attached once is left unused: its data is there, and the VM comes back.
    """
    params: dict[str, Param] = {}
    text = config.wanted.description
    ours = with_marker(_LEFT_OUT.sub("", text), seen)
    if ours != text:
        params["description"] = ours
    kept = wish.params.get(DISKS)
    refused = RESTORE in seen.memory.attempts
    for slot, value in sorted(kept.items()) if isinstance(kept, dict) and not refused else ():
        volume = parse_drive(str(value)).volume
        if slot not in config.wanted.drives and volume in config.wanted.unused.values():
            params[slot] = str(value)
    return params


def _stopping(seen: SeenVM) -> Iterator[Change | Note]:
    """Ask the guest to shut down, switch it off; it counts as what it is for, not as a restart."""
    stop = open_stop(seen)
    found = go_on(seen, stop) if stop else iter((asked_off(seen),))
    for one in found:
        yield replace(one, effect=Effect.DESTROY) if isinstance(one, Change) else one
