"""Backups by the days of a spec: each once, one on a node at a time, the oldest goes last."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.backups.archive import read_mark
from reconciler.backups.loops import backup_status, schedule_backup
from reconciler.sim.cluster.inventory import GIB, Storage, Volume
from state.memory import Intent
from state.store import Store
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


def test_one_backup_at_a_time_on_a_node(tmp_path: Path) -> None:
    """TASK-05: the others have their turn in the same run, or in those of `backup_status`."""
    lab = backup_lab(tmp_path, vms=3)
    night(lab)
    lab.world.speed = 1.0
    first = lab.one(schedule_backup(), time_limit=5)
    assert len(dumps(lab)) == 1
    assert first.summary is not None and first.summary.waiting == 3
    for _ in range(8):
        assert running(lab) <= 1
        lab.clock.sleep(60)
        lab.one(backup_status())
    assert sorted(dumps(lab)) == ["100", "101", "102"]
    assert len(archives(lab)) == 3


def running(lab: LoopLab) -> int:
    found = lab.ask("GET", "/nodes/pve1/tasks", source="active", typefilter="vzdump")
    assert isinstance(found, list)
    return sum(one["status"] == "RUNNING" for one in found)


def test_task_09_a_vm_that_is_backed_up_is_left_alone(tmp_path: Path) -> None:
    """TASK-09: an edit waits for the end of the backup; so does one that waits for its node."""
    lab = backup_lab(tmp_path, vms=1)
    night(lab)
    lab.world.speed = 0.01
    lab.one(schedule_backup(), time_limit=5)
    wish = {"days": DAILY, "storage": "store"}
    spec = {"node": "pve1", "memory": "1GiB", "onboot": True, "backup": wish}
    lab.write(fleet_files({"vm-0": spec}))
    summary = lab.run()
    assert (summary.waiting, summary.writes) == (1, 0)
    assert "schedule_backup.take is at work" in lab.told.words("vm-0")
    lab.world.speed = 600.0
    lab.clock.sleep(6000)
    lab.settle()
    assert str(lab.world.vms[100].config["onboot"]) == "1"


def test_c_20_a_server_has_to_verify_before_the_oldest_goes(tmp_path: Path) -> None:
    """C-20: keep 2 holds 3 until then, and no fourth is made."""
    lab = backup_lab(tmp_path, kind="pbs")
    for _ in range(5):
        night(lab)
        lab.one(schedule_backup())
    assert (len(archives(lab)), len(dumps(lab))) == (3, 3)
    assert ": not verified; " in conditions(lab)["BackupUnverified"]
    archives(lab)[-1].verification = "failed"
    lab.one(schedule_backup())
    assert len(archives(lab)) == 3
    archives(lab)[-1].verification = "ok"
    lab.one(schedule_backup())
    lab.one(schedule_backup())
    assert len(dumps(lab)) == 4
    assert len(archives(lab)) == 3


def conditions(lab: LoopLab) -> dict[str, str]:
    with lab.store() as store:
        return {
            one.type if one.status else f"{one.type}=False": one.message
            for one in store.conditions.all()["vm-0"]
        }


def test_who_does_not_wait_for_the_server_goes_by_the_task(tmp_path: Path) -> None:
    lab = backup_lab(tmp_path, kind="pbs", verified_by="task")
    for _ in range(4):
        night(lab)
        lab.one(schedule_backup())
    assert (len(archives(lab)), len(dumps(lab))) == (2, 4)


def test_protected_and_foreign_backups_stay_and_are_not_counted(tmp_path: Path) -> None:
    """TASK-05: of others, of a former machine, and those that somebody protected."""
    lab = backup_lab(tmp_path)
    lab.ask("POST", "/nodes/pve1/vzdump", vmid=100, storage="store")
    night(lab)
    lab.one(schedule_backup())
    foreign, ours = archives(lab)
    ours.protected = True
    former = Volume(
        "store:backup/vzdump-qemu-100-2020_01_01-00_00_00.vma", "", "backup", "vma", 1, 100, 1
    )
    former.notes = ours.notes
    lab.world.volumes["", former.volid] = former
    stay = {foreign.volid, ours.volid, former.volid}
    for _ in range(4):
        night(lab)
        lab.one(schedule_backup())
    left = {one.volid for one in archives(lab)}
    assert stay <= left
    assert len(left) == 5


def test_task_10_a_quota_of_none_switches_backups_off(tmp_path: Path) -> None:
    """TASK-10"""
    lab = backup_lab(tmp_path)
    off: Spec = {
        "node": "pve1",
        "memory": "1GiB",
        "backup": {"days": DAILY, "storage": "store"},
        "quota": {"backups": 0},
    }
    lab.write(fleet_files({"vm-0": off}))
    night(lab)
    lab.one(schedule_backup())
    assert dumps(lab) == []
    assert "BackupFresh=False" not in conditions(lab)


def test_a_smaller_quota_goes_before_keep(tmp_path: Path) -> None:
    """TASK-10"""
    lab = backup_lab(tmp_path)
    one: Spec = {
        "node": "pve1",
        "memory": "1GiB",
        "backup": {"days": DAILY, "storage": "store", "keep": 3},
        "quota": {"backups": 1},
    }
    lab.write(fleet_files({"vm-0": one}))
    for _ in range(3):
        night(lab)
        lab.one(schedule_backup())
    assert (len(dumps(lab)), len(archives(lab))) == (3, 1)


def test_a_backup_that_fails_three_times_has_failed(tmp_path: Path) -> None:
    """TASK-04: told once, and the day is over."""
    lab = backup_lab(tmp_path)
    night(lab)
    lab.world.storages["store"].full = True
    for _ in range(8):
        lab.one(schedule_backup())
        lab.clock.sleep(1800)
    assert len(dumps(lab)) == 3
    with lab.store() as store:
        (row,) = store.verbs.of("vm-0")
        assert (row.result, row.message) == ("failed", "failed 3 times: job errors")
        assert store.intents.of("vm-0") == {}
        assert store.attempts.of("vm-0") == {}
    assert (events(lab, "backup_failed"), events(lab, "backup_done")) == (1, 0)
    lab.world.storages["store"].full = False
    night(lab)
    lab.one(schedule_backup())
    assert events(lab, "backup_done") == 1


def test_it_is_said_whether_the_last_backup_is_fresh(tmp_path: Path) -> None:
    lab = backup_lab(tmp_path)
    lab.preview(schedule_backup())
    night(lab)
    lab.one(schedule_backup())
    lab.one(schedule_backup())
    assert conditions(lab)["BackupFresh"].startswith("last verified backup 20")
    lab.world.storages["store"].full = True
    for _ in range(3):
        night(lab)
    lab.one(schedule_backup())
    assert "BackupFresh=False" in conditions(lab)


def test_a_vm_that_a_cluster_job_takes_too_is_named(tmp_path: Path) -> None:
    """TASK-05: it is backed up by us all the same."""
    lab = backup_lab(tmp_path)
    lab.ask("POST", "/cluster/backup", vmid="100", schedule="sun 01:00", storage="store")
    night(lab)
    lab.one(schedule_backup())
    assert "BackupTwice" in conditions(lab)
    assert len(dumps(lab)) == 1


def test_a_dry_run_says_which_vms_are_due(tmp_path: Path) -> None:
    """FRM-06"""
    lab = backup_lab(tmp_path)
    night(lab)
    before = lab.bytes()
    plan = lab.preview(schedule_backup()).plan
    assert plan is not None
    assert [(one.field, one.new) for vm in plan.vms for one in vm.changes] == [("backup", "store")]
    assert (lab.bytes(), dumps(lab)) == (before, [])


def test_a_fleet_without_backups_costs_no_call(tmp_path: Path) -> None:
    lab = LoopLab(tmp_path, fleet_files({"vm-0": {"node": "pve1"}}))
    lab.settle()
    for loop in (schedule_backup(), backup_status()):
        assert lab.one(loop).message == "nothing is due"
        assert lab.wire.of(lab.wire.run) == []


def test_a_storage_that_is_not_there_is_named(tmp_path: Path) -> None:
    lab = backup_lab(tmp_path, storage="gone")
    night(lab)
    result = lab.one(schedule_backup())
    assert (dumps(lab), result.details) == ([], ())
    assert conditions(lab)["BackupFresh=False"].startswith("no node that is online has a storage")


EVERY = [pytest.param(9, id="some"), pytest.param(1, id="all", marks=pytest.mark.nightly)]


@pytest.mark.parametrize("step", EVERY)
def test_task_05_killed_after_any_call_no_day_is_backed_up_twice(tmp_path: Path, step: int) -> None:
    """TASK-05, DEP-20: and what was to be removed is removed once it is verified."""
    whole = second_night(tmp_path / "whole")
    whole.one(schedule_backup())
    calls = whole.wire.count
    assert calls > 8
    for call in range(1, calls, step):
        lab = second_night(tmp_path / f"killed-{call}")
        before = {one.volid for one in archives(lab)}
        with pytest.raises(Killed):
            lab.one(schedule_backup(), kill=call)
        for _ in range(4):
            lab.clock.sleep(300)
            lab.one(backup_status())
            lab.one(schedule_backup())
        made = {one.volid for one in archives(lab)}
        assert len(made - before) == 1
        assert len(made) == 1
        assert len(dumps(lab)) == 2
        assert events(lab, "backup_done") == 2


def second_night(folder: Path) -> LoopLab:
    """One VM with a backup, before its next one, of which it keeps one."""
    lab = backup_lab(folder, keep=1)
    night(lab)
    lab.one(schedule_backup())
    night(lab)
    return lab


def test_frm_03_over_the_change_of_the_clocks_each_day_has_one(tmp_path: Path) -> None:
    """FRM-03, TASK-05: 02:30 is not there on the 28th; the 26th is caught up first."""
    lab = backup_lab(tmp_path, keep=9)
    head = (lab.fleet / "fleet.yaml").read_text()
    lab.write({"fleet.yaml": f"{head}\nschedule: {{timezone: Europe/Berlin}}\n"})
    start = datetime(2027, 3, 27, 0, 10, tzinfo=UTC)
    for hour in (*range(4), *range(24, 28)):
        lab.clock.seconds = max(lab.clock.seconds, start.timestamp() + hour * 3600)
        lab.one(schedule_backup())
    berlin = lab.zone("Europe/Berlin")
    made = [datetime.fromtimestamp(one.ctime, berlin) for one in archives(lab)]
    assert [one.strftime("%d %H") for one in made] == ["27 01", "27 03", "28 03"]


def test_a_spec_asks_for_a_backup_once(tmp_path: Path) -> None:
    """TASK-04: `do: {backup: TOKEN}`, carried out by `backup_status`."""
    lab = backup_lab(tmp_path, days={})
    spec: Spec = {
        "node": "pve1",
        "memory": "1GiB",
        "do": {"backup": {"token": "move-1", "storage": "store", "protect": True}},
    }
    lab.write(fleet_files({"vm-0": spec}))
    for _ in range(3):
        lab.run()
        lab.one(backup_status())
    (made,) = archives(lab)
    assert made.protected
    mark = read_mark(made.notes or "")
    assert mark is not None
    assert mark.token == "move-1"
    with lab.store() as store:
        assert [(one.by, one.result) for one in store.verbs.of("vm-0")] == [("spec", "done")]


def test_a_vm_without_a_storage_for_backups_is_named(tmp_path: Path) -> None:
    lab = backup_lab(tmp_path, storage=None)
    night(lab)
    lab.one(schedule_backup())
    assert dumps(lab) == []
    assert "no storage is named" in conditions(lab)["BackupUnplaced"]


def test_a_restore_that_is_open_goes_first(tmp_path: Path) -> None:
    """TASK-09"""
    lab = backup_lab(tmp_path)
    night(lab)
    at = datetime.fromtimestamp(lab.clock(), UTC)
    with Store.open(lab.where, at=at) as store:
        store.intents.put(Intent("vm-0", "do.restore", at, 0, '{"backup": "store:x"}'))
    lab.one(schedule_backup())
    assert dumps(lab) == []
