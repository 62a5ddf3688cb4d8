"""What the clusters of one fleet must know of each other, for they are looked at side by side."""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from desired.source import Fleet
from reconciler.allocation.addressing import leased_from
from state.api import Json
from state.store import Store


@dataclass(slots=True)
class Neighbours:
    """Lost VMs that forbid creating elsewhere too, and clusters that are one and the same.

    `sharing` names for each cluster those whose VMs may use its pools. Where `awaited` clusters are
    among them, nothing is leased before these were looked at once. With `keeps` what was found
    outlives the run, for a cluster that is out of reach in the next one.
    """

    store: Store
    sharing: Mapping[str, frozenset[str]]
    keeps: bool = True
    awaited: set[str] = field(default_factory=set)
    _lost: dict[str, str] = field(default_factory=dict)
    _servers: dict[str, frozenset[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, fleet: Fleet, store: Store, keeps: bool) -> "Neighbours":
        """Begin with what earlier runs found."""
        made = cls(store, sharing(fleet), keeps)
        for name, cluster in fleet.clusters.items():
            lost = store.settings.get(lost_in(name))
            if lost:
                made._lost[name] = str(lost)
            kept = store.settings.get(f"preflight:{name}")
            known = kept if isinstance(kept, dict) else {}
            if not cluster.simulated and known.get("endpoints") == list(cluster.endpoints):
                facts = known.get("facts")
                made.met(name, facts if isinstance(facts, dict) else {})
        return made

    def looked_at(self, cluster: str, lost: str | None) -> None:
        """The cluster was looked at: these VMs of it the store has lost, in words."""
        with self._lock:
            self.awaited.discard(cluster)
            before = self._lost.pop(cluster, None)
            if lost:
                self._lost[cluster] = lost
        if self.keeps and lost != before:
            self.store.settings.put(lost_in(cluster), lost or "")

    def out_of_reach(self, cluster: str) -> None:
        """Nobody shall wait for it any longer."""
        with self._lock:
            self.awaited.discard(cluster)

    def frozen(self, cluster: str) -> str | None:
        """Say why nothing may be created or leased there, if so."""
        with self._lock:
            if cluster in self._lost:
                return self._lost[cluster]
            others = sorted(self.sharing.get(cluster, frozenset()) & self._lost.keys())
            return (
                f"cluster {others[0]} shares its pools: {self._lost[others[0]]}" if others else None
            )

    def waits_for(self, cluster: str) -> str | None:
        """Say which cluster must be looked at before anything is leased there, if any."""
        with self._lock:
            others = sorted(self.sharing.get(cluster, frozenset()) & self.awaited)
            return (
                f"cluster {others[0]} shares its pools, and is looked at first" if others else None
            )

    def met(self, cluster: str, facts: Mapping[str, Json]) -> None:
        """Learn from preflight which servers a cluster is made of."""
        servers = facts.get("servers")
        with self._lock:
            self._servers[cluster] = frozenset(
                map(str, servers or ()) if isinstance(servers, list) else ()
            )

    def twin(self, cluster: str) -> str | None:
        """Say so if another cluster of the fleet is the same one: then neither is written to."""
        with self._lock:
            mine = self._servers.get(cluster, frozenset())
            for other, servers in sorted(self._servers.items()):
                if other != cluster and mine & servers:
                    server = min(mine & servers).partition(" ")[0]
                    return (
                        f"cluster {cluster} is the cluster {other} too: the endpoints of both "
                        f"lead to node {server}; nothing is written to it until one of the two is "
                        "taken out of fleet.yaml, or has endpoints of its own"
                    )
        return None


def lost_in(cluster: str) -> str:
    """The setting that keeps which VMs of a cluster the store has lost."""
    return f"lost:{cluster}"


def sharing(fleet: Fleet) -> dict[str, frozenset[str]]:
    """Return for each cluster the others that may use a pool which its VMs use."""
    pools: dict[str, set[str]] = {name: set() for name in fleet.clusters}
    if len(pools) < 2:
        return {}
    for spec in fleet.vms.values():
        pools.setdefault(spec.cluster, set()).update(leased_from(spec, fleet))
    return {
        name: frozenset(other for other in pools if other != name and _open_to(fleet, used, other))
        for name, used in pools.items()
    }


def _open_to(fleet: Fleet, pools: Collection[str], cluster: str) -> bool:
    known = (fleet.pools[name] for name in pools if name in fleet.pools)
    return any(pool.cluster in (None, cluster) for pool in known)
