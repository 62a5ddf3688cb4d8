"""The search over all clusters of a fleet: who is asked, and what each must know of the others."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.config import Opened
from reconciler.ending import GONE
from reconciler.secrets import SecretError
from reconciler.sim.embedded import EmbeddedFailed
from reconciler.zombies.search import Search
from reconciler.zombies.zombie import Ended, Known, Zombie, Zombies
from state.api import ApiError
from state.store import Store


def zombies(opened: Opened, names: tuple[str, ...], at: datetime) -> Zombies:
    """Search the clusters of those names, or all. Only reads; one cluster's trouble is a problem.

    What a guest of another cluster of the fleet may own on a shared storage is left out, so every
    cluster is asked for its guests; if one does not answer, shared storages tell too much, and that
    is said as its problem.
    """
    fleet, problems = opened.fleet, []
    searches: dict[str, Search] = {}
    guests: dict[str, set[int]] = {}
    for name in sorted(fleet.clusters):
        try:
            searches[name] = Search(name, opened.connect(name), known(opened.store, name))
            guests[name] = searches[name].guests()
        except (ApiError, SecretError, EmbeddedFailed) as error:
            problems.append(f"cluster {name}: {error}")
    found: list[Zombie] = []
    wanted = [name for name in sorted(guests) if not names or name in names]
    for name in wanted:
        search = searches[name]
        search.known = replace(search.known, elsewhere=_elsewhere(guests, name))
        try:
            found += search.zombies()
        except ApiError as error:
            problems.append(f"cluster {name}: {error.text}")
        problems += search.problems
    return Zombies(at, tuple(found), tuple(problems), tuple(wanted))


def _elsewhere(guests: Mapping[str, set[int]], name: str) -> frozenset[int]:
    return frozenset(vmid for other, vmids in guests.items() if other != name for vmid in vmids)


def known(store: Store, cluster: str) -> Known:
    """What the store knows of a cluster's vmids."""
    ended = {}
    for event in store.outbox.past(GONE):
        vmid = event.detail.get("vmid")
        if event.detail.get("cluster") == cluster and isinstance(vmid, int):
            kept_for = event.detail.get("kept_for")
            length = float(kept_for) if isinstance(kept_for, int | float) else None
            ended[vmid] = Ended(event.key, event.at, length)
    return Known(frozenset(store.bindings.vmids(cluster)), ended=ended)
