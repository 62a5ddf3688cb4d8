"""What a change leaves out although its spec asks for it: why, told once and in its story."""

from collections.abc import Iterable, Iterator

from desired.spec import VMSpec
from handlers.effects import wanted
from reconciler.guard import Guarded
from reconciler.pipeline import CHANGE
from state.change import Change, Note
from state.store import Store

EXISTS = "skip — exists"
TOLD_BELOW = "skip — told below, where the addresses are written"
FOLLOWS = "skip — its zones have their turn after the VMs"
ADDRESSES = ("ipconfig", "ipfilter-")
"""How the fields begin that say a VM's addresses."""


def reasons(spec: VMSpec, guarded: Guarded, made: Iterable[Change] = ()) -> dict[str, str]:
    """Why a step of a change was left out, by the state that it leads to (CP-02, CP-05, CP-06)."""
    found = {"cp_additional_disk": EXISTS} if _has_additional(spec, guarded) else {}
    if any(one.field.startswith(ADDRESSES) for one in (*guarded.plan.changes, *made)):
        found["cp_update_ip"] = TOLD_BELOW
    for note in _refused(guarded):
        found[CHANGE.holder((note.handler, note.field))] = note.reason
    return found


def _has_additional(spec: VMSpec, guarded: Guarded) -> bool:
    seen = guarded.plan.seen
    there = wanted(seen).disks.keys() if seen.config else set()
    return any(disk.size and slot in there for slot, disk in spec.disks.items())


def _refused(guarded: Guarded) -> Iterator[Note]:
    return (note for note in guarded.notes if note.condition == "ShrinkRefused")


def tell_refused(store: Store, spec: VMSpec, guarded: Guarded) -> list[str]:
    """Write an event for each disk that an edit would shrink; return what was not told before.

    `system_disk_shrink_rejected` or `additional_disk_shrink_rejected`, once for an edit: what the
    VM has settled under was told when it was new (CP-06).
    """
    refused = list(_refused(guarded))
    kept = store.applied.of(spec.key) if refused else None
    if kept is not None and kept.document == spec.document():
        return []
    told = []
    for note in refused:
        kind = "system" if note.field.startswith("system.") else "additional"
        event, since = f"{kind}_disk_shrink_rejected", kept.at.isoformat() if kept else ""
        detail = {"field": note.field, "text": note.reason}
        occurrence = f"{event}/{spec.key}/{note.field}/{since}"
        if store.outbox.add(event, spec.key, guarded.plan.seen.at, detail, occurrence):
            told.append(f"{note.field}: {note.reason}")
    return told
