"""What the store tells of a fleet's health: its runs, jobs, locks, clusters, queue and conditions.

Nothing is asked of a cluster, so that it may be called every minute.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.config import Opened
from reconciler.loops.registry import built_in
from reconciler.loops.standing import Standing, standings
from reconciler.own.loops import own_loops
from reconciler.tenancy import Tenancy, tenancies
from state.api import Json
from state.holder import this_process
from state.journal import Run
from state.store import Store

HEARTBEAT = "heartbeat"
"""The setting that each run updates, be anything due or not (FRM-08)."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """One reading at the moment `at`.

    `beat` is when a run was begun last, `run` the last whole one of `process_vms` and `runs` how
    many there were; `clusters` has what the last run that worked on each met there, empty: nothing.
    """

    at: datetime
    beat: datetime | None
    run: Run | None
    runs: int
    loops: Sequence[Standing]
    locks: Sequence[Tenancy]
    clusters: Mapping[str, str | None]
    conditions: Mapping[str, int]
    queue: Mapping[str, int]
    records: Mapping[str, int]
    broken: int

    @property
    def age(self) -> float | None:
        """Seconds since a run was begun last; None when there was none."""
        return (self.at - self.beat).total_seconds() if self.beat else None

    def count(self, name: str) -> int:
        """A number of the last run's summary."""
        found = self.run.summary.get(name) if self.run else None
        return found if isinstance(found, int) else 0


def beat(store: Store, at: datetime, by: str) -> None:
    """Say that a run was begun (FRM-08)."""
    store.settings.put(HEARTBEAT, {"at": at.isoformat(), "by": by})


def read_vitals(opened: Opened, at: datetime) -> Vitals:
    """Read a fleet's vitals from its store."""
    store, fleet = opened.store, opened.fleet
    own, found = own_loops(fleet)
    runs = store.journal.runs()
    ended = [run for run in runs if run.finished_at is not None and not run.dry]
    standing = [one for each in store.conditions.all().values() for one in each if one.status]
    return Vitals(
        at=at,
        beat=_beat(store.settings.get(HEARTBEAT)),
        run=ended[0] if ended else None,
        runs=runs[0].id if runs else 0,
        loops=standings((*built_in(), *own), fleet, store, at, found.broken),
        locks=tenancies(store, this_process(), at),
        clusters={name: _met(name, ended) for name in sorted(fleet.clusters)},
        conditions=Counter(one.type for one in standing),
        queue=store.queue.counts(),
        records=Counter(one.zone for one in store.zones.all()),
        broken=len(fleet.broken),
    )


def _beat(kept: Json) -> datetime | None:
    return datetime.fromisoformat(str(kept["at"])) if isinstance(kept, dict) else None


def _met(name: str, runs: Sequence[Run]) -> str | None:
    """What was wrong with a cluster when a run last worked on it; None: none did lately."""
    for run in runs:
        clusters = run.summary.get("clusters")
        if isinstance(clusters, dict) and name in clusters:
            return str(clusters[name])
    return None
