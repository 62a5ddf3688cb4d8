"""The jobs `schedule_backup` and `backup_status`: the same handlers over different VMs."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from handlers.handler import Handler
from handlers.wishes import BACKUP, wish_of
from reconciler.backups.archive import Shelf, read_shelf
from reconciler.backups.drill import open_trial, tidy
from reconciler.backups.keep import Fresh, Keep
from reconciler.backups.take import Record, Take
from reconciler.backups.ward import BY_SCHEDULE, PLACE, SCHEDULE, STATUS, STORAGE, Ward
from reconciler.location import fleet_place
from reconciler.lock import Lock, loop_lock
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.loops.over import vm_loop
from reconciler.site import Site
from state.api import Api, ApiError
from state.observed import ClusterView
from state.verbs import DO
from state.view import resources_view, rows, whole

MOST = timedelta(seconds=60)
"""How long one run follows backups at most; the next run goes on with them."""

REMEMBERED = timedelta(days=8)
"""How long is known which days were backed up: longer than any slot is caught up."""


def schedule_backup() -> Loop:
    """Return the job that begins what is due, and removes the oldest (TASK-05)."""
    about = "back VMs up by their days, remove what is over"
    return _loop(SCHEDULE, about, "60min", _scheduled)


def backup_status() -> Loop:
    """Return the job that goes on with every backup that was asked for (TASK-04)."""
    return _loop(STATUS, "begin and watch the backups that were asked for", "5min", _asked)


def _loop(name: str, about: str, schedule: str, concerned: "Concerned") -> Loop:
    inner = vm_loop(name, about, _handlers, schedule, follow=MOST)

    def run(occasion: Occasion) -> LoopResult:
        if name == STATUS and not occasion.dry:
            _tidied(occasion)
        keys = concerned(occasion)
        if not keys:
            return LoopResult(message="nothing is due")
        end = min(occasion.deadline, occasion.start + MOST)
        result = inner.run(replace(occasion, deadline=end, keys=frozenset(keys)))
        if name == SCHEDULE and not occasion.dry:
            before = occasion.start - REMEMBERED
            occasion.store.verbs.forget(BACKUP, BY_SCHEDULE, before)
        return result

    return replace(inner, run=run)


Concerned = Callable[[Occasion], Collection[str]]


def _scheduled(occasion: Occasion) -> Collection[str]:
    """The VMs whose spec says anything of backups, and those of which one is asked."""
    said = {
        key
        for key, spec in occasion.opened.fleet.vms.items()
        if spec.backup is not None or (spec.quota is not None and spec.quota.backups)
    }
    return said | set(_asked(occasion))


def _asked(occasion: Occasion) -> Collection[str]:
    """The VMs of which a backup is asked, or being made."""
    return occasion.store.intents.keys(f"{DO}{BACKUP}")


def _handlers(occasion: Occasion, site: Site) -> tuple[Handler, ...]:
    fleet, store = occasion.opened.fleet, occasion.store
    ward = Ward(occasion.name, store, fleet.schedule.timezone)
    names = _storages(occasion, site.name)
    try:
        view = resources_view(site.api, site.name, occasion.clock.now())
        ward.shelf = read_shelf(site.api, view, names)
        ward.covered = _covered(site.api, view) if ward.asks else None
    except ApiError as error:
        ward.shelf = Shelf(problems=tuple((one, error.text) for one in sorted(names)))
    return Record(ward), Take(ward), Keep(ward), Fresh(ward)


def _storages(occasion: Occasion, cluster: str) -> set[str]:
    """The storages that backups of a cluster's VMs go to."""
    specs = [one for one in occasion.opened.fleet.vms.values() if one.cluster == cluster]
    named = {one.backup.storage for one in specs if one.backup and one.backup.storage}
    asked = occasion.store.memories(_asked(occasion))
    wishes = (wish_of(memory, BACKUP) for memory in asked.values())
    places = (wish.text(name) for wish in wishes if wish for name in (STORAGE, PLACE))
    return named | {place for place in places if place}


def _covered(api: Api, view: ClusterView) -> frozenset[int] | None:
    """The VMs in a backup job of the cluster: all but those that are in none."""
    try:
        bare = rows(api.get("/cluster/backup-info/not-backed-up"))
    except ApiError:
        return None
    return frozenset(view.vms.keys() - {whole(row, "vmid") for row in bare})


def drill_lock(fleet: Path, database: str | None) -> Lock:
    """Held by who carries out a restore drill."""
    return loop_lock(fleet_place(fleet, database), "restore_drill")


def _tidied(occasion: Occasion) -> None:
    """Remove the VM of a drill whose process was killed."""
    trial = open_trial(occasion.store)
    lock = drill_lock(occasion.options.fleet, occasion.options.database)
    if trial is None or not lock.acquire():
        return
    try:
        left = tidy(
            occasion.opened.connect(trial.cluster), occasion.store, trial, occasion.clock.now()
        )
        if left:
            occasion.note(f"restore drill, vm {trial.vmid}: {left}", trial.key)
    except ApiError as error:
        occasion.warn(f"restore drill, vm {trial.vmid}: {error.text}", trial.key)
    finally:
        lock.release()
