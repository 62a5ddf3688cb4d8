"""What may run now: holds, locks, back-off, approvals, thresholds and limits (design 4).

The guard never changes a change; it lets it pass or withholds it with a note that says why.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from desired.catalog import Guard as Thresholds
from desired.catalog import Limits
from desired.spec import VMSpec
from desired.windows import Window, closed_window
from handlers.effects import running
from handlers.marker import read_marker
from handlers.stop import STOP, open_stop
from handlers.terminate import destroys
from handlers.waiting import NOW, RESTART
from handlers.wishes import asks_off, is_asked
from reconciler.behaviour import is_skipped
from reconciler.drain import PATIENT as DRAINING
from reconciler.moves import Moves
from reconciler.plan import VMPlan
from reconciler.show.text import count_of
from reconciler.spent import Spent, machine_of
from state.change import Change, Effect, Note
from state.observed import SeenVM

HOLD_TAG = "hold"
NO_WINDOWS: Mapping[str, Window] = MappingProxyType({})
PATIENT = ("Held", "Locked", "ApprovalNeeded", "WindowClosed", "LeftAlone")
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

    `approved` says whether a person granted that change; `spent` are the VMs that were destroyed
    and restarted in the last 24 h, of `managed` ones; `clones` counts clone tasks at work by
    template or image and by place (where the data goes: `place_of` tells, by template and storage;
    of an image's copy `storage_place`, by storage and node), `moves` migrations by node. `pruned`
    are VMs that end because their spec has gone, each by approval where the fleet is `small`.
    """

    thresholds: Thresholds
    limits: Limits
    managed: int
    approved: Callable[[SeenVM, Change], bool]
    beside: frozenset[str]
    place_of: Callable[[int, str | None], str]
    storage_place: Callable[[str, str], str] = field(default="{} on {}".format)
    spent: Spent = field(default_factory=Spent)
    clones: Counter[str] = field(default_factory=Counter)
    moves: Moves = field(default_factory=Moves)
    pruned: frozenset[str] = frozenset()
    small: bool = False

    def check(
        self,
        plan: VMPlan,
        windows: Mapping[str, Window] = NO_WINDOWS,
        spec: VMSpec | None = None,
    ) -> Guarded:
        """Sort one VM's changes into allowed and withheld; `windows` are those of its scope."""
        seen = plan.seen
        with self.spent.lock:
            self.spent.drain.see(seen, plan.notes)
        if not plan.changes:
            return Guarded(plan, notes=plan.notes)
        stop = self.stop(seen)
        if stop:
            return Guarded(plan, withheld=plan.changes, notes=(*plan.notes, stop))
        with self.spent.lock:
            return self._sorted(plan, windows, spec)

    def _sorted(self, plan: VMPlan, windows: Mapping[str, Window], spec: VMSpec | None) -> Guarded:
        seen = plan.seen
        allowed: list[Change] = []
        withheld: list[Change] = []
        notes = list(plan.notes)
        marked = tuple(self._with_threshold(seen, change) for change in plan.changes)
        for change in marked:
            note = _stopping(plan, change) or _closed(seen, change, windows)
            note = note or self._drained(seen, change, spec)
            note = note or self._back_off(seen, change) or self._unapproved(seen, change)
            note = note or self._too_many_clones(seen, change)
            note = note or self.moves.withhold(seen, change)
            if note is None:
                allowed.append(change)
            else:
                withheld.append(change)
                beside = change.handler in self.beside or _may_wait(note, change)
                note = replace(note, blocking=not beside)
                if note not in notes:
                    notes.append(note)
        for effect in {effect for effect in map(counted, allowed) if effect}:
            self.spent.learn(effect, {met_by(seen, effect)})
            if effect is Effect.STOP_START:
                self.spent.drain.begin(seen.key, seen.at)
        marked_plan = replace(plan, changes=marked)
        return Guarded(marked_plan, tuple(allowed), tuple(withheld), tuple(notes))

    def stop(self, seen: SeenVM) -> Note | None:
        """Return why nothing at all may be written to the VM now (DEP-26)."""
        return _left_alone(seen) or self._strayed(seen) or self._held(seen) or self._locked(seen)

    def _strayed(self, seen: SeenVM) -> Note | None:
        """What another fleet has marked as its own meanwhile is not this one's to prune."""
        mark = read_marker(seen.config.live.description) if seen.config else None
        if seen.key not in self.pruned or mark is None or mark.fleet == seen.fleet:
            return None
        reason = f"its marker says fleet {mark.fleet}, not {seen.fleet}: nothing is pruned"
        return Note(seen.key, "guard", "vm", reason, "IdentityMismatch", blocking=True)

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

    def _drained(self, seen: SeenVM, change: Change, spec: VMSpec | None) -> Note | None:
        most = self.thresholds.restarts_per_window
        return self.spent.drain.withhold(seen, change, spec, most) if spec else None

    def _back_off(self, seen: SeenVM, change: Change) -> Note | None:
        attempt = seen.memory.attempts.get(change.handler)
        if attempt is None or attempt.not_before <= seen.at:
            return None
        reason = f"failed {count_of(attempt.count, 'time')}: {attempt.error}; next try at "
        reason += f"{attempt.not_before.astimezone():%H:%M:%S}"
        return Note(seen.key, change.handler, change.field, reason, "BackOff", blocking=True)

    def _with_threshold(self, seen: SeenVM, change: Change) -> Change:
        """Ask approval for what exceeds the share of VMs that may be destroyed or restarted.

        A restart that was begun, that a person asked for by name, or of a VM that is counted
        already takes no more of it; the smallest fleet has one, unless the share is 0 %.
        """
        effect = counted(change)
        if effect is None:
            return change
        if effect is Effect.DESTROY:
            most = self.thresholds.destroys * self.managed
        elif open_stop(seen) or RESTART in seen.memory.intents or asks_off(seen.memory):
            return change
        else:
            share = self.thresholds.restarts
            most = max(1.0, share * self.managed) if share else 0.0
        room = self.spent.has_room(effect, met_by(seen, effect), most) and not self._asks(seen)
        return change if room else replace(change, approval=True)

    def _asks(self, seen: SeenVM) -> bool:
        """Whether a person must agree to the end of a VM, because few would be left without it."""
        begun = met_by(seen, Effect.DESTROY) in self.spent.keys[Effect.DESTROY]
        return self.small and seen.key in self.pruned and not begun

    def _unapproved(self, seen: SeenVM, change: Change) -> Note | None:
        if not change.approval or self.approved(seen, change):
            return None
        why = ""
        if counted(change) is Effect.STOP_START:
            share = self.thresholds.restarts
            why = f"more than {share:.0%} of the VMs would be restarted within 24 h (`guard`): "
        if counted(change) is Effect.DESTROY and self._asks(seen):
            least = count_of(self.thresholds.minimum, "VM")
            why = f"its spec is gone, in a fleet of fewer than {least} (`guard`): "
        how = "see reconcile --once --dry-run, then reconcile approve DIGEST"
        reason = f"{why}needs approval: {how}"
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
        if change.handler != "exists" or binding is None:
            return {}
        if binding.image is not None:
            place = self.storage_place(binding.storage or "", binding.node or "")
            source = f"image {binding.image}"
        elif binding.template is not None:
            place = self.place_of(binding.template, binding.storage)
            source = f"template {binding.template}"
        else:
            return {}
        return {
            place: self.limits.clones_per_storage,
            source: self.limits.clones_per_template,
        }


