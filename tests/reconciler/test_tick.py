"""One tick: look again and again until all is settled or the time is out."""

import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.reckon import MOST_AGAIN
from reconciler.report import Remark
from reconciler.sim.faults import Fault
from state.change import Call
from state.memory import OpenTask
from state.store import Store
from tests.lab import Killed, Lab
from tests.laws.fleets import Spec, fleet_files

ONE: Spec = {"node": "pve1", "memory": "1GiB"}
POOLED: Spec = {**ONE, "pool": "customers"}
VM = "/nodes/pve1/qemu/100"


def lab_of(folder: Path, **vms: Spec) -> Lab:
    return Lab(folder, fleet_files(vms))


def settled(folder: Path, **vms: Spec) -> Lab:
    lab = lab_of(folder, **vms)
    lab.settle()
    lab.clock.sleep(60)
    return lab


def store(lab: Lab) -> Store:
    return Store.open(str(lab.database), at=lab.clock.now())


def fail_task(lab: Lab, task: str, text: str) -> None:
    lab.simulator.faults.add(Fault("task-fail", task=task, text=text))


def test_a_clone_that_an_earlier_run_began_is_followed_to_its_end(tmp_path: Path) -> None:
    """Design 3.7: a killed process loses nothing; the clone is not made twice."""
    lab = lab_of(tmp_path, one=ONE)
    with pytest.raises(Killed):
        lab.run(after=next_clone(lab))
    lab.settle()
    assert sum(one.path.endswith("/clone") for one in lab.wire.writes()) == 1


def next_clone(lab: Lab) -> int:
    """The index of the clone call of a run: the one after it is where the task is followed."""
    dry = Lab(lab.database.parent / "twin", fleet_files({"one": ONE}))
    dry.run()
    calls = dry.wire.of(dry.wire.run)
    return next(n for n, one in enumerate(calls) if one.path.endswith("/clone")) + 1


def test_a_task_left_in_the_store_is_closed_when_nobody_knows_it(tmp_path: Path) -> None:
    """Design 4: an open UPID in the store is a hint."""
    lab = settled(tmp_path, one=ONE)
    upid = "UPID:pve1:0000AAAA:00BBBBBB:65E1D2C0:qmstart:100:root@pam:"
    with store(lab) as kept:
        kept.tasks.open(OpenTask(upid, "one", "demo", "power", datetime.now(UTC)))
    assert lab.run().ready == 1
    with lab.store() as kept:
        assert kept.tasks.all() == {}


def test_a_task_of_a_cluster_that_no_spec_names_is_not_waited_for(tmp_path: Path) -> None:
    lab = settled(tmp_path, one=ONE)
    upid = "UPID:pve1:0000AAAA:00BBBBBB:65E1D2C0:qmstart:100:root@pam:"
    with store(lab) as kept:
        kept.tasks.open(OpenTask(upid, "one", "lab", "power", datetime.now(UTC)))
    summary = lab.run()
    assert summary.seconds < 5


def test_a_task_that_ended_with_warnings_is_a_success_and_is_told(tmp_path: Path) -> None:
    """Issue 5: `WARNINGS: n` is success and is shown."""
    lab = lab_of(tmp_path, one={**ONE, "power": "stopped"})
    lab.run()
    lab.write(fleet_files({"one": ONE}))
    lab.clock.sleep(60)
    fault = Fault("task-fail", task="qmstart", text="WARNINGS: 2", tidy=False)
    lab.simulator.faults.add(fault)
    lab.run()
    told = [one for one in lab.told.events if isinstance(one, Remark)]
    assert [(one.text, one.level) for one in told] == [("power ended with 2 warnings", "warning")]


def test_a_task_that_met_a_busy_lock_is_tried_again_in_the_same_tick(tmp_path: Path) -> None:
    """DEP-08: task-queue back-pressure is no failure."""
    lab = lab_of(tmp_path, one=ONE)
    fail_task(lab, "qmclone", "cfs-lock 'storage-local-lvm' error: got lock request timeout")
    assert lab.run().ready == 1
    with lab.store() as kept:
        assert kept.attempts.of("one") == {}


def test_a_failed_task_is_that_steps_failure_and_is_tried_again_later(tmp_path: Path) -> None:
    """DEP-05, DEP-06, DEP-13"""
    lab = lab_of(tmp_path, one=ONE, two={**ONE, "node": "pve2"})
    fail_task(lab, "qmclone", "clone failed: no space left on device")
    summary = lab.run()
    assert (summary.ready, summary.failed) == (1, 1)
    broken = "one" if "no space" in lab.told.words("one") else "two"
    assert "no space left on device" in lab.told.words(broken)
    assert lab.settle(apart=120).ready == 2


