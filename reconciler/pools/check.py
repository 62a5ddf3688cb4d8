"""What is wrong with addresses: one VM's that another has, leases without a VM, and the like."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from desired.source import Fleet
from reconciler.allocation.sightings import Use, sightings
from reconciler.clock import Clock, Workers
from reconciler.config import Opened
from reconciler.pools.usage import holdings, pool_of
from reconciler.prepare import Stage
from reconciler.report import Reporter
from reconciler.site import Site
from state.memory import Phase
from state.observe import Reading
from state.observed import ClusterView
from state.store import Store

Kind = Literal["duplicate", "foreign", "unleased", "without-vm", "lost-pool", "overlap"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: with which address (or pool), and in words, with what helps."""

    kind: Kind
    about: str
    text: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found; `unknown` says of clusters that could not be looked at why."""

    problems: tuple[Problem, ...]
    vms: int
    unknown: tuple[str, ...] = ()


def check(opened: Opened, reporter: Reporter, clock: Clock) -> Checked:
    """Read every VM's config, also of VMs that are not ours, and compare; writes nothing."""
    fleet, store = opened.fleet, opened.store
    stage = Stage(opened, reporter, clock, dry=True)
    views: dict[str, ClusterView] = {}
    uses: dict[str, tuple[Use, ...]] = {}
    unknown, count = [], 0
    for name, site in stage.sites_of(sorted(fleet.clusters), None).items():
        view, found = _look(site, fleet, store, clock)
        if view.problem:
            unknown.append(view.problem)
            continue
        views[name] = view
        count += sum(not row.template for row in view.vms.values())
        for address, seen in found.items():
            uses[address] = (*uses.get(address, ()), *seen)
    problems = [
        *_overlaps(fleet),
        *_shared(uses, fleet, store),
        *_without_vm(views, store),
        *_lost_pools(fleet, store),
    ]
    return Checked(tuple(problems), count, tuple(unknown))


def _look(
    site: Site, fleet: Fleet, store: Store, clock: Clock
) -> tuple[ClusterView, Mapping[str, tuple[Use, ...]]]:
    site.learn()
    if site.problem:
        return ClusterView(site.name, clock.now(), problem=site.problem), {}
    view = site.observer.view(clock.now(), site.firewall)
    if view.problem:
        return view, {}
    ours = store.bindings.vmids(site.name) & view.vms.keys()
    others = {row.vmid for row in view.vms.values() if not row.template} - ours
    reading = Reading(ours, others, ours)
    machines = site.observer.machines(view, reading, Workers(fleet.limits.workers), lambda: False)
    return view, sightings(store, view, machines)


def _overlaps(fleet: Fleet) -> Iterator[Problem]:
    """Pools that share addresses are spec errors; they are told here too."""
    for error in fleet.errors:
        if error.message.startswith("overlaps with pool"):
            yield Problem("overlap", error.field.partition(".")[0], str(error))


def _shared(uses: Mapping[str, tuple[Use, ...]], fleet: Fleet, store: Store) -> Iterator[Problem]:
    """Yield addresses that two VMs have, or one VM that nobody gave it to."""
    held = holdings(fleet, store)
    for address, seen in sorted(uses.items(), key=lambda item: _order(item[0])):
        users = {(use.cluster, use.vmid): use for use in seen}
        known = held.get(address)
        owner = known.key if known else None
        others = [use for use in users.values() if use.key is None or use.key != owner]
        told = " and ".join(str(use) for use in users.values())
        if len(users) > 1:
            text = f"{len(users)} VMs have it: {told}; give all but one another address"
            yield Problem("duplicate", address, text)
        elif others and known and known.state in ("leased", "leaving", "static"):
            text = f"is {owner}'s, but in use {told}; take it off that VM"
            yield Problem("foreign", address, text)
        elif (
            others
            and (known is None or known.state == "resting")
            and (name := pool_of(ip_address(address), fleet))
        ):
            text = f"in pool {name}, in use {told}, but leased to nobody; "
            yield Problem("unleased", address, text + f"`reconcile ip reserve {address}` keeps it")


def _without_vm(views: Mapping[str, ClusterView], store: Store) -> Iterator[Problem]:
    """Yield leases of VMs that are not there (any more), as far as their cluster was seen."""
    bindings = store.bindings.all()
    for key, leases in store.leases.all().items():
        binding = bindings[key]
        view = views.get(binding.cluster)
        if view is None or binding.vmid in view.vms:
            continue
        if binding.uuid is None and binding.phase is Phase.DEPLOY:
            continue
        for lease in leases:
            text = f"leased to {key}, but vm {binding.vmid} of cluster {binding.cluster} is not "
            yield Problem("without-vm", lease.address, f"{text}there; see reconcile why {key}")


def _lost_pools(fleet: Fleet, store: Store) -> Iterator[Problem]:
    """Yield leases whose pool no file names any more: such a VM keeps its address (IP-05)."""
    for key, leases in store.leases.all().items():
        for lease in leases:
            if lease.pool not in fleet.pools and pool_of(ip_address(lease.address), fleet) is None:
                text = f"of {key}/{lease.nic} came from pool {lease.pool}, which is no more; "
                text += "it keeps it until its nic is given back (ipv4: none) and asked for anew"
                yield Problem("lost-pool", lease.address, text)


def _order(address: str) -> tuple[bool, int]:
    return ":" in address, int(ip_address(address))
