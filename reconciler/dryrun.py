"""A dry run: one look at everything, nothing written anywhere, every change as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from handlers.handler import distinct_calls
from reconciler.clock import Clock, SystemClock, Workers
from reconciler.config import Opened, Opening, open_preview
from reconciler.execute import turn as first_turn
from reconciler.guard import Guarded
from reconciler.look import SiteLook
from reconciler.options import BrokenSpecs, RunOptions
from reconciler.outcome import addresses
from reconciler.plan import VMPlan, approval_digest
from reconciler.prepare import Stage, addresses_in_use, fits, turns_of
from reconciler.registry import vm_handlers
from reconciler.report import DryRun, PlannedVM, Reporter
from reconciler.site import Site
from reconciler.turn import Turn
from state.observed import Presence


@dataclass(frozen=True, slots=True)
class Preview:
    """What every VM wants, before it is shown: guarded plans by key."""

    guarded: Mapping[str, Guarded]

    def plans(self) -> list[VMPlan]:
        return [guarded.plan for guarded in self.guarded.values()]


def dry_run(
    options: RunOptions,
    reporter: Reporter,
    clock: Clock | None = None,
    opening: Opening = open_preview,
) -> DryRun:
    """Return what a run would change. Writes nothing, on any cluster or disk.

    Raises UnusableSource, StoreError, BrokenSpecs; a cluster's trouble is in the answer.
    """
    clock = clock or SystemClock()
    start = clock.now()
    with opening(options.fleet, options.database, start) as opened:
        if options.strict and opened.fleet.errors:
            raise BrokenSpecs("\n".join(str(error) for error in opened.fleet.errors))
        turns = turns_of(opened.fleet, options.only)
        stage = Stage(opened, reporter, clock, dry=True)
        sites = stage.sites((turn.spec for turn in turns.values()), None)
        preview = look_once(
            opened, sites, turns, clock, start + timedelta(seconds=options.time_limit)
        )
        planned = [planned_vm(turns[key], one) for key, one in preview.guarded.items()]
        planned += [
            PlannedVM(key, "broken", reason="its spec is broken")
            for key in sorted(opened.fleet.broken)
            if fits(key, options.only)
        ]
        return DryRun(
            at=start,
            vms=tuple(sorted(planned, key=lambda vm: vm.key)),
            digest=approval_digest(preview.plans(), opened.store.vault.key),
            errors=tuple(str(error) for error in opened.fleet.errors),
            problems=tuple(site.problem for site in sites.values() if site.problem),
            reads=sum(api.reads for api in stage.apis),
            seconds=(clock.now() - start).total_seconds(),
        )


def look_once(
    opened: Opened,
    sites: Mapping[str, Site],
    turns: Mapping[str, Turn],
    clock: Clock,
    until: datetime,
) -> Preview:
    """Observe, preview allocations, plan and guard everything once."""
    shared = addresses_in_use(opened.fleet, opened.store)
    memories = opened.store.memories()
    found: dict[str, Guarded] = {}
    for site in sites.values():
        mine = [turn for turn in turns.values() if turn.spec.cluster == site.name]
        look = SiteLook(
            site,
            opened.fleet,
            opened.store,
            vm_handlers(),
            clock.now,
            opened.resolve,
            shared,
            first=True,
            dry=True,
        )
        look.observe(
            mine, memories, Workers(opened.fleet.limits.workers), lambda: clock.now() >= until
        )
        for turn in sorted(mine, key=lambda turn: turn.key):
            found[turn.key] = look.decide(turn)
    return Preview(found)


def planned_vm(turn: Turn, guarded: Guarded) -> PlannedVM:
    """Put one VM's plan into the words of a dry run."""
    seen, plan = guarded.plan.seen, guarded.plan
    binding = seen.memory.binding
    unknown = seen.presence is Presence.UNKNOWN
    reason = next((note.reason for note in guarded.notes if note.blocking), "")
    stuck = unknown or (reason and not plan.changes and binding is None)
    kind = "unchanged"
    if stuck:
        kind = "unknown"
    elif seen.presence is Presence.ABSENT:
        kind = "create"
    elif plan.changes:
        kind = "change"
    calls = distinct_calls(first_turn(guarded.allowed))
    return PlannedVM(
        key=turn.key,
        kind=kind,  # type: ignore[arg-type]
        node=seen.node,
        vmid=binding.vmid if binding else None,
        package=turn.spec.package,
        changes=plan.changes,
        withheld=guarded.withheld,
        notes=guarded.notes,
        template=binding.template if binding else None,
        addresses=addresses(seen),
        fqdn=turn.spec.fqdn,
        reason=reason if stuck else "",
        calls=tuple(calls),
    )
