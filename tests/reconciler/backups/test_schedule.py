"""Backups by the days of a spec: each once, one on a node at a time, the oldest goes last."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.backups.archive import read_mark
from reconciler.backups.loops import backup_status, schedule_backup
from reconciler.sim.cluster.inventory import GIB, Storage, Volume
from tests.lab import Killed
from tests.laws.fleets import Spec, fleet_files
from tests.reconciler.loops.jobs import LoopLab

DAILY = dict.fromkeys(("sun", "mon", "tue", "wed", "thu", "fri", "sat"), "02:30")
DAY = 86400.0


def backup_lab(folder: Path, vms: int = 1, kind: str = "dir", **backup: object) -> LoopLab:
    """VMs on one node with a storage `store` for backups, ready."""
    wish = {"days": DAILY, "keep": 2, "storage": "store", **backup}
    one: Spec = {"node": "pve1", "memory": "1GiB", "backup": wish}
    lab = LoopLab(folder, fleet_files({f"vm-{number}": one for number in range(vms)}))
    path = {"path": "/mnt/store"} if kind == "dir" else {"datastore": "d", "server": "s"}
    lab.world.storages["store"] = Storage(
        "store", kind, ["backup"], 900 * GIB, shared=True, options=path
    )
    lab.settle()
    return lab


def archives(lab: LoopLab) -> list[Volume]:
    found = (one for one in lab.world.volumes.values() if one.content == "backup")
    return sorted(found, key=lambda one: (one.ctime or 0, one.volid))


def dumps(lab: LoopLab) -> list[str]:
    return [str(one.params["vmid"]) for one in lab.wire.writes() if one.path.endswith("/vzdump")]


def night(lab: LoopLab) -> None:
    """Go on to 03:00 of the next day."""
    at = datetime.fromtimestamp(lab.clock(), UTC).replace(hour=3, minute=0, second=0)
    lab.clock.seconds = at.timestamp() + DAY


def events(lab: LoopLab, name: str) -> int:
    with lab.store() as store:
        return len(store.outbox.past(name))


def test_task_05_a_vm_is_backed_up_once_for_each_day(tmp_path: Path) -> None:
    """TASK-05: and the backup bears the mark of who made it, and of which machine."""
    lab = backup_lab(tmp_path)
    night(lab)
    result = lab.one(schedule_backup())
    assert (result.status, result.errors) == ("success", 0)
    made = archives(lab)
    assert len(made) == 1
    mark = read_mark(made[0].notes or "")
    with lab.store() as store:
        binding = store.bindings.all()["vm-0"]
        assert mark is not None
        assert (mark.store, mark.key, mark.uuid) == (store.id, "vm-0", binding.uuid)
        assert [(row.result, row.by) for row in store.verbs.of("vm-0")] == [("done", "schedule")]
        assert store.intents.of("vm-0") == {}
    for _ in range(3):
        lab.clock.sleep(3600)
        lab.one(schedule_backup())
    assert len(dumps(lab)) == 1
    night(lab)
    lab.one(schedule_backup())
    assert len(dumps(lab)) == 2
    assert events(lab, "backup_done") == 2


def test_c_20_the_oldest_goes_when_the_newest_is_there(tmp_path: Path) -> None:
    """C-20: keep 2 holds 3 for a while."""
    lab = backup_lab(tmp_path)
    most = 0
    for _ in range(5):
        night(lab)
        lab.one(schedule_backup())
        most = max(most, len(archives(lab)))
        assert len(archives(lab)) <= 2
    assert len(dumps(lab)) == 5
    erased = [one for one in lab.wire.writes() if one.method == "DELETE"]
    assert len(erased) == 3
