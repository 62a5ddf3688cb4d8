"""What somebody changed in Proxmox, VM by VM, as it is now: `reconcile drift`, `adopt-drift`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from desired.drift import Policy, policy_for
from desired.spec import VMSpec
from reconciler.clock import Clock, SystemClock
from reconciler.config import Opened, Opening, open_preview
from reconciler.drift import drifted, drifts_of
from reconciler.express.patch import Patch, patch_of
from reconciler.glance import glance
from reconciler.options import RunOptions
from reconciler.registry import vm_handlers
from reconciler.report import Reporter
from state.change import Change
from state.observed import SeenVM
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
    with glance(options, reporter, clock or SystemClock(), opening) as found:
        traces = [one for site in found.sites.values() for one in site.observer.fresh_traces]
        vms = []
        for key, seen in found.seen.items():
            spec = found.turns[key].spec
            changes = _changes(found.opened, spec, seen, traces)
            if changes:
                vms.append(Outside(spec, seen, tuple(changes)))
        unknown = found.unknown
        looked = len(found.turns) - len(unknown)
        return Survey(found.at, tuple(vms), looked, unknown, found.problems)


def _changes(opened: Opened, spec: VMSpec, seen: SeenVM, traces: Sequence[Trace]) -> list[Change]:
    drifts = drifts_of(opened.store, seen, traces)
    return drifted(spec, seen, vm_handlers(), drifts) if drifts else []
