"""A dry run: one look at everything, nothing written anywhere, every change as data."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from desired.spec import VMSpec
from handlers.effects import running
from handlers.handler import distinct_calls
from handlers.power import is_wanted_off
from handlers.safeguard import UNAVAILABLE
from handlers.terminate import WAITS as END_WAITS
from handlers.terminate import destroys
from handlers.waiting import permission
from reconciler.clock import Clock, SystemClock
from reconciler.config import Opened, Opening, open_preview
from reconciler.dns.preview import preview_zones
from reconciler.glance import after_renames, glance
from reconciler.guard import PATIENT, Guarded
from reconciler.obstacles import ALSO
from reconciler.options import RunOptions
from reconciler.orphans.orphan import Orphan
from reconciler.outcome import addresses
from reconciler.outgoing import turn as first_turn
from reconciler.plan import VMPlan, approval_digest
from reconciler.prepare import fits
from reconciler.report import DryRun, PlannedRollout, PlannedVM, Remark, Reporter
from reconciler.rollout import batches
from reconciler.rollout.course import current, stands
from reconciler.show.text import count_of
from reconciler.turn import Turn
from state.change import Effect
from state.memory import Phase
from state.observed import Presence

WAITS = (None, *PATIENT, UNAVAILABLE, "BackOff", END_WAITS)
"""What a VM may wait for without being stuck; a run goes on with it by itself."""


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
    with glance(options, reporter, clock, opening) as found:
        opened, start, turns, preview = found.opened, found.at, found.turns, found.preview
        first = opened.store.created
        for copied in (text for site in found.sites.values() for text in site.copies):
            reporter.report(Remark(start, copied, "warning"))
        planned = [planned_vm(turns[key], one, first=first) for key, one in preview.guarded.items()]
        planned = [_orphaned(vm, opened, found.orphans) for vm in planned]
        planned = _with_records(opened, planned)
        planned += [PlannedVM(key, "stuck", reason=why) for key, why in preview.failed.items()]
        planned += [
            PlannedVM(key, "broken", reason="its spec is broken")
            for key in sorted(opened.fleet.broken)
            if fits(key, options.only)
        ]
        planned += _unmanaged(opened, found.orphans, options.only)
        return DryRun(
            at=start,
            vms=tuple(sorted(planned, key=lambda vm: vm.key)),
            digest=approval_digest(preview.plans(), opened.store.vault.key),
            errors=tuple(str(error) for error in opened.fleet.errors),
            commit=opened.fleet.commit,
            problems=found.problems,
            reads=sum(api.reads for api in found.stage.apis),
            seconds=(clock.now() - start).total_seconds(),
            rollouts=_rollouts(opened, start),
            zones=preview_zones(
                opened,
                {key: turn.spec for key, turn in turns.items()},
                {key: one.plan.seen.memory for key, one in preview.guarded.items()},
                clock,
                partial=bool(options.only),
            ),
        )


def _with_records(opened: Opened, planned: list[PlannedVM]) -> list[PlannedVM]:
    """Say of each VM that is to be destroyed how many DNS records go with it."""
    found = []
    for vm in planned:
        number = len(opened.store.zones.of(vm.key)) if vm.kind == "destroy" else 0
        lost = (*vm.details, *([count_of(number, "DNS record")] if number else ()))
        found.append(replace(vm, details=lost))
    return found


def _rollouts(opened: Opened, at: datetime) -> tuple[PlannedRollout, ...]:
    """Return the edits that a run would begin to roll out, or go on with."""
    fleet, holds = opened.fleet, opened.store.holds.all().items()
    found = [one for one in current(fleet, opened.store, at) if one.holds]
    held = {key for key, hold in holds if stands(hold, at)}
    return tuple(
        PlannedRollout(
            one, tuple(batches.preview(one, fleet.rollout, batches.grouping(fleet), held))
        )
        for one in found
    )


def _orphaned(vm: PlannedVM, opened: Opened, orphans: Mapping[str, Orphan]) -> PlannedVM:
    """Say of a VM that is to end without a spec why it does."""
    pruned = vm.key in opened.fleet.pruned and vm.kind == "destroy"
    return replace(vm, reason=orphans[vm.key].told) if pruned else vm


def _unmanaged(
    opened: Opened, orphans: Mapping[str, Orphan], only: tuple[str, ...]
) -> list[PlannedVM]:
    """Return our machines that no spec wants any more, and what becomes of them."""
    fleet, found = opened.fleet, []
    for key, memory in after_renames(fleet, opened.store.memories()).items():
        binding, spec = memory.binding, fleet.vms.get(key)
        if binding is None or binding.phase is Phase.REMOVED or not fits(key, only):
            continue
        if spec is not None or fleet.incomplete or fleet.knows(key):
            continue
        reason = orphans[key].told
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
    elif turn.spec.state == "absent":
        kind = "destroy"
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
        details=_lost(plan),
        reason=blocking[0].reason if blocking and (unknown or stuck) else "",
        waits=_restart(turn.spec, plan),
        calls=tuple(calls),
        place=seen.memory.placing.choice if seen.memory.placing else None,
        cluster=turn.spec.cluster,
    )


def _lost(plan: VMPlan) -> tuple[str, ...]:
    """Return what goes with a VM that is destroyed: its volumes, and what else is its own."""
    volumes = [str(one.old) for one in plan.changes if destroys(one)]
    return (*volumes, *(note.reason for note in plan.notes if note.field == ALSO))


def _restart(spec: VMSpec, plan: VMPlan) -> str:
    """Say what the restart policy makes of values that wait for one; empty when none does."""
    cold = any(change.effect is Effect.STOP_START for change in plan.changes)
    if not (cold and running(plan.seen)) or is_wanted_off(spec):
        return ""
    granted = permission(spec, plan.seen)
    if granted.granted:
        return "restart needed"
    why = granted.until or f"not permitted (restart: {spec.restart})"
    return f"restart needed: {why}"


def _rolled_later(spec: VMSpec) -> str | None:
    """Return the FQDN, of a name that only a store's own key can roll with the name's template."""
    if spec.fqdn is None or "random_" not in spec.name_template:
        return spec.fqdn
    return spec.fqdn.replace(spec.name, spec.name_template, 1)
