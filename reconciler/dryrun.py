"""A dry run: one look at everything, nothing written anywhere, every change as data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from desired.source import Fleet
from desired.spec import VMSpec
from handlers.handler import distinct_calls
from handlers.safeguard import UNAVAILABLE
from reconciler.clock import Clock, SystemClock, Workers
from reconciler.config import Opened, Opening, open_preview
from reconciler.guard import PATIENT, Guarded
from reconciler.look import SiteLook
from reconciler.options import RunOptions
from reconciler.outcome import addresses
from reconciler.outgoing import turn as first_turn
from reconciler.plan import VMPlan, approval_digest
from reconciler.prepare import Stage, addresses_in_use, fits, renames, turns_of, unmatched
from reconciler.registry import vm_handlers
from reconciler.report import DryRun, PlannedRollout, PlannedVM, Remark, Reporter
from reconciler.rollout.batches import grouping, preview
from reconciler.rollout.course import current, stands
from reconciler.secrets import SecretError
from reconciler.site import Site
from reconciler.spent import Spent
from reconciler.turn import Turn
from state.api import ApiError
from state.memory import Memory, Phase
from state.observed import Presence

WAITS = (None, *PATIENT, UNAVAILABLE, "BackOff")
"""What a VM may wait for without being stuck; a run goes on with it by itself."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What every VM wants, before it is shown: guarded plans by key, and why one has none."""

    guarded: Mapping[str, Guarded]
    failed: Mapping[str, str]

    def plans(self) -> list[VMPlan]:
        return [guarded.plan for guarded in self.guarded.values()]


def dry_run(
    options: RunOptions,
    reporter: Reporter,
    clock: Clock | None = None,
    opening: Opening = open_preview,
) -> DryRun:
    """Return what a run would change. Writes nothing, on any cluster or disk.

    Raises UnusableSource, GitError, StoreError, BrokenSpecs; a cluster's trouble is in the answer.
    """
    clock = clock or SystemClock()
    start = clock.now()
    with opening(options.fleet, options.database, start) as opened:
        options.insist(opened.fleet)
        turns = turns_of(opened.fleet, options.only)
        for glob in unmatched(opened.fleet, options.only):
            reporter.report(Remark(start, f"--only {glob}: no VM", "warning"))
        stage = Stage(opened, reporter, clock, dry=True)
        sites = stage.sites((turn.spec for turn in turns.values()), None)
        preview = look_once(
            opened, sites, turns, clock, start + timedelta(seconds=options.time_limit)
        )
        first = opened.store.created
        for copied in (text for site in sites.values() for text in site.copies):
            reporter.report(Remark(start, copied, "warning"))
        planned = [planned_vm(turns[key], one, first=first) for key, one in preview.guarded.items()]
        planned += [PlannedVM(key, "stuck", reason=why) for key, why in preview.failed.items()]
        planned += [
            PlannedVM(key, "broken", reason="its spec is broken")
            for key in sorted(opened.fleet.broken)
            if fits(key, options.only)
        ]
        planned += _unmanaged(opened, options.only)
        return DryRun(
            at=start,
            vms=tuple(sorted(planned, key=lambda vm: vm.key)),
            digest=approval_digest(preview.plans(), opened.store.vault.key),
            errors=tuple(str(error) for error in opened.fleet.errors),
            commit=opened.fleet.commit,
            problems=tuple(site.problem for site in sites.values() if site.problem),
            reads=sum(api.reads for api in stage.apis),
            seconds=(clock.now() - start).total_seconds(),
            rollouts=_rollouts(opened, start),
        )


def _rollouts(opened: Opened, at: datetime) -> tuple[PlannedRollout, ...]:
    """Return the edits that a run would begin to roll out, or go on with."""
    fleet, holds = opened.fleet, opened.store.holds.all().items()
    found = [one for one in current(fleet, opened.store, at) if one.holds]
    held = {key for key, hold in holds if stands(hold, at)}
    return tuple(
        PlannedRollout(one, tuple(preview(one, fleet.rollout, grouping(fleet), held)))
        for one in found
    )