def _left_alone(seen: SeenVM) -> Note | None:
    """A VM whose end has failed, or was forced, waits for a person: no run tries it (LOG-09)."""
    binding = seen.memory.binding
    if binding is None or not is_skipped(binding.phase):
        return None
    reason = f"{binding.phase}: left alone until a person has looked"
    return Note(seen.key, "guard", "phase", reason, "LeftAlone", blocking=True)


def _stopping(plan: VMPlan, change: Change) -> Note | None:
    """While a guest shuts down nothing else is sent: the shutdown holds the VM's lock (C-09)."""
    seen, going = plan.seen, any(handler == "power" for handler, _ in plan.remaining)
    if change.handler == "power" or not (going and running(seen) and open_stop(seen)):
        return None
    return Note(seen.key, "guard", "stop", "waits: the guest is being stopped", None, blocking=True)


def _closed(seen: SeenVM, change: Change, windows: Mapping[str, Window]) -> Note | None:
    """A deny window withholds what it names; but a stop that was begun comes to its end."""
    closed = closed_window(windows, change.effect.value, seen.at) if windows else None
    if closed is None or (change.handler == "power" and _is_exempt(seen)):
        return None
    if is_asked(seen.memory, change.handler, change.field):
        return None
    reason = f"window {closed.name} denies it until {closed.until:%Y-%m-%d %H:%M} UTC"
    return Note(seen.key, change.handler, change.field, reason, "WindowClosed", blocking=True)


def _is_exempt(seen: SeenVM) -> bool:
    asked = seen.memory.intents.get(RESTART)
    return open_stop(seen) is not None or (asked is not None and asked.detail == NOW)


def _may_wait(note: Note, change: Change) -> bool:
    """Whether a VM is as it should be for now although this is withheld: it runs on."""
    return note.condition in ("WindowClosed", *DRAINING) and change.field == STOP


def met_by(seen: SeenVM, effect: Effect) -> str:
    """Who meets the effect, as it is counted: the VM, or of a destroy this one machine of it."""
    return machine_of(seen.key, seen.memory.binding) if effect is Effect.DESTROY else seen.key


def counted(change: Change) -> Effect | None:
    """The effect that thresholds count by VM: a destroy, or a stop and start of the guest.

    A disk that is erased is no VM: each takes an approval of its own. Of a VM's end the one change
    counts that destroys it, and what comes before waits for that.
    """
    if change.effect is Effect.DESTROY:
        return change.effect if destroys(change) else None
    restart = change.handler == "power" and change.effect is Effect.STOP_START
    return change.effect if restart else None
