"""What the backup jobs know of one cluster in one look: its backups, what is asked, who is busy."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from desired.backups import KEEP, Backups, day_of
from desired.spec import VMSpec
from handlers.wishes import BACKUP, wish_of
from reconciler.backups.archive import Archive, Mark, Shelf
from reconciler.stopping import kind_of
from state.api import Json
from state.memory import Binding
from state.observed import ClusterView, SeenVM
from state.store import Store
from state.verbs import Wish

SCHEDULE, STATUS = "schedule_backup", "backup_status"
BY_SCHEDULE = "schedule"
"""Who asks for a backup that is due."""

SENT, TRIES, PLACE = "sent", "tries", "place"
"""Parameters of a backup that was begun: when it was sent last, how often, to which storage."""

STORAGE, MODE, PROTECT = "storage", "mode", "protect"
"""Parameters of what a person asked."""

VZDUMP = "vzdump"


@dataclass(slots=True)
class Ward:
    """One look of the job `job` at one cluster. `busy` are the nodes that make a backup.

    `used` are key and token of what was asked before; `covered` are the vmids that a backup job of
    the cluster takes too, None when nobody knows.
    """

    job: str
    store: Store
    zone: str
    shelf: Shelf = field(default_factory=Shelf)
    covered: frozenset[int] | None = None
    busy: set[str] = field(default_factory=set)
    wishes: dict[str, Wish] = field(default_factory=dict)
    used: frozenset[tuple[str, str]] = field(init=False)
    _door: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.used = self.store.verbs.tokens(BACKUP)
        tasks = self.store.tasks.all().values()
        self.busy |= {one.upid.split(":")[1] for one in tasks if kind_of(one) == VZDUMP}

    @property
    def asks(self) -> bool:
        """Whether this job asks for what is due, and raises conditions."""
        return self.job == SCHEDULE

    def learn(self, view: ClusterView) -> None:
        """Know which nodes are at work by what the cluster lists, whoever began it."""
        self.busy |= {one.node for one in view.tasks if one.kind == VZDUMP and one.running}

    def takes(self, node: str) -> bool:
        """Take a node's only place for a backup; False when it is taken."""
        with self._door:
            free = node not in self.busy
            self.busy.add(node)
        return free

    def mine(self, seen: SeenVM) -> list[Archive]:
        """The backups of this very machine that are ours, the oldest first."""
        binding = seen.memory.binding
        return self.shelf.of(binding, self.store.id) if binding else []

    def made(self, seen: SeenVM, wish: Wish) -> Archive | None:
        """The backup that came of what was asked."""
        found = (one for one in self.mine(seen) if one.mark and one.mark.token == wish.token)
        return next(found, None)

    def wish(self, spec: VMSpec, seen: SeenVM) -> Wish | None:
        """What is asked of the VM, or is due and was not asked before."""
        return wish_of(seen.memory, BACKUP) or (self.due(spec, seen) if self.asks else None)

    def due(self, spec: VMSpec, seen: SeenVM) -> Wish | None:
        """The backup of a scheduled day: once for each, whatever became of it (TASK-05)."""
        plan = spec.backup
        slot = plan.slot(spec.key, seen.at, self.zone) if plan and not is_off(spec) else None
        if slot is None:
            return None
        wish = Wish(spec.key, BACKUP, token_of(slot, self.zone), BY_SCHEDULE, seen.at, {})
        asked = (wish.key, wish.token) in self.used
        return None if asked or self.made(seen, wish) else wish


def token_of(slot: datetime, zone: str) -> str:
    return f"{BY_SCHEDULE} {day_of(slot, zone)}"


def is_off(spec: VMSpec) -> bool:
    """Whether the quota allows no backups at all (TASK-10)."""
    return spec.quota is not None and spec.quota.backups == 0


def kept(spec: VMSpec) -> int | None:
    """How many backups of ours stay; None: nobody says."""
    plan, quota = spec.backup or Backups(), spec.quota.backups if spec.quota else None
    keep = plan.keep or (KEEP if plan.days else None)
    if quota == 0:
        return None
    return min((one for one in (keep, quota) if one is not None), default=None)


def storage_of(spec: VMSpec, wish: Wish | None) -> str | None:
    """Where a backup goes: as a person said, else the spec."""
    said = wish.text(STORAGE) if wish else None
    return said or (spec.backup.storage if spec.backup else None)


def mark_of(store: str, binding: Binding, token: str) -> Mark:
    assert binding.uuid is not None
    return Mark(store, binding.key, binding.uuid, token)


def sent_at(wish: Wish) -> datetime | None:
    """When it was sent last; None when it was not."""
    said = wish.text(SENT)
    return datetime.fromisoformat(said) if said else None


def tries_of(params: Mapping[str, Json]) -> int:
    tries = params.get(TRIES)
    return tries if isinstance(tries, int) else 0
