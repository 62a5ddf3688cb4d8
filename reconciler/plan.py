"""Plan one VM: ask its handlers in order what differs. Pure; every input is an argument."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from desired.spec import VMSpec
from handlers.handler import Handler
from handlers.power import resumes
from state.change import Change, Note, Value
from state.observe import LATER
from state.observed import Presence, SeenVM
from state.secret import Secret

Judge = Callable[[Handler, VMSpec, SeenVM, Change], Change | Note | None]
"""Says what becomes of a change that a handler found: the change, a note in its place, nothing."""


@dataclass(frozen=True, slots=True)
class VMPlan:
    """What one VM wants in this look: changes in the handlers' order, and notes."""

    seen: SeenVM
    changes: tuple[Change, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def remaining(self) -> frozenset[tuple[str, str]]:
        """(handler, field) of all that still differs or blocks: what the state derives from."""
        differing = {(change.handler, change.field) for change in self.changes}
        return frozenset(differing | {(n.handler, n.field) for n in self.notes if n.blocking})


def plan_vm(
    spec: VMSpec, seen: SeenVM, handlers: Sequence[Handler], judge: Judge | None = None
) -> VMPlan:
    """Return what differs between `spec` and `seen`; `judge` has the last word on each change.

    A blocking note without a condition is a short wait (a clone runs), one with it needs more.
    A handler is asked only when nothing that it comes after is open; but a guest that we are
    stopping is not left between by whatever else is wrong. A VM that is not surely
    there or surely absent is not planned at all.
    """
    if seen.presence is Presence.UNKNOWN:
        condition = None if seen.passing else "NotRead" if seen.reason == LATER else "Unknown"
        note = Note(seen.key, "observe", "vm", seen.reason, condition, blocking=True)
        return VMPlan(seen, notes=(note,))
    changes: list[Change] = []
    notes: list[Note] = []
    open_handlers: set[str] = set()
    for handler in handlers:
        if seen.presence is Presence.ABSENT and handler.name != "exists":
            continue
        resuming = handler.name == "power" and "exists" not in open_handlers and resumes(seen)
        if open_handlers.intersection(handler.after) and not resuming:
            open_handlers.add(handler.name)
            continue
        differs = False
        for found in _judged(handler, spec, seen, judge):
            if isinstance(found, Change):
                changes.append(found)
                differs = True
            else:
                notes.append(found)
                differs = differs or found.blocking
        if differs and handler.blocking:
            open_handlers.add(handler.name)
    return VMPlan(seen, tuple(changes), tuple(notes))


def _judged(
    handler: Handler, spec: VMSpec, seen: SeenVM, judge: Judge | None
) -> Iterator[Change | Note]:
    for found in handler.diff(spec, seen):
        kept = judge(handler, spec, seen, found) if judge and isinstance(found, Change) else found
        if kept is not None:
            yield kept


def in_order(handlers: Iterable[Handler]) -> tuple[Handler, ...]:
    """Return the handlers so that each stands behind all that it comes after, else as given.

    Raises ValueError when `after` names an unknown handler or goes in a circle.
    """
    waiting = {handler.name: handler for handler in handlers}
    for handler in waiting.values():
        for name in handler.after:
            if name not in waiting:
                raise ValueError(f"handler {handler.name} comes after {name}, which is unknown")
    ordered: list[Handler] = []
    while waiting:
        ready = [h for h in waiting.values() if not waiting.keys() & set(h.after)]
        if not ready:
            raise ValueError(f"handlers wait for each other: {', '.join(sorted(waiting))}")
        ordered.append(ready[0])
        del waiting[ready[0].name]
    return tuple(ordered)


def approval_digest(plans: Iterable[VMPlan], key: bytes) -> str:
    """Return the hash of all changes that need approval, sorted; empty when none does.

    Secrets enter by their keyed fingerprint, never in clear (design 4, Approval).
    """
    hashes = approval_hashes(plans, key)
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:16] if hashes else ""


def approval_hashes(plans: Iterable[VMPlan], key: bytes) -> list[str]:
    """Return the hashes of all changes that need approval, sorted."""
    needing = ((plan.seen, change) for plan in plans for change in plan.changes if change.approval)
    return sorted({change_hash(seen, change, key) for seen, change in needing})


def change_hash(seen: SeenVM, change: Change, key: bytes) -> str:
    """Return the hash that names one change of one machine: cluster, vmid, uuid, field, values."""

    def plain(value: Value) -> Value:
        return value.fingerprint(key) if isinstance(value, Secret) else value

    binding = seen.memory.binding
    fields = [
        seen.cluster.name,
        binding and binding.vmid,
        binding and binding.uuid,
        change.handler,
        change.field,
        plain(change.old),
        plain(change.new),
    ]
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()
