"""What a place is chosen on: a cluster as one look sees it, and what its nodes have left."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from desired.catalog import PlacementRules
from reconciler.allocation.capacity import Capacity
from reconciler.allocation.holdings import Holdings
from state.conf import VMConfig
from state.machine import Machine
from state.observed import ClusterView, StorageRow, VMRow


@dataclass(slots=True)
class Terrain:
    """`machines` holds the templates' configs beside the VMs' own; `bridges` are the names of
    those of each node, where they are known; `image_nodes` tells where a disk image can be read.
    """

    view: ClusterView
    machines: Mapping[int, Machine]
    capacity: Capacity
    holdings: Holdings | None = None
    bridges: Mapping[str, frozenset[str]] = field(default_factory=dict)
    image_nodes: Callable[[str], Collection[str]] = field(default=lambda volume: ())
    storages: dict[str, dict[str, StorageRow]] = field(init=False)

    def __post_init__(self) -> None:
        self.storages = {}
        for row in self.view.storages:
            self.storages.setdefault(row.storage, {})[row.node] = row

    @property
    def rules(self) -> PlacementRules:
        return self.capacity.rules

    def inside(self, row: VMRow) -> VMConfig | None:
        """The config of a template or VM; None when it was not read."""
        config = self.machines.get(row.vmid, Machine()).config
        return config.wanted if config else None

    def lack(self, storage: str, node: str) -> str | None:
        """Say why a storage takes no disk on a node; a storage that is listed nowhere may."""
        rows = self.storages.get(storage)
        if rows is None:
            return None
        row = rows.get(node)
        if row is None:
            return f"storage {storage} is not there"
        if not row.available:
            return f"storage {storage} is not available"
        if row.content and "images" not in row.content:
            return f"storage {storage} takes no disk images"
        return None

    def shared(self, storage: str) -> bool:
        """Whether all nodes that have the storage see the same volumes."""
        return any(row.shared for row in self.storages.get(storage, {}).values())
