"""Taking VMs over: bound in the store first, then marked in Proxmox by a run of the engine.

Killed at any point it is simply made again: what is bound and bears no mark yet gets it then, from
this command or from any other run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from desired.source import Fleet
from desired.spec import VMSpec
from handlers.addresses import FAMILIES, family_of
from handlers.effects import wanted
from handlers.slots import in_order, number
from reconciler.adopt.found import Candidate, Selection, find
from reconciler.adopt.prove import binding_of, differs, plan_of, seen_as, taken_by
from reconciler.adopt.watch import is_watched
from reconciler.allocation.addressing import Slot, lease_from
from reconciler.clock import Clock, SystemClock, Workers
from reconciler.config import Opened, Opening, open_live
from reconciler.location import fleet_lock
from reconciler.loop import run_held
from reconciler.options import RunOptions
from reconciler.prepare import Stage
from reconciler.report import Reporter, Summary
from state.api import Json
from state.applied import AppliedSpec
from state.memory import Lease
from state.observed import SeenVM
from state.outbox import Event
from state.store import Store, Taken

ADOPTED = "vm_adopted"
NO_SPEC = "has no spec yet: --write one first"


@dataclass(frozen=True, slots=True)
class Taking:
    """One VM: taken over under a key, or left with the reason."""

    candidate: Candidate
    key: str = ""
    refused: str = ""

    @property
    def expected(self) -> bool:
        return self.candidate.expected


@dataclass(frozen=True, slots=True)
class Adoption:
    """What came of it; `run` is the run that marked them, if there was one to mark."""

    vms: tuple[Taking, ...]
    problems: tuple[str, ...] = ()
    run: Summary | None = None

    @property
    def taken(self) -> tuple[Taking, ...]:
        return tuple(one for one in self.vms if not one.refused)

    @property
    def left_out(self) -> tuple[Taking, ...]:
        return tuple(one for one in self.vms if one.refused)


def apply(
    options: RunOptions,
    selection: Selection,
    reporter: Reporter,
    clock: Clock | None = None,
    opening: Opening = open_live,
) -> Adoption:
    """Take over those of the VMs that a spec of the fleet names by `adopt:`.

    Raises LockHeld, UnusableSource, StoreError.
    """
    clock = clock or SystemClock()
    with fleet_lock(options.fleet, options.database) as lock:
        at = clock.now()
        with opening(options.fleet, options.database, at) as opened:
            vms, problems = _bound(opened, selection, reporter, clock, at)
        keys = tuple(one.key for one in vms if not one.refused)
        run = None
        if keys:
            marking = RunOptions(
                options.fleet,
                options.database,
                only=keys,
                time_limit=options.time_limit,
                command="adopt --apply",
                by=options.by,
            )
            run = run_held(marking, reporter, clock, opening, lock)
        return Adoption(tuple(vms), tuple(problems), run)


def _bound(
    opened: Opened, selection: Selection, reporter: Reporter, clock: Clock, at: datetime
) -> tuple[list[Taking], list[str]]:
    """Bind each VM whose spec asks for nothing, in a transaction of its own."""
    fleet, store = opened.fleet, opened.store
    named = {(one.cluster, one.adopt): one for one in fleet.vms.values() if one.adopt is not None}
    clusters = set(selection.clusters or fleet.clusters)
    sites = Stage(opened, reporter, clock).sites_of(clusters, None)
    workers = Workers(fleet.limits.workers)
    found, problems = find(list(sites.values()), selection, fleet, store, at, workers)
    return [_taken(one, named.get(one.place), fleet, store) for one in found], problems


def _taken(candidate: Candidate, spec: VMSpec | None, fleet: Fleet, store: Store) -> Taking:
    if candidate.owner:
        return _again(candidate, spec)
    if candidate.refused or spec is None or spec.state != "present":
        return Taking(candidate, refused=candidate.refused or NO_SPEC)
    binding = binding_of(candidate, spec.key, spec)
    bare = seen_as(candidate, binding, (), store, fleet)
    leases = tuple(leases_in(spec, bare, fleet)) if bare.config else ()
    plan = plan_of(spec, candidate, leases, store, fleet)
    why = taken_by(leases, store) or differs(spec, plan)
    if why:
        return Taking(candidate, spec.key, f"its spec is not as it is: {why}")
    at = candidate.view.at
    detail: dict[str, Json] = {"cluster": binding.cluster, "vmid": binding.vmid}
    event = Event(ADOPTED, spec.key, at, detail)
    try:
        store.bindings.bind(binding, leases, AppliedSpec(spec.key, spec.document(), at), event)
    except Taken as error:
        return Taking(candidate, spec.key, str(error))
    return Taking(candidate, spec.key)


def _again(candidate: Candidate, spec: VMSpec | None) -> Taking:
    """One that is bound already is gone on with if the mark is all that it lacks."""
    unfinished = spec is not None and spec.key == candidate.owner and not candidate.marked
    if unfinished and spec is not None and is_watched(spec, "default"):
        return Taking(candidate, candidate.owner)
    return Taking(candidate, candidate.owner, candidate.refused)


def leases_in(spec: VMSpec, seen: SeenVM, fleet: Fleet) -> Iterator[Lease]:
    """Yield a lease of each address that the VM has where its spec names a pool."""
    configs = wanted(seen).ipconfigs
    for slot in in_order(spec.nics):
        config = configs.get(number(slot))
        addresses: Mapping[str, str | None] = (
            {"ipv4": config.ip, "ipv6": config.ip6} if config else {}
        )
        for name in FAMILIES:
            family = family_of(spec.nics[slot], name)
            address = (addresses.get(name) or "").partition("/")[0]
            if family is None or family.mode != "pool" or address in ("", "dhcp", "auto"):
                continue
            pool = fleet.pools[str(family.pool)]
            yield lease_from(str(family.pool), pool, Slot(spec.key, slot, name, 0), address)
