"""One-off calls on the simulated cluster: sent, followed, tried again, told."""

from itertools import pairwise
from pathlib import Path

import pytest

from reconciler.sim.faults import Fault
from tests.reconciler.queue.jobs import QueueLab, queue_lab

VM = "/nodes/pve1/qemu/100"
REBOOT, STOP, START = (f"{VM}/status/{word}" for word in ("reboot", "stop", "start"))
SNAPSHOT = f"{VM}/snapshot"


@pytest.fixture
def lab(tmp_path: Path) -> QueueLab:
    return queue_lab(tmp_path)


def test_q_11_a_call_is_sent_once_and_followed_to_its_end(lab: QueueLab) -> None:
    """Q-01, Q-11"""
    number = lab.add(SNAPSHOT, params={"snapname": "before"})
    result = lab.work()
    assert (result.status, result.processed, result.message) == (
        "success",
        1,
        "1 job done, 0 given up, 0 left",
    )
    job = lab.job(number)
    assert (job.status, job.attempts, job.key, job.vmid, job.by) == (
        "success",
        0,
        "vm-0",
        100,
        "ann",
    )
    assert job.result == "OK"
    assert job.upid is not None and ":qmsnapshot:100:" in job.upid
    assert [one.path for one in lab.wire.writes()] == [SNAPSHOT]
    assert "before" in lab.world.vms[100].snapshots
    said = lab.log(number)
    assert said[0] == "asked for by ann"
    assert [line.split()[0] for line in said] == ["asked", "taken", "sends", "began", "done:"]


def test_q_04_a_failure_is_tried_again_later_and_then_given_up(lab: QueueLab) -> None:
    """Q-04, Q-06: exhausted it is an error, told once."""
    fault = Fault("error-before", method="POST", path=SNAPSHOT, times=None, status=500, text="no")
    lab.simulator.faults.add(fault)
    number = lab.add(SNAPSHOT, params={"snapname": "xx"})
    tries = []
    for minute in range(40):
        before = len(lab.wire.writes())
        lab.work()
        if len(lab.wire.writes()) > before:
            tries.append(minute)
        lab.clock.sleep(60)
    assert len(tries) == 5
    gaps = [b - a for a, b in pairwise(tries)]
    assert gaps == sorted(gaps) and 12 <= gaps[-1] <= 19
    job = lab.job(number)
    assert (job.status, job.attempts) == ("error", 5)
    assert "no" in job.error
    [event] = lab.events()
    assert event.key == "vm-0"
    assert event.detail["id"] == number


def test_q_09_a_node_that_is_away_delays_only_its_own_jobs(tmp_path: Path) -> None:
    lab = queue_lab(tmp_path)
    fault = Fault(
        "error-before", path="/nodes/pve2/apt/update", times=None, status=595, text="gone"
    )
    lab.simulator.faults.add(fault)
    away = lab.add("/nodes/pve2/apt/update")
    second = lab.add("/nodes/pve2/apt/update")
    here = lab.add(SNAPSHOT, params={"snapname": "xx"})
    lab.work()
    assert lab.job(here).status == "success"
    assert (lab.job(away).status, lab.job(away).attempts) == ("queued", 0)
    assert "gone" in lab.job(away).error
    assert lab.job(second).error == ""
    lab.simulator.faults.clear()