def test_a_start_that_failed_opens_no_window(tmp_path: Path) -> None:
    """C-08, DEP-24: the next try begins by itself, not after a minute of waiting."""
    lab = lab_of(tmp_path, one=ONE)
    fail_task(lab, "qmstart", "start failed: QEMU exited with code 1")
    assert lab.run().failed == 1
    with lab.store() as kept:
        assert "start" not in kept.intents.of("one")
    lab.clock.sleep(60)
    assert lab.run().ready == 1


def test_a_config_that_changes_under_us_again_and_again_is_given_up_for_now(
    tmp_path: Path,
) -> None:
    """Design 3.5: Stale is looked at again, but no tick turns in circles."""
    lab = settled(tmp_path, one=ONE)
    lab.write(fleet_files({"one": {**ONE, "memory": "2GiB"}}))
    count = 0

    def edit(call: Call) -> bool:
        nonlocal count
        count += 1
        lab.ask("PUT", f"{VM}/config", name=f"edit-{count}")
        return False

    lab.wire.meanwhile = edit
    summary = lab.run()
    assert summary.failed == 1
    assert f"looked again {MOST_AGAIN} times, and still: " in lab.told.words("one")
    assert count == MOST_AGAIN + 1


def breaks(lab: Lab, part: str) -> Callable[[Call], bool]:
    """A bug of ours, at each write whose path has `part` in it."""

    def hook(call: Call) -> bool:
        if part in call.path:
            raise ZeroDivisionError("a bug")
        return False

    return hook


def test_a_bug_met_while_one_vm_is_written_is_that_vms_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """DEP-27: caught in one place, logged with its traceback, and the others go on."""
    lab = settled(tmp_path, one=ONE, two=ONE)
    lab.write(fleet_files({"one": {**ONE, "tags": ["x"]}, "two": {**ONE, "tags": ["x"]}}))
    lab.wire.meanwhile = breaks(lab, "/qemu/100/")
    with caplog.at_level(logging.ERROR):
        summary = lab.run()
    assert (summary.ready, summary.failed) == (1, 1)
    assert lab.told.words("one") == "ZeroDivisionError: a bug"
    assert "Traceback" in caplog.text


def test_a_bug_met_in_what_vms_share_is_the_error_of_each_of_them(tmp_path: Path) -> None:
    """DEP-27"""
    lab = lab_of(tmp_path, one=POOLED, two=POOLED, three=ONE)
    lab.wire.meanwhile = breaks(lab, "/pools")
    summary = lab.run()
    assert (summary.ready, summary.failed) == (1, 2)


def test_what_vms_share_goes_out_in_one_call(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, one=ONE, two=ONE)
    lab.settle()
    lab.write(fleet_files({"one": POOLED, "two": POOLED}))
    lab.clock.sleep(60)
    assert lab.run().changed == 2
    (call,) = lab.wire.writes(lab.wire.run)
    assert (call.path, call.params["vms"]) == ("/pools", "100,101")


def test_a_failure_beside_the_pipeline_is_backed_off_and_the_vm_is_ready(tmp_path: Path) -> None:
    """Design 3: trouble of a handler that blocks nobody is a condition."""
    lab = settled(tmp_path, one=ONE)
    lab.write(fleet_files({"one": {**ONE, "pool": "gone"}}))
    for count in (1, 2, 3):
        lab.run()
        with lab.store() as kept:
            attempt = kept.attempts.of("one")["pool"]
            assert attempt.count == count
            conditions = {one.type: one for one in kept.conditions.all()["one"]}
        assert conditions["Ready"].status
        assert conditions["BackOff"].status
        lab.clock.sleep((attempt.not_before - lab.clock.now()).total_seconds() + 1)


def test_a_secret_that_does_not_open_is_its_vms_error(tmp_path: Path) -> None:
    """DEP-27: a damaged row of the store stops nobody else."""
    drawn = {**ONE, "cloudinit": {"user": "random"}}
    lab = settled(tmp_path, one=drawn, two=ONE)
    with sqlite3.connect(lab.database) as link:
        link.execute("update secrets set sealed = zeroblob(40)")
    link.close()
    summary = lab.run()
    assert (summary.ready, summary.failed) == (1, 1)
    assert "does not open with this key" in lab.told.words("one")


def test_a_tick_ends_with_its_time_and_the_next_goes_on(tmp_path: Path) -> None:
    """C-24, FRM-11, DEP-07"""
    lab = Lab(tmp_path, fleet_files({"one": ONE}), speed=1.0)
    began = lab.clock()
    summary = lab.run(time_limit=3.0)
    assert (summary.waiting, summary.failed) == (1, 0)
    assert lab.clock() - began < 5
    assert "the time is out" in lab.told.words("one")
    assert lab.settle(runs=40).ready == 1


def test_without_vms_nothing_is_asked(tmp_path: Path) -> None:
    lab = settled(tmp_path, one=ONE)
    summary = lab.run(only=("none-*",))
    assert (summary.vms, summary.reads, summary.writes) == (0, 0, 0)
