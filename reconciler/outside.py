"""What somebody changed in Proxmox, VM by VM, as it is now: `reconcile drift`, `adopt-drift`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from desired.drift import Policy, policy_for
from desired.spec import VMSpec
from reconciler.clock import Clock, SystemClock
from reconciler.config import Opened, Opening, open_preview
from reconciler.drift import drifted, drifts_of
from reconciler.dryrun import look_once
from reconciler.express.patch import Patch, patch_of
from reconciler.options import RunOptions
from reconciler.prepare import Stage, turns_of, unmatched
from reconciler.registry import vm_handlers
from reconciler.report import Remark, Reporter
from state.change import Change
from state.observed import Presence, SeenVM
from state.traces import Trace


@dataclass(frozen=True, slots=True)
class Outside:
    """One VM with what drifted of it; `changes` would put it back and say by whom it was made."""

    spec: VMSpec
    seen: SeenVM
    changes: tuple[Change, ...]

    @property
    def key(self) -> str:
        return self.spec.key

    def policy(self, change: Change) -> Policy:
        return policy_for(self.spec.drift, change.handler)

    def patch(self, field: str | None = None) -> Patch:
        """Return the edit of the spec that takes what is there, of one field or all."""
        handlers = {handler.name: handler for handler in vm_handlers()}
        wanted = [one for one in self.changes if field in (None, one.field)]
        return patch_of(self.spec, self.seen, wanted, handlers)


@dataclass(frozen=True, slots=True)
class Survey:
    """All drift at one moment. `unknown` says of the VMs that could not be looked at why."""

    at: datetime
    vms: tuple[Outside, ...]
    looked: int
    unknown: Mapping[str, str]
    problems: tuple[str, ...] = ()


def survey(
    options: RunOptions,
    reporter: Reporter,
    clock: Clock | None = None,
    opening: Opening = open_preview,
) -> Survey:
    """Look at the clusters and return what drifted; writes nothing.

    Raises UnusableSource, StoreError, BrokenSpecs.
    """
    clock = clock or SystemClock()
    start = clock.now()
    with opening(options.fleet, options.database, start) as opened:
        options.insist(opened.fleet)
        for glob in unmatched(opened.fleet, options.only):
            reporter.report(Remark(start, f"--only {glob}: no VM", "warning"))
        turns = turns_of(opened.fleet, options.only)
        stage = Stage(opened, reporter, clock, dry=True)
        sites = stage.sites((turn.spec for turn in turns.values()), None)
        until = start + timedelta(seconds=options.time_limit)
        preview = look_once(opened, sites, turns, clock, until)
        traces = [one for site in sites.values() for one in site.observer.fresh_traces]
        found: list[Outside] = []
        unknown = dict(preview.failed)
        for key, guarded in sorted(preview.guarded.items()):
            seen = guarded.plan.seen
            if seen.presence is Presence.UNKNOWN:
                unknown[key] = seen.reason
                continue
            changes = _changes(opened, turns[key].spec, seen, traces)
            if changes:
                found.append(Outside(turns[key].spec, seen, tuple(changes)))
        problems = tuple(site.problem for site in sites.values() if site.problem)
        return Survey(start, tuple(found), len(turns) - len(unknown), unknown, problems)


def _changes(opened: Opened, spec: VMSpec, seen: SeenVM, traces: Sequence[Trace]) -> list[Change]:
    drifts = drifts_of(opened.store, seen, traces)
    return drifted(spec, seen, vm_handlers(), drifts) if drifts else []
