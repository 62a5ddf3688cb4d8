"""One cluster as a tick works on it: its API, its observer and executor, what preflight learned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from desired.catalog import Cluster
from reconciler.allocation.holdings import Holdings
from reconciler.execute import Executor
from reconciler.neighbours import Neighbours
from reconciler.pve.images import image_nodes
from state.api import Api, Json, Refused
from state.observe import Observer
from state.observed import ClusterView


@dataclass(slots=True)
class Site:
    """One cluster. `facts` is what preflight learned and the store keeps between runs.

    `frozen` says why nothing may be created there (a lost store), `problem` why nothing may be
    written at all; `copies` says which VMs somebody copied from ours; `rotation` is how many VMs
    the first look verifies without a hint; `images` tells where each disk image was found,
    `holdings` which nodes have what only some have. `learn` asks the cluster for the facts, again
    while there is a problem; `passing` says that this may end soon, `missed` how many looks in a
    row came to nothing, `trouble` what the last one met. `neighbours` are the fleet's other
    clusters.
    """

    name: str
    cluster: Cluster
    api: Api
    observer: Observer
    executor: Executor
    neighbours: Neighbours
    learn: Callable[[], None] = lambda: None
    facts: Mapping[str, Json] = field(default_factory=dict)
    rotation: int = 0
    frozen: str | None = None
    copies: tuple[str, ...] = ()
    problem: str | None = None
    passing: bool = False
    missed: int = 0
    trouble: str = ""
    images: dict[str, frozenset[str]] = field(default_factory=dict)
    holdings: Holdings = field(init=False)

    def __post_init__(self) -> None:
        self.holdings = Holdings(self.api)

    @property
    def firewall(self) -> bool | None:
        """Whether the cluster's firewall is on; None when it is not known."""
        enabled = self.facts.get("firewall_enabled")
        return bool(enabled) if enabled is not None else None

    @property
    def bridges(self) -> Mapping[str, frozenset[str]]:
        """The bridges of each node, as preflight saw them; empty when they are not known."""
        known = self.facts.get("bridges")
        named = known if isinstance(known, dict) else {}
        return {
            node: frozenset(map(str, names))
            for node, names in named.items()
            if isinstance(names, list)
        }

    @property
    def release(self) -> tuple[int, int] | None:
        """The cluster's release such as (8, 4); None when it is not known."""
        major, _, rest = str(self.facts.get("version") or "").partition(".")
        minor = rest.partition(".")[0]
        return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None

    def image_nodes(self, view: ClusterView, volume: str) -> frozenset[str]:
        """The nodes that can read a disk image; looked for again until it is found somewhere.

        Raises ApiError.
        """
        if not self.images.get(volume):
            self.images[volume] = image_nodes(self.api, view, volume)
        return self.images[volume]

    def vmid_free(self, vmid: int) -> bool:
        """`GET /cluster/nextid?vmid=`: 400 when the id is taken by any guest of the cluster.

        Raises ApiError when that could not be asked: then nothing is known.
        """
        try:
            self.api.get("/cluster/nextid", {"vmid": vmid})
        except Refused:
            return False
        return True
