"""Every run looks whose spec has gone, and which of those VMs prune makes absent (design 4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

from desired.source import Fleet
from reconciler.adopt.watch import never_lifted
from reconciler.effective import TERMINATE
from reconciler.orphans.orphan import (
    ORPHAN,
    TICKS,
    Absence,
    Orphan,
    counted,
    kept_for_a_person,
)
from reconciler.orphans.reading import odd, unread
from reconciler.orphans.removal import removed_by
from reconciler.orphans.tombstone import absent_spec
from reconciler.prepare import renames
from reconciler.show.text import count_of, show_when
from state.api import Json
from state.memory import Binding, Intent, Phase
from state.store import Store

SETTING = "prune"


@dataclass(frozen=True, slots=True)
class Watched:
    """What one reading of the specs comes to, before anything is written.

    `fresh` are intents to be kept, `back` keys whose spec is there again; `setting` is what is to
    be kept of the fleet, None when it is as kept.
    """

    orphans: Mapping[str, Orphan]
    fresh: tuple[Intent, ...] = ()
    back: tuple[str, ...] = ()
    setting: Json = None

    @property
    def new(self) -> list[Orphan]:
        """Those that are missed for the first time."""
        found = (self.orphans[one.key] for one in self.fresh)
        return [one for one in found if one.since is None]

    def keep(self, store: Store) -> None:
        """Write down what this reading counts for; a run does it once."""
        for intent in self.fresh:
            store.intents.put(intent)
        for key in self.back:
            store.intents.drop(key, ORPHAN)
        if self.setting is not None:
            store.settings.put(SETTING, self.setting)

    def without_orphans(self, fleet: Fleet, store: Store) -> Fleet:
        """Return the fleet with a spec that says `state: absent` for each VM that is due."""
        due = [one.binding for one in self.orphans.values() if one.due]
        made = {one.key: absent_spec(one, store.applied.of(one.key)) for one in due}
        if not made:
            return fleet
        pruned = frozenset(key for key in made if not self.orphans[key].asked)
        return replace(fleet, vms={**fleet.vms, **made}, pruned=pruned)


@dataclass(slots=True)
class Watch:
    """Compares what is bound with what the specs name, at one moment. Writes nothing."""

    fleet: Fleet
    store: Store
    at: datetime
    _hindered: dict[str, str] = field(default_factory=dict)
    _asked: frozenset[str] = frozenset()
    _oddity: str = ""

    def look(self) -> Watched:
        """Return the VMs without a spec, and what is to be kept about them."""
        standing = self.store.intents.of_kind(ORPHAN)
        gone = self._gone()
        back = tuple(key for key in standing if key in self.fleet.vms)
        kept = cast("Mapping[str, Json]", self.store.settings.get(SETTING) or {})
        setting = self._setting(kept, gone)
        if gone:
            self._doubt(gone, setting)
            self._asked = frozenset(self.store.intents.of_kind(TERMINATE))
        fresh: list[Intent] = []
        orphans: dict[str, Orphan] = {}
        on_since = datetime.fromisoformat(str(setting["on"])) if setting["on"] else self.at
        for key, binding in gone.items():
            intent = self._counted(key, standing.get(key))
            if intent is not None and intent != standing.get(key):
                fresh.append(intent)
            one = self._orphan(binding, intent, on_since)
            orphans[key] = one if key in standing else replace(one, since=None)
        return Watched(orphans, tuple(fresh), back, setting if setting != kept else None)

    def _gone(self) -> dict[str, Binding]:
        """The bindings that no spec names; a key that `was:` carries on is named by its new one."""
        fleet, store = self.fleet, self.store
        if fleet.incomplete:
            return {}
        keys = [key for key in store.bindings.names() if not fleet.knows(key)]
        if not keys:
            return {}
        found = store.bindings.all()
        moved = {old for old, _ in renames(fleet, found)}
        wanted = (found[key] for key in keys if key not in moved)
        return {one.key: one for one in wanted if one.phase is not Phase.REMOVED}

    def _setting(self, kept: Mapping[str, Json], gone: Mapping[str, Binding]) -> dict[str, Json]:
        """What is remembered of the fleet: the names it went by, and since when prune is on.

        A fleet that names every VM of the store is the only one here, whatever it was called.
        """
        whole = not (gone or self.fleet.incomplete or self.fleet.broken)
        before = cast("list[str]", kept.get("fleets") or [])
        names = [self.fleet.name] if whole else sorted({*before, self.fleet.name})
        on = (kept.get("on") or self.at.isoformat()) if self.fleet.prune.enabled else None
        return {"fleets": list(names), "on": on}

    def _doubt(self, gone: Mapping[str, Binding], setting: Mapping[str, Json]) -> None:
        """Find what keeps this reading from counting: of all, or of single VMs."""
        others = [one for one in cast("list[str]", setting["fleets"]) if one != self.fleet.name]
        self._oddity = odd(self.fleet)
        if others:
            self._oddity = f"the store serves or served fleet {', '.join(others)} as well"
        elsewhere = unread(self.fleet, self.store)
        for key in gone:
            place = elsewhere.get(key.partition("/")[0])
            if place:
                self._hindered[key] = f"its spec stands in {place}, which `sources:` leaves out"
        for key, spec in self.fleet.vms.items():
            if spec.was is not None and spec.was in gone:
                self._hindered[spec.was] = f"{key} says `was: {spec.was}`, but has a VM"

    def _counted(self, key: str, intent: Intent | None) -> Intent | None:
        if self._oddity or key in self._hindered:
            return intent
        if intent is not None:
            return counted(intent, key, Absence(self.fleet.revision), self.at)
        last = next(iter(self.store.journal.runs(1)), None)
        by = removed_by(self.fleet, self.store, key, last)
        return counted(None, key, Absence(self.fleet.revision, by), self.at)

    def _orphan(self, binding: Binding, intent: Intent | None, on_since: datetime) -> Orphan:
        since, ticks = (intent.at, intent.looks) if intent else (None, 0)
        by = Absence.of(intent).by if intent else ""
        prune, key = self.fleet.prune, binding.key
        hindered = kept_for_a_person(binding)
        if binding.cluster not in self.fleet.clusters:
            hindered = f"cluster {binding.cluster} is not in fleet.yaml"
        if key in self._asked and not hindered:
            why = "a person asked for its end before that"
            return Orphan(binding, since, ticks, by, why, due=True, asked=True)
        hindered = hindered or never_lifted(self.store.applied.of(key))
        hindered = hindered or ("" if prune.enabled else "`prune` is off")
        if hindered:
            return Orphan(binding, since, ticks, by, f"left as it is: {hindered}")
        due_at = max(since or self.at, on_since) + timedelta(seconds=prune.grace)
        doubt = self._hindered.get(key) or self._oddity
        if doubt:
            return Orphan(binding, since, ticks, by, f"left as it is, for now: {doubt}", due_at)
        due = ticks >= TICKS and self.at >= due_at
        return Orphan(binding, since, ticks, by, _outlook(due, due_at, ticks), due_at, due)


def _outlook(due: bool, due_at: datetime, ticks: int) -> str:
    if due:
        return "the grace period is over: prune destroys the VM"
    more = (
        f", if {count_of(TICKS - ticks, 'more run')} read the same specs" if ticks < TICKS else ""
    )
    return f"prune destroys the VM from {show_when(due_at)} on{more}"


def watched(fleet: Fleet, store: Store, at: datetime) -> tuple[Fleet, Watched]:
    """Return the fleet as a run would take it, and its orphans. Writes nothing."""
    found = Watch(fleet, store, at).look()
    return found.without_orphans(fleet, store), found
