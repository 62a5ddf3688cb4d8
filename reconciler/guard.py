"""What may run now: holds, locks, back-off, approvals, thresholds and limits (design 4).

The guard never changes a change; it lets it pass or withholds it with a note that says why.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from desired.catalog import Guard as Thresholds
from desired.catalog import Limits
from reconciler.plan import VMPlan
from reconciler.show.text import count_of
from state.change import Change, Effect, Note
from state.observed import SeenVM

HOLD_TAG = "hold"
PATIENT = ("Held", "Locked", "ApprovalNeeded")
"""Conditions under which a VM waits for a person or for Proxmox; nothing has failed."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A plan after the guard: what may run, what is withheld, and all notes."""

    plan: VMPlan
    allowed: tuple[Change, ...] = ()
    withheld: tuple[Change, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(slots=True)
class Gate:
    """The guard of one look. Counters are shared by all VMs of the look, in their order.

    `beside` names the handlers that hold nothing back: what is withheld of theirs does not block.

    `approved` says whether a person granted that change; `effects` counts the VMs that were
    destroyed and restarted in the last 24 h, of `managed` ones; `clones` counts clone tasks at
    work by template and by place (where a clone's data goes: `place_of` tells, by template and
    storage).
    """

    thresholds: Thresholds
    limits: Limits
    managed: int
    approved: Callable[[SeenVM, Change], bool]
    beside: frozenset[str]
    place_of: Callable[[int, str | None], str]
    effects: Counter[Effect] = field(default_factory=Counter)
    clones: Counter[str] = field(default_factory=Counter)

    def check(self, plan: VMPlan) -> Guarded:
        """Sort one VM's changes into allowed and withheld."""
        seen = plan.seen
        if not plan.changes:
            return Guarded(plan, notes=plan.notes)
        stop = self.stop(seen)
        if stop:
            return Guarded(plan, withheld=plan.changes, notes=(*plan.notes, stop))
        allowed: list[Change] = []
        withheld: list[Change] = []
        notes = list(plan.notes)
        marked = tuple(self._with_threshold(change) for change in plan.changes)
        for change in marked:
            note = self._back_off(seen, change) or self._unapproved(seen, change)
            note = note or self._too_many_clones(seen, change)
            if note is None:
                allowed.append(change)
            else:
                withheld.append(change)
                note = replace(note, blocking=change.handler not in self.beside)
                if note not in notes:
                    notes.append(note)
        self.effects.update({effect for effect in map(counted, allowed) if effect})
        marked_plan = replace(plan, changes=marked)
        return Guarded(marked_plan, tuple(allowed), tuple(withheld), tuple(notes))

    def stop(self, seen: SeenVM) -> Note | None:
        """Return why nothing at all may be written to the VM now (DEP-26)."""
        return self._held(seen) or self._locked(seen)

    def _held(self, seen: SeenVM) -> Note | None:
        hold = seen.memory.hold
        if hold and (hold.until is None or hold.until > seen.at):
            until = f" until {hold.until.astimezone():%Y-%m-%d %H:%M}" if hold.until else ""
            reason = f"held{until}: {hold.why}; lift it with reconcile unhold {seen.key}"
            return Note(seen.key, "guard", "hold", reason, "Held", blocking=True)
        if seen.row and HOLD_TAG in seen.row.tags:
            reason = f"held by the tag {HOLD_TAG} in Proxmox: remove the tag to go on"
            return Note(seen.key, "guard", "hold", reason, "Held", blocking=True)
        return None

    def _locked(self, seen: SeenVM) -> Note | None:
        if not (seen.row and seen.row.lock):
            return None
        reason = f"Proxmox holds the lock {seen.row.lock}: waiting until it has gone"
        return Note(seen.key, "guard", "lock", reason, "Locked", blocking=True)

    def _back_off(self, seen: SeenVM, change: Change) -> Note | None:
        attempt = seen.memory.attempts.get(change.handler)
        if attempt is None or attempt.not_before <= seen.at:
            return None
        reason = f"failed {count_of(attempt.count, 'time')}: {attempt.error}; next try at "
        reason += f"{attempt.not_before.astimezone():%H:%M:%S}"
        return Note(seen.key, change.handler, change.field, reason, "BackOff", blocking=True)

    def _with_threshold(self, change: Change) -> Change:
        """Ask approval for what exceeds the share of VMs that may be destroyed or restarted."""
        effect = counted(change)
        if effect is None:
            return change
        destroys = effect is Effect.DESTROY
        share = self.thresholds.destroys if destroys else self.thresholds.restarts
        over = self.effects[effect] + 1 > share * self.managed
        return replace(change, approval=True) if over else change

    def _unapproved(self, seen: SeenVM, change: Change) -> Note | None:
        if not change.approval or self.approved(seen, change):
            return None
        reason = "needs approval: see reconcile --once --dry-run, then reconcile approve DIGEST"
        return Note(seen.key, change.handler, change.field, reason, "ApprovalNeeded", blocking=True)

    def _too_many_clones(self, seen: SeenVM, change: Change) -> Note | None:
        for name, limit in self._clone_slots(seen, change).items():
            if self.clones[name] >= limit:
                reason = f"waits: {self.clones[name]} clones are at work on {name} (limit {limit})"
                return Note(seen.key, change.handler, change.field, reason, None, blocking=True)
        self.clones.update(self._clone_slots(seen, change).keys())
        return None

    def _clone_slots(self, seen: SeenVM, change: Change) -> Mapping[str, int]:
        binding = seen.memory.binding
        if change.handler != "exists" or binding is None or binding.template is None:
            return {}
        place = self.place_of(binding.template, binding.storage)
        return {
            place: self.limits.clones_per_storage,
            f"template {binding.template}": self.limits.clones_per_template,
        }


def counted(change: Change) -> Effect | None:
    """The effect that thresholds count by VM: a destroy, or a stop and start of the guest."""
    if change.effect is Effect.DESTROY:
        return change.effect
    restart = change.handler == "power" and change.effect is Effect.STOP_START
    return change.effect if restart else None
