"""Drift: what somebody changed in Proxmox, told apart from what somebody changed in the spec.

The store keeps the spec under which a VM last settled. A change that this spec would ask for too
was not caused by an edit: the world has moved. Who moved it stands in the cluster's log.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import ValidationError

from desired.drift import policy_for
from desired.hardware import Family
from desired.spec import VMSpec
from handlers.handler import Handler
from handlers.marker import marker_tag, without_marker
from handlers.wishes import AT_HOME, ROLLBACK, is_asked, restores, wish_of
from reconciler.adopt.watch import is_watched, watched
from reconciler.guard import Guarded
from reconciler.plan import Judge, plan_vm
from reconciler.show.text import show_change, show_when
from state.change import Call, Change, Effect, Note
from state.observed import SeenVM
from state.store import Store
from state.traces import Trace

logger = logging.getLogger(__name__)
DRIFTED = "Drifted"
SOMEBODY = "somebody"
WISHES = frozenset({"reclaim", "safeguard", "snapshots", "move", "retained", "emptied"})
"""Handlers whose changes nobody causes in Proxmox."""

OURS = frozenset({"start", "stop", "force", "restart"})
"""Intents under which the guest is stopped and started by us."""

LEASED = {
    "firewall": re.compile(r"ipfilter-net\d+"),
    "cloudinit": re.compile(r"ipconfig\d+|dns"),
}
"""Fields that follow from a VM's leases, of which only those that stand now are known."""


@dataclass(slots=True)
class Drifts:
    """Judges one VM's changes by the spec under which it last settled.

    `traces` are what others did to the VM since, the newest last.
    """

    applied: VMSpec
    traces: Sequence[Trace] = ()
    known: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)

    def __call__(
        self, handler: Handler, spec: VMSpec, seen: SeenVM, change: Change
    ) -> Change | Note | None:
        """Return the change (marked if it is drift), or what the policy makes of it."""
        if not self.outside(handler, spec, seen, change):
            return change
        policy = policy_for(spec.drift, handler.name)
        who = self.who(seen, change)
        if policy == "enforce":
            return replace(change, drift=who)
        if policy == "ignore":
            return None
        shown, moved = show_change(replace(change, old=change.new, new=change.old))
        reason = f"{shown}: {moved} by {who}; left as it is (drift: alert)"
        return Note(seen.key, handler.name, change.field, reason, DRIFTED)

    def outside(self, handler: Handler, spec: VMSpec, seen: SeenVM, change: Change) -> bool:
        """Whether the spec as it last settled asks for this very change.

        What was written last and is asked for differently now (a password that was reset) is ours;
        and so is what follows from leases, where the spec asks for other ones than it did.
        """
        if is_asked(seen.memory, handler.name, change.field) or restores(seen.memory):
            return False
        if handler.name in WISHES or (handler.name == "power" and _ours(seen, change)):
            return False
        if marks_only(seen, change):
            return False
        leased = LEASED.get(handler.name)
        if leased and leased.fullmatch(change.field) and _asked(spec) != _asked(self.applied):
            return False
        prints = seen.memory.fingerprints
        if any(prints.get(use) not in (None, value) for use, value in change.remember):
            return False
        if handler.name not in self.known:
            found = handler.diff(self.applied, seen)
            self.known[handler.name] = frozenset(
                (one.field, repr(one.new)) for one in found if isinstance(one, Change)
            )
        return (change.field, repr(change.new)) in self.known[handler.name]

    def who(self, seen: SeenVM, change: Change) -> str:
        """Name who changed it and when; the one whose log line names the key, if one does."""
        words = {f"-{key}" for call in change.calls for key in _keys(call)}
        named = [one for one in self.traces if not words.isdisjoint(one.text.split())]
        last = next(reversed(named or list(self.traces)), None)
        return f"{last.user} at {show_when(last.at)}" if last else SOMEBODY


