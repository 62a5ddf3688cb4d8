"""One look at everything that writes nothing: what dry runs, drift, debt and approvals go by."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from desired.source import Fleet
from reconciler.clock import Clock, Workers
from reconciler.config import Opened, Opening
from reconciler.guard import Guarded
from reconciler.look import SiteLook
from reconciler.options import RunOptions
from reconciler.orphans.orphan import Orphan
from reconciler.orphans.watch import watched
from reconciler.plan import VMPlan
from reconciler.prepare import Stage, addresses_in_use, renames, told_of, turns_of, unmatched
from reconciler.registry import vm_handlers
from reconciler.report import Remark, Reporter
from reconciler.secrets import SecretError
from reconciler.site import Site
from reconciler.spent import Spent
from reconciler.turn import Turn
from state.api import ApiError
from state.memory import Memory
from state.observed import Presence, SeenVM


@dataclass(frozen=True, slots=True)
class Preview:
    """What every VM wants, before it is shown: guarded plans by key, and why one has none."""

    guarded: Mapping[str, Guarded]
    failed: Mapping[str, str]

    def plans(self) -> list[VMPlan]:
        return [guarded.plan for guarded in self.guarded.values()]


@dataclass(frozen=True, slots=True)
class Glance:
    """An opened fleet with what was seen of its VMs at one moment."""

    at: datetime
    opened: Opened
    stage: Stage
    sites: Mapping[str, Site]
    turns: Mapping[str, Turn]
    preview: Preview
    orphans: Mapping[str, Orphan] = field(default_factory=dict)

    @property
    def unknown(self) -> dict[str, str]:
        """Why a VM could not be looked at, by key."""
        seen = ((key, one.plan.seen) for key, one in self.preview.guarded.items())
        hidden = {key: one.reason for key, one in seen if one.presence is Presence.UNKNOWN}
        return {**self.preview.failed, **hidden}

    @property
    def seen(self) -> dict[str, SeenVM]:
        """Every VM that was looked at, by key."""
        plans = {key: one.plan.seen for key, one in sorted(self.preview.guarded.items())}
        return {key: one for key, one in plans.items() if one.presence is not Presence.UNKNOWN}

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps whole clusters from being looked at."""
        return tuple(site.problem for site in self.sites.values() if site.problem)


@contextmanager
def glance(
    options: RunOptions, reporter: Reporter, clock: Clock, opening: Opening
) -> Iterator[Glance]:
    """Look at the VMs that the options name. Raises UnusableSource, StoreError, BrokenSpecs."""
    start = clock.now()
    with opening(options.fleet, options.database, start) as opened:
        options.insist(opened.fleet)
        opened.fleet, found = watched(opened.fleet, opened.store, start)
        for glob in unmatched(opened.fleet, options.only):
            reporter.report(Remark(start, f"--only {glob}: no VM", "warning"))
        turns = turns_of(opened.fleet, options.only, told_of(opened.fleet, opened.store))
        stage = Stage(opened, reporter, clock, dry=True)
        sites = stage.sites((turn.spec for turn in turns.values()), None)
        until = start + timedelta(seconds=options.time_limit)
        preview = look_once(opened, sites, turns, clock, until)
        yield Glance(start, opened, stage, sites, turns, preview, found.orphans)


def look_once(
    opened: Opened,
    sites: Mapping[str, Site],
    turns: Mapping[str, Turn],
    clock: Clock,
    until: datetime,
) -> Preview:
    """Observe the clusters side by side; then preview allocations, plan and guard in order."""
    shared, spent = addresses_in_use(opened.fleet, opened.store, clock.now()), Spent()
    memories = after_renames(opened.fleet, opened.store.memories())
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


def after_renames(fleet: Fleet, memories: Mapping[str, Memory]) -> dict[str, Memory]:
    """Return the memories as a run would leave them: machines under their new keys (`was:`)."""
    found = dict(memories)
    for old, new in renames(fleet, {key for key, one in memories.items() if one.binding}):
        memory = found.pop(old)
        assert memory.binding is not None
        leases = tuple(replace(lease, key=new) for lease in memory.leases)
        found[new] = replace(memory, binding=replace(memory.binding, key=new), leases=leases)
    return found