def look_once(
    opened: Opened,
    sites: Mapping[str, Site],
    turns: Mapping[str, Turn],
    clock: Clock,
    until: datetime,
) -> Preview:
    """Observe the clusters side by side; then preview allocations, plan and guard in order."""
    shared, spent = addresses_in_use(opened.fleet, opened.store), Spent()
    memories = _renamed(opened.fleet, opened.store.memories())
    workers = Workers(opened.fleet.limits.workers)

    def look(site: Site) -> SiteLook:
        made = SiteLook(
            site,
            opened.fleet,
            opened.store,
            vm_handlers(),
            clock.now,
            opened.resolve,
            shared,
            spent,
            first=True,
            dry=True,
        )
        mine = [turn for turn in turns.values() if turn.spec.cluster == site.name]
        made.observe(mine, memories, workers, lambda: clock.now() >= until)
        return made

    looks = {one.site.name: one for one in workers.map(look, list(sites.values()))}
    found: dict[str, Guarded] = {}
    failed: dict[str, str] = {}
    for key, turn in sorted(turns.items(), key=lambda item: (item[1].spec.cluster, item[0])):
        try:
            found[key] = looks[turn.spec.cluster].decide(turn)
        except (ApiError, SecretError) as error:
            failed[key] = str(error)
    return Preview(found, failed)


def _renamed(fleet: Fleet, memories: Mapping[str, Memory]) -> dict[str, Memory]:
    """Return the memories as a run would leave them: machines under their new keys (`was:`)."""
    found = dict(memories)
    for old, new in renames(fleet, {key for key, one in memories.items() if one.binding}):
        memory = found.pop(old)
        assert memory.binding is not None
        leases = tuple(replace(lease, key=new) for lease in memory.leases)
        found[new] = replace(memory, binding=replace(memory.binding, key=new), leases=leases)
    return found


def _unmanaged(opened: Opened, only: tuple[str, ...]) -> list[PlannedVM]:
    """Return our machines that no spec wants any more; they are left alone."""
    fleet, found = opened.fleet, []
    for key, memory in _renamed(fleet, opened.store.memories()).items():
        binding, spec = memory.binding, fleet.vms.get(key)
        if binding is None or binding.phase is Phase.REMOVED or not fits(key, only):
            continue
        if spec.state == "present" if spec else fleet.incomplete or fleet.knows(key):
            continue
        why = "no spec names it any more" if spec is None else "its spec says `state: absent`"
        reason = f"{why}: left alone"
        node, cluster = binding.node or "", binding.cluster
        found.append(
            PlannedVM(key, "unmanaged", node, binding.vmid, reason=reason, cluster=cluster)
        )
    return found


def planned_vm(turn: Turn, guarded: Guarded, *, first: bool = False) -> PlannedVM:
    """Put one VM's plan into the words of a dry run; `first` is one that has no store yet."""
    seen, plan = guarded.plan.seen, guarded.plan
    binding = seen.memory.binding
    unknown = seen.presence is Presence.UNKNOWN
    blocking = [note for note in guarded.notes if note.blocking]
    stuck = not plan.changes and any(note.condition not in WAITS for note in blocking)
    kind = "unchanged"
    if unknown:
        kind = "unknown"
    elif stuck:
        kind = "stuck"
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
        image=binding.image if binding else None,
        addresses=addresses(seen),
        fqdn=_rolled_later(turn.spec) if first else turn.spec.fqdn,
        reason=blocking[0].reason if blocking and (unknown or stuck) else "",
        calls=tuple(calls),
        place=seen.memory.placing.choice if seen.memory.placing else None,
        cluster=turn.spec.cluster,
    )


def _rolled_later(spec: VMSpec) -> str | None:
    """Return the FQDN, of a name that only a store's own key can roll with the name's template."""
    if spec.fqdn is None or "random_" not in spec.name_template:
        return spec.fqdn
    return spec.fqdn.replace(spec.name, spec.name_template, 1)