def marks_only(seen: SeenVM, change: Change) -> bool:
    """Whether only our marker is put back: it is no value of anybody's, and always repaired."""
    if change.handler == "options" and change.field == "description":
        return without_marker(str(change.old or "")) == without_marker(str(change.new))
    if change.handler == "tags" and isinstance(change.new, tuple):
        old = change.old if isinstance(change.old, tuple) else ()
        return set(change.new) - set(old) == {marker_tag(seen.fleet)} and set(old) < set(change.new)
    return False


def _asked(spec: VMSpec) -> dict[str, tuple[Family | None, Family | None]]:
    """What addresses a spec asks for, by nic."""
    return {slot: (nic.ipv4, nic.ipv6) for slot, nic in spec.nics.items()}


def _keys(call: Call) -> set[str]:
    """The config keys that a call sets or deletes, which a log line would name."""
    return {*call.params, *str(call.params.get("delete", "")).split(",")} - {"delete", "digest", ""}


def _ours(seen: SeenVM, change: Change) -> bool:
    """Whether the guest stops or starts because of us, or for values that wait for it."""
    pending = seen.config is not None and bool(seen.config.pending)
    restart = change.effect is Effect.STOP_START and pending
    rolled = wish_of(seen.memory, ROLLBACK)
    stops = rolled is not None and "sent" in rolled.params
    return restart or stops or not OURS.isdisjoint(seen.memory.intents)


def drifted(
    spec: VMSpec, seen: SeenVM, handlers: Sequence[Handler], drifts: Drifts
) -> list[Change]:
    """Return every change that was caused outside, whatever the policy; each says by whom."""
    by_name = {handler.name: handler for handler in handlers}
    return [
        replace(change, drift=drifts.who(seen, change))
        for change in plan_vm(spec, seen, handlers).changes
        if drifts.outside(by_name[change.handler], spec, seen, change)
    ]


def judging(store: Store, more: Iterable[Trace] = ()) -> Judge:
    """Return the judge of one VM's changes; the store is asked only where something differs."""
    asked: list[Drifts | None] = []

    def judge(handler: Handler, spec: VMSpec, seen: SeenVM, change: Change) -> Change | Note | None:
        if not asked:
            asked.append(drifts_of(store, seen, more))
        found = asked[0](handler, spec, seen, change) if asked[0] else change
        if isinstance(found, Change) and is_watched(spec, handler.name):
            return found if marks_only(seen, found) else watched(spec, found)
        return found

    return judge


def drifts_of(store: Store, seen: SeenVM, more: Iterable[Trace]) -> Drifts | None:
    """Return what tells a VM's drift; None when it has never settled: nothing drifted yet.

    `more` are traces that the store has not got, because this is a dry run.
    """
    binding = seen.memory.binding
    if binding is None or binding.phase not in AT_HOME:
        return None
    kept = store.applied.of(seen.key)
    if kept is None:
        return None
    try:
        applied = VMSpec.model_validate_json(kept.document)
    except ValidationError:
        logger.debug("%s: settled under a spec of another version", seen.key)
        return None
    traces = {*store.traces.of(binding.cluster, binding.vmid), *more}
    since = sorted(one for one in traces if one.vmid == binding.vmid and one.at >= kept.at)
    return Drifts(applied, since)


def tell_drift(store: Store, key: str, guarded: Guarded, at: datetime) -> list[str]:
    """Write an event for each drift that was not told before; return what it says."""
    found = list(_drifts(guarded))
    since = store.applied.of(key) if found else None
    told = []
    for text, name in found:
        occurrence = f"drift/{key}/{name}/{text}/{since.at.isoformat() if since else ''}"
        if store.outbox.add("drift", key, at, {"field": name, "text": text}, occurrence):
            told.append(text)
    return told


def _drifts(guarded: Guarded) -> Iterable[tuple[str, str]]:
    for change in guarded.plan.changes:
        if change.drift:
            shown, moved = show_change(change)
            yield f"{shown}: put back, {moved} (changed by {change.drift})", change.field
    for note in guarded.notes:
        if note.condition == DRIFTED:
            yield note.reason, note.field
