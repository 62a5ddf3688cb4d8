"""The job `restore_backup` watches restores; other jobs leave their VMs alone."""

from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.sim.faults import Fault
from reconciler.verbs.watching import restore_backup
from state.memory import Intent
from tests.reconciler.loops.jobs import WISH, LoopLab, label, loop_lab
from tests.verbs import asked, opened, results

KEY = "vm-0"


@pytest.fixture
def lab(tmp_path: Path) -> LoopLab:
    made = loop_lab(tmp_path)
    made.settle()
    made.ask("POST", "/nodes/pve1/vzdump", vmid="100", storage="local")
    made.clock.sleep(60.0)
    made.ask("GET", "/version")
    made.settle()
    return made


def restored(lab: LoopLab, fault: str) -> None:
    """Ask for a restore that meets a fault, and run once."""
    lab.simulator.faults.add(Fault(fault, task="qmrestore", times=1))  # type: ignore[arg-type]
    volumes = (one.volid for one in lab.world.volumes.values() if one.content == "backup")
    asked(lab, "restore", "t1", KEY, backup=next(volumes))
    lab.run(time_limit=60.0)


def watched(lab: LoopLab) -> tuple[str, str]:
    result = lab.one(restore_backup())
    assert lab.wire.writes(lab.wire.run) == []
    assert result.processed == len(result.details)
    return result.status, " ".join(result.details)


def test_task_03_without_a_restore_there_is_nothing_to_watch(lab: LoopLab) -> None:
    """TASK-03"""
    assert watched(lab) == ("success", "")
    with opened(lab) as (store, at):
        store.intents.put(Intent(KEY, "do.restore", at, 0, "nonsense"))
    assert watched(lab) == ("success", "")


def test_task_03_and_09_a_restore_at_work_is_told_and_others_keep_off(lab: LoopLab) -> None:
    """TASK-03, TASK-09"""
    restored(lab, "task-hang")
    status, said = watched(lab)
    assert (status, said.endswith("is being copied")) == ("success", True)
    assert lab.one(label()).errors == 0
    assert lab.world.vms[100].config == {"memory": "128"}
    lab.world.tasks.all.clear()
    assert "its task cannot be read" in watched(lab)[1]


def test_task_03_a_restore_of_which_nobody_knows_the_end_has_failed(lab: LoopLab) -> None:
    """TASK-03: its task was forgotten, as after a node was lost, and the VM is bare."""
    restored(lab, "task-hang")
    lab.world.tasks.all.clear()
    lab.clock.sleep(timedelta(minutes=5).total_seconds())
    lab.run()
    assert results(lab, KEY) == {"restore t1": "failed"}
    assert "nobody can tell how it ended" in watched(lab)[1]


def test_task_03_a_restore_that_failed_is_an_error_until_somebody_decides(lab: LoopLab) -> None:
    """TASK-03: nothing else is made of the VM either."""
    restored(lab, "task-fail")
    status, said = watched(lab)
    assert status == "error"
    assert "reconcile reinstall vm-0" in said
    assert lab.one(label()).processed == 0
    assert WISH not in str(lab.world.vms[100].config)


def test_a_restore_that_is_asked_for_is_told(lab: LoopLab) -> None:
    asked(lab, "restore", "t1", KEY, backup="local:backup/x")
    assert watched(lab) == ("success", "vm-0: restore of local:backup/x: asked")
    lab.run()
    assert watched(lab) == ("success", "")
