"""Where desired state comes from: the `Source` protocol and the fleet that it yields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from desired.catalog import Cluster, Guard, Limits, PlacementRules, Pool
from desired.errors import SpecError
from desired.notices import Notices
from desired.prune import Prune
from desired.rollout import RolloutRules
from desired.schedule import Schedule
from desired.spec import VMSpec
from desired.upkeep import Metrics
from desired.zones import ZoneSpec


@dataclass(frozen=True, slots=True)
class RolledName:
    """A Proxmox name rolled once from its template text, as the store keeps it (CI-03)."""

    template: str
    name: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """The desired state of everything.

    `templates` maps an alias to {cluster: template vmids}, `images` to {cluster: volumes of disk
    images}; `zones` are by id (`example.net@powerdns`); `vms` holds only sound specs, `broken`
    the keys whose spec could not be used (they are known, so they are never taken for removed); a
    broken group stands there under its own key. `incomplete` says that a file of VMs could not be
    read at all, so that nothing may be taken for removed. `revision` names this state of the
    source (a content hash), `commit` the commit of its folder (`+dirty` when that differs; empty
    outside of git). `folder` resolves relative paths. `pruned` are those of `vms` that no source
    names any more: they are there to be made absent. `letters` are its own for notices, by file
    name.
    """

    name: str
    clusters: Mapping[str, Cluster]
    vms: Mapping[str, VMSpec]
    templates: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    images: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    zones: Mapping[str, ZoneSpec] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    guard: Guard = field(default_factory=Guard)
    placement: PlacementRules = field(default_factory=PlacementRules)
    rollout: RolloutRules = field(default_factory=RolloutRules)
    prune: Prune = field(default_factory=Prune)
    database: str | None = None
    verify_every: float | None = None
    quarantine: float = 86400.0
    schedule: Schedule = field(default_factory=Schedule)
    metrics: Metrics = field(default_factory=Metrics)
    notices: Notices = field(default_factory=Notices)
    letters: Mapping[str, str] = field(default_factory=dict)
    handlers_dir: str | None = None
    jobs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    revision: str = ""
    folder: str = "."
    broken: frozenset[str] = frozenset()
    errors: tuple[SpecError, ...] = ()
    incomplete: bool = False
    commit: str = ""
    pruned: frozenset[str] = frozenset()

    def knows(self, key: str) -> bool:
        """Whether the source still mentions the VM, or may do so where it could not be read."""
        group = key.partition("/")[0]
        return self.incomplete or key in self.vms or key in self.broken or group in self.broken


class Source(Protocol):
    """Loads the whole desired state.

    `names` are the names rolled before, by key; `at` is now (aware UTC). Every error is collected
    in `Fleet.errors`; raises UnusableSource when nothing can be used at all.
    """

    def load(self, names: Mapping[str, RolledName], at: datetime) -> Fleet: ...
