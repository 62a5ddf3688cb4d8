"""The job `remove_snapshots` in the lab: days go by, snapshots come and go."""

from pathlib import Path

import yaml

from reconciler.snapshots.job import remove_snapshots
from tests.lab import Killed
from tests.laws.fleets import Spec
from tests.reconciler.loops.jobs import LoopLab, loop_lab
from tests.verbs import asked, results

HOUR, DAY = 3600.0, 86_400.0
KEY = "vm-0"


def made(folder: Path, **policy: object) -> LoopLab:
    """A VM that is ready, with a policy for its snapshots."""
    quota = policy.pop("quota", None)
    lab = loop_lab(folder)
    spec: Spec = {"memory": "1GiB", "node": "pve1", "snapshots": policy}
    spec |= {} if quota is None else {"quota": {"snapshots": quota}}
    lab.write({"vms/all.yaml": yaml.safe_dump({KEY: spec})})
    lab.settle()
    return lab


def names(lab: LoopLab) -> list[str]:
    return sorted(lab.world.vms[100].snapshots)


def by_hand(lab: LoopLab, name: str) -> None:
    """Somebody takes one in the GUI."""
    lab.ask("POST", "/nodes/pve1/qemu/100/snapshot", snapname=name)
    lab.clock.sleep(30.0)
    lab.run()


def job(lab: LoopLab) -> str:
    """One run of the job, and of `process_vms` after it."""
    message = lab.one(remove_snapshots()).message
    lab.run()
    return message


def test_task_02_an_old_snapshot_is_removed_and_a_young_or_foreign_one_is_not(
    tmp_path: Path,
) -> None:
    """TASK-02"""
    lab = made(tmp_path, lifetime="3d")
    asked(lab, "snapshot", "t1", KEY, name="old", description="mine")
    lab.settle()
    by_hand(lab, "theirs")
    job(lab)
    assert names(lab) == ["old", "theirs"]
    lab.clock.sleep(3 * DAY)
    asked(lab, "snapshot", "t2", KEY, name="young")
    lab.settle()
    plan = lab.preview(remove_snapshots()).plan
    assert plan is not None
    assert [change.field for change in plan.vms[0].changes] == ["old"]
    job(lab)
    assert names(lab) == ["theirs", "young"]


def test_task_02_only_vms_with_snapshots_are_read(tmp_path: Path) -> None:
    """TASK-02"""
    lab = made(tmp_path, lifetime="3d")
    job(lab)
    read = [one.path for one in lab.wire.calls if one.path.endswith("/snapshot")]
    assert read == []
    by_hand(lab, "theirs")
    lab.one(remove_snapshots())
    assert any(one.path.endswith("/snapshot") for one in lab.wire.of(lab.wire.run))


def test_a_fleet_that_says_nothing_of_snapshots_has_none_read(tmp_path: Path) -> None:
    lab = loop_lab(tmp_path)
    assert job(lab) == "no spec says anything of snapshots"


def test_snapshots_are_taken_by_schedule_and_rotate_within_the_quota(tmp_path: Path) -> None:
    """TASK-10: once in each slot, whatever is missed; the oldest makes room for the next."""
    lab = made(tmp_path, schedule="daily at 03:00", quota=3)
    for _ in range(4):
        lab.clock.sleep(DAY)
        job(lab)
    found = names(lab)
    assert len(found) == 3
    assert all(name.startswith("auto-2027") and name.endswith("-0300") for name in found)
    lab.clock.sleep(4 * DAY)
    before = set(results(lab, KEY))
    job(lab)
    assert len(set(results(lab, KEY)) - before) == 1
    assert set(results(lab, KEY).values()) == {"done"}


def test_task_10_a_quota_of_none_takes_none(tmp_path: Path) -> None:
    """TASK-10"""
    lab = made(tmp_path, schedule="daily at 03:00", quota=0)
    lab.clock.sleep(2 * DAY)
    job(lab)
    assert (names(lab), results(lab, KEY)) == ([], {})


def test_a_job_killed_at_any_call_takes_none_twice_and_removes_what_is_old(tmp_path: Path) -> None:
    """`kill -9` between any two calls."""
    for call in (1, 3):
        lab = made(tmp_path / str(call), lifetime="1d", schedule="daily at 03:00", keep=1)
        lab.clock.sleep(DAY)
        job(lab)
        lab.clock.sleep(DAY + HOUR)
        try:
            lab.one(remove_snapshots(), kill=call)
        except Killed:
            lab.clock.sleep(60.0)
        for _ in range(2):
            lab.due(remove_snapshots())
            lab.clock.sleep(HOUR)
        assert len(names(lab)) == 1
        assert len(results(lab, KEY)) == 2


def test_a_rollback_keeps_its_snapshot_until_it_is_done(tmp_path: Path) -> None:
    lab = made(tmp_path, lifetime="1d")
    asked(lab, "snapshot", "t1", KEY, name="gold")
    lab.settle()
    lab.clock.sleep(2 * DAY)
    asked(lab, "rollback", "t2", KEY, name="gold")
    lab.one(remove_snapshots())
    assert names(lab) == ["gold"]
    lab.run()
    job(lab)
    assert (names(lab), results(lab, KEY)["rollback t2"]) == ([], "done")
