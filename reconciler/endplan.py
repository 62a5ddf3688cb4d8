"""What comes next of a VM's end: planned as a whole, and let pass one step at a time (C-19)."""

from dataclasses import replace

from pydantic import ValidationError

from desired.spec import VMSpec
from handlers.terminate import VM, WAITS
from reconciler.guard import Gate, Guarded
from reconciler.obstacles import belongings, obstacles
from reconciler.plan import VMPlan, plan_vm
from reconciler.registry import ending_handlers
from reconciler.site import Site
from reconciler.withdraw import maybe_sent
from state.applied import AppliedSpec
from state.change import Change, Note
from state.observed import Presence, SeenVM
from state.store import Store

RECORD = "record"
"""The field of the change that is left when the machine is gone: the record, and what follows."""

DELETED = "deleted"
"""The intent that remembers that our DELETE went through."""


def decide_end(
    spec: VMSpec, seen: SeenVM, store: Store, site: Site, gate: Gate, *, dry: bool
) -> Guarded:
    """Plan and guard the end of one VM; a dry run names also what no config tells of it."""
    spec, binding = remembering(spec, store.applied.of(spec.key)), seen.memory.binding
    if binding is not None and seen.presence is Presence.ABSENT and binding.uuid is None:
        kept = store.cache.all(site.name).get(binding.vmid)
        if maybe_sent(kept, seen.at) or not site.vmid_free(binding.vmid):
            return gate.check(VMPlan(seen, notes=(not_proven(seen),)))
    if _is_anothers(seen):
        seen = replace(seen, presence=Presence.ABSENT, row=None, config=None)
    plan = plan_end(spec, seen)
    if plan.changes and seen.presence is Presence.PRESENT:
        also = belongings(site.api, spec, seen) if dry else ()
        plan = replace(plan, notes=(*plan.notes, *obstacles(site.api, spec, seen), *also))
    return in_turn(gate.check(plan, spec.windows, spec))


def _is_anothers(seen: SeenVM) -> bool:
    """Whether somebody has made another machine under the vmid since ours was destroyed."""
    binding, config = seen.memory.binding, seen.config
    if DELETED not in seen.memory.intents or binding is None or config is None:
        return False
    return config.live.uuid not in (None, binding.uuid and binding.uuid.lower())


def remembering(spec: VMSpec, applied: AppliedSpec | None) -> VMSpec:
    """Return the spec with the disks that are retained by the one under which the VM settled.

    `{state: absent}` alone names none any more.
    """
    try:
        before = VMSpec.model_validate_json(applied.document) if applied else None
    except ValidationError:
        before = None
    kept = {s: one for s, one in before.disks.items() if one.reclaim == "retain"} if before else {}
    return spec.model_copy(update={"disks": {**kept, **spec.disks}}) if kept else spec


def plan_end(spec: VMSpec, seen: SeenVM) -> VMPlan:
    """Plan the end of one VM; a machine that is surely gone leaves its record."""
    plan = plan_vm(spec, seen, ending_handlers())
    if seen.presence is not Presence.ABSENT:
        return plan
    binding = seen.memory.binding
    old = f"vm {binding.vmid}" if binding else None
    return replace(plan, changes=(Change(seen.key, "terminate", RECORD, old, None),))


def in_turn(found: Guarded) -> Guarded:
    """Let pass only what comes next, and nothing at all while anything is forbidden (C-19).

    All of a VM's end is planned at once, to be seen and approved as one; so a destroy that is
    withheld stops no guest.
    """
    changes = found.plan.changes
    own = [note for note in found.plan.notes if note.blocking]
    if own or any(note.blocking and note.condition for note in found.notes):
        return replace(found, allowed=())
    plain = tuple(change for change in changes if not change.gate)
    return replace(
        found, allowed=plain or changes[:1], notes=tuple(n for n in found.notes if not n.blocking)
    )


def not_proven(seen: SeenVM) -> Note:
    """A machine that was never seen may still come: its record stays until that is over."""
    reason = "it was asked for and not seen yet: its vmid and addresses stay until it is sure that "
    return Note(seen.key, "terminate", VM, reason + "none comes", WAITS, blocking=True)
