"""A run that is killed anywhere: each call goes out at most once, or a person is told."""

from contextlib import suppress

import pytest

from tests.lab import Killed
from tests.reconciler.queue.jobs import QueueLab, queue_lab

SNAPSHOT = "/nodes/pve1/qemu/100/snapshot"
CALLS = 7
"""More than a run makes for one job: the reads before, the call, and its task's status."""


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> QueueLab:
    return queue_lab(tmp_path_factory.mktemp("queue"))


def finished(lab: QueueLab, number: int) -> str:
    lab.until(lambda: lab.job(number).status in ("success", "error"), runs=10)
    return lab.job(number).status


def counted(lab: QueueLab, name: str) -> int:
    """How many calls of that name went out."""
    return sum(one.params.get("snapname") == name for one in lab.posts("/snapshot"))


def test_killed_after_any_call_a_job_is_carried_out_exactly_once(settled: QueueLab) -> None:
    """`kill -9` between claim, send and mark."""
    lab = settled
    for kill in range(CALLS):
        name = f"after{kill}"
        number = lab.add(SNAPSHOT, params={"snapname": name})
        with suppress(Killed):
            lab.work(after=kill)
        assert finished(lab, number) == "success", lab.log(number)
        assert counted(lab, name) == 1
        assert name in lab.world.vms[100].snapshots


def test_killed_before_any_call_a_job_is_carried_out_once_or_told(settled: QueueLab) -> None:
    """What was never heard of again is sent no second time: a person looks, and asks again."""
    lab, ends = settled, []
    for kill in range(CALLS):
        name = f"before{kill}"
        number = lab.add(SNAPSHOT, params={"snapname": name})
        with suppress(Killed):
            lab.work(before=kill)
        ends.append(finished(lab, number))
        assert counted(lab, name) == (1 if ends[-1] == "success" else 0)
    assert ends.count("error") == 1
    lost = next(one for one in lab.events() if "most likely it was not" in str(one.detail))
    assert "reconcile queue retry" in str(lost.detail["text"])


def test_a_call_that_arrives_after_its_sender_is_dead_is_found_again(settled: QueueLab) -> None:
    lab = settled
    number = lab.add(SNAPSHOT, params={"snapname": "late"})
    with pytest.raises(Killed, match="POST"):
        lab.work(before=4)
    lab.wire.late = 0
    lab.clock.sleep(30)
    assert finished(lab, number) == "success"
    lab.wire.late = None
    assert any("found its task" in line for line in lab.log(number))
    assert counted(lab, "late") == 0
    assert "late" in lab.world.vms[100].snapshots


def test_a_lost_answer_of_what_does_the_same_twice_is_sent_again(settled: QueueLab) -> None:
    lab, path = settled, "/nodes/pve1/qemu/100/config"
    number = lab.add(path, "PUT", params={"onboot": "1"})
    with pytest.raises(Killed, match="PUT"):
        lab.work(before=4)
    assert finished(lab, number) == "success"
    assert lab.job(number).attempts == 1
    assert len(lab.posts("/qemu/100/config")) == 1


def test_what_makes_no_task_and_was_lost_is_told(settled: QueueLab) -> None:
    lab, path = settled, "/nodes/pve1/qemu/100/agent/fstrim"
    number = lab.add(path)
    with pytest.raises(Killed, match="fstrim"):
        lab.work(before=4)
    assert finished(lab, number) == "error"
    assert "nothing tells" in lab.job(number).error
    assert lab.posts("fstrim") == []
