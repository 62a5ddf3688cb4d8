"""Which job goes first, how many at once, and what a run finds when it comes a second time."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest

from reconciler.queue.listing import Chosen, listed
from reconciler.queue.process import process_queue
from reconciler.queue.watch import steps_of
from reconciler.sim.faults import Fault
from state.memory import Hold, Intent
from tests.reconciler.queue.jobs import QueueLab, queue_lab

VMS = [f"/nodes/pve1/qemu/{vmid}" for vmid in (100, 101, 102)]


@pytest.fixture
def lab(tmp_path: Path) -> QueueLab:
    return queue_lab(tmp_path, vms=3)


@pytest.fixture
def one(tmp_path: Path) -> QueueLab:
    return queue_lab(tmp_path)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> QueueLab:
    return queue_lab(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def shared(settled: QueueLab) -> Iterator[QueueLab]:
    """A lab of several tests, with nothing in its queue and no fault."""
    settled.wire.calls.clear()
    yield settled
    settled.simulator.faults.clear()
    with settled.live() as store:
        for job in store.queue.all("queued"):
            store.queue.cancel(job, settled.at(), "ann")


NUMBERS = count()


def fresh() -> dict[str, str]:
    """The parameters of a snapshot that there is not yet."""
    return {"snapname": f"snap{next(NUMBERS)}"}


def set_limits(lab: QueueLab, limits: str) -> None:
    text = (lab.fleet / "fleet.yaml").read_text()
    lab.write({"fleet.yaml": text.replace("limits: {workers: 1}", f"limits: {limits}")})


def test_q_02_so_many_at_once_on_one_node(lab: QueueLab) -> None:
    """Q-02: per-server concurrency; what is over waits for a place."""
    lab.simulator.faults.add(Fault("task-hang", task="vzdump", times=None))
    numbers = [
        lab.add("/nodes/pve1/vzdump", params={"vmid": str(vmid)}) for vmid in (100, 101, 102)
    ]
    lab.work()
    assert [lab.job(one).status for one in numbers] == ["running", "running", "queued"]
    assert len(lab.posts("/vzdump")) == 2
    before = lab.clock()
    lab.work()
    assert lab.clock() - before < 1.0, "tasks of an earlier run are not waited for"


def test_q_02_a_batch_is_all_that_one_run_sends(lab: QueueLab) -> None:
    """Q-02"""
    set_limits(lab, "{queue_batch: 2}")
    for vm in VMS:
        lab.add(f"{vm}/snapshot", params=fresh())
    lab.work()
    assert len(lab.posts("/snapshot")) == 2
    lab.work()
    assert len(lab.posts("/snapshot")) == 3


def test_jobs_for_one_vm_go_one_after_the_other(one: QueueLab) -> None:
    lab = one
    for name in ("one", "two"):
        lab.add(f"{VMS[0]}/snapshot", params={"snapname": name})
    lab.simulator.faults.add(Fault("task-hang", task="qmsnapshot", times=1))
    lab.work()
    assert [lab.job(number).status for number in (1, 2)] == ["running", "queued"]
    assert len(lab.posts("/snapshot")) == 1


def test_what_waits_takes_nothing_of_a_batch(lab: QueueLab) -> None:
    set_limits(lab, "{queue_batch: 1}")
    with lab.live() as store:
        store.holds.put(Hold("vm-0", "mine", lab.at()))
    held = lab.add(f"{VMS[0]}/snapshot", params=fresh(), priority=9)
    free = lab.add(f"{VMS[1]}/snapshot", params=fresh())
    lab.work()
    assert (lab.job(held).status, lab.job(free).status) == ("queued", "success")


def test_q_11_the_higher_priority_goes_first_then_the_older(lab: QueueLab) -> None:
    """Q-11"""
    for vm, priority in zip(VMS, (0, 5, 0), strict=True):
        lab.add(f"{vm}/snapshot", params=fresh(), priority=priority)
    lab.work()
    assert [one.path.split("/")[4] for one in lab.posts("/snapshot")] == ["101", "100", "102"]


def test_q_01_a_job_has_its_time(one: QueueLab) -> None:
    """Q-01: a run before it has nothing to do, and is left out."""
    lab = one
    at = lab.at().replace(microsecond=0)
    number = lab.add(f"{VMS[0]}/snapshot", params=fresh(), not_before=at.replace(hour=9))
    lab.work()
    assert lab.job(number).status == "queued"
    with lab.live() as store:
        assert not store.queue.has_work(lab.at(), at)
        assert store.queue.has_work(at.replace(hour=9), at)
    lab.clock.sleep(3600)
    lab.work()
    assert lab.job(number).status == "success"


def test_q_08_a_chain_that_is_run_again_comes_to_the_same_end(one: QueueLab) -> None:
    """Q-08: each job does one thing on one target; what is so already harms nothing."""
    lab = one
    chain = [
        ("config", "PUT", {"onboot": "1"}),
        ("resize", "PUT", {"disk": "scsi0", "size": "20G"}),
    ]
    worlds = []
    for _ in range(2):
        for end, method, params in chain:
            lab.add(f"{VMS[0]}/{end}", method, params=params, max_attempts=1)
        lab.work()
        config = lab.world.vms[100].config
        worlds.append((config["onboot"], config["scsi0"]))
    assert worlds[0] == worlds[1]
    assert "size=20G" in str(worlds[0][1])


def test_q_01_one_list_has_all_work_that_is_not_at_its_end(lab: QueueLab) -> None:
    """Q-01, Q-05: jobs, verbs and steps that are tried for ever."""
    lab.add(f"{VMS[0]}/snapshot", params=fresh(), priority=3)
    with lab.live() as store:
        at = lab.at()
        store.attempts.fail("vm-1", "cpu", "no room", at, at.replace(hour=10))
        store.attempts.fail("vm-1", "cpu", "no room", at, at.replace(hour=10))
        store.intents.put(Intent("vm-2", "do.suspend", at, 0, "{}"))
        found = listed(store, at, Chosen())
        assert [(one.kind, one.target, one.attempts, one.most) for one in found] == [
            ("job", "vm-0", 0, 5),
            ("verb", "vm-2", 0, None),
            ("retry", "vm-1", 2, None),
        ]
        for chosen, ids in (
            (Chosen(kinds=("retry",)), ["vm-1:cpu"]),
            (Chosen(status=("running",)), ["vm-2:suspend"]),
            (Chosen(vm="vm-0"), ["1"]),
            (Chosen(search="ROOM"), ["vm-1:cpu"]),
            (Chosen(sort="attempts"), ["vm-1:cpu", "1", "vm-2:suspend"]),
            (Chosen(sort="target"), ["1", "vm-1:cpu", "vm-2:suspend"]),
            (Chosen(sort="priority"), ["1", "vm-2:suspend", "vm-1:cpu"]),
        ):
            assert [one.id for one in listed(store, at, chosen)] == ids


def test_a_dry_run_says_what_is_due_and_sends_nothing(shared: QueueLab) -> None:
    lab = shared
    lab.add(f"{VMS[0]}/snapshot", params=fresh())
    found = lab.preview(process_queue())
    assert (found.processed, found.message) == (1, "1 job due")
    assert lab.wire.writes() == []


def test_once_leaves_the_loop_out_when_the_queue_is_empty(shared: QueueLab) -> None:
    lab = shared
    assert "process_queue" not in lab.due(process_queue()).results
    lab.add(f"{VMS[0]}/snapshot", params=fresh())
    assert lab.due(process_queue()).results["process_queue"].processed == 1


@pytest.mark.parametrize(
    ("fault", "status", "tries", "words"),
    [
        (Fault("task-fail", task="qmsnapshot", times=1, text="no space"), "queued", 1, "no space"),
        (Fault("lock", vmid=100, path="*/snapshot"), "queued", 0, ""),
        (Fault("drop-after", path="*/snapshot", method="POST"), "success", 0, ""),
        (Fault("error-before", path="*/snapshot", status=403, text="no"), "queued", 1, "no"),
    ],
)
def test_what_an_answer_means(
    shared: QueueLab, fault: Fault, status: str, tries: int, words: str
) -> None:
    lab = shared
    lab.simulator.faults.add(fault)
    number = lab.add(f"{VMS[0]}/snapshot", params=fresh())
    lab.work()
    job = lab.job(number)
    assert (job.status, job.attempts) == (status, tries), lab.log(number)
    assert words in job.error
    lab.simulator.faults.clear()
    lab.until(lambda: lab.job(number).status == "success", runs=6)


def test_a_parameter_that_is_refused_by_name_is_given_up_at_once(shared: QueueLab) -> None:
    lab = shared
    number = lab.add(f"{VMS[0]}/snapshot", params={"snapname": "x"})
    lab.work()
    assert (lab.job(number).status, lab.job(number).attempts) == ("error", 1)
    with lab.live() as store:
        job = store.queue.again(lab.job(number), lab.at(), "bob")
        assert job is not None and job.attempts == 0
        assert store.queue.cancel(lab.job(number), lab.at(), "bob") is not None
        assert store.queue.claim(job, lab.at(), "pve1") is None
    assert lab.log(number)[-1] == "cancelled by bob"


def test_a_vm_that_is_gone_counts_as_a_try(one: QueueLab) -> None:
    lab = one
    number = lab.add(f"{VMS[0]}/status/start")
    del lab.world.vms[100]
    lab.clock.sleep(60)
    lab.work()
    assert (lab.job(number).attempts, lab.job(number).error) == (1, "vm 100 is not there")


def test_a_node_that_no_cluster_has_ends_a_job(one: QueueLab) -> None:
    lab = one
    number = lab.add("/nodes/pve77/apt/update")
    lab.work()
    assert "has no node pve77" in lab.job(number).error


def test_q_09_what_cannot_be_asked_after_now_is_asked_after_later(shared: QueueLab) -> None:
    """Q-09: a task is followed by the next runs, as long as it takes."""
    lab = shared
    status = Fault("error-before", path="*/tasks/*/status", times=None, status=595, text="away")
    lab.simulator.faults.add(status)
    number = lab.add(f"{VMS[0]}/snapshot", params=fresh())
    for _ in range(2):
        lab.work()
        assert lab.job(number).status == "running"
        lab.clock.sleep(60)
    lab.simulator.faults.clear()
    lab.work()
    assert lab.job(number).status == "success"
    assert len(lab.posts("/snapshot")) == 1


def test_a_task_that_its_node_forgot_is_told(shared: QueueLab) -> None:
    lab = shared
    forgot = Fault("error-before", path="*/tasks/*/status", times=None, status=404, text="gone")
    lab.simulator.faults.add(forgot)
    number = lab.add(f"{VMS[0]}/snapshot", params=fresh())
    lab.work()
    assert lab.job(number).status == "error"
    assert "is not known any more" in lab.job(number).error


def test_a_node_away_at_the_call_itself_takes_no_try(shared: QueueLab) -> None:
    lab = shared
    lab.simulator.faults.add(
        Fault("error-before", path="*/snapshot", method="POST", status=595, text="No route")
    )
    number = lab.add(f"{VMS[0]}/snapshot", params=fresh())
    lab.work()
    assert (lab.job(number).status, lab.job(number).attempts) == ("queued", 0)
    lab.until(lambda: lab.job(number).status == "success", runs=4)


def test_a_cluster_that_the_fleet_lost_keeps_its_jobs_waiting(one: QueueLab) -> None:
    lab = one
    number = lab.add(f"{VMS[0]}/snapshot", params=fresh())
    with lab.live() as store:
        moved = replace(lab.job(number), cluster="west", key="", vmid=None)
        other = store.queue.add(moved)
    lab.work()
    assert lab.job(number).status == "success"
    assert "the fleet has no cluster west" in lab.job(other.id).error


def test_q_12_the_steps_come_as_they_are_taken(shared: QueueLab) -> None:
    """Q-12: live, until the job has ended."""
    lab = shared
    number = lab.add(f"{VMS[0]}/snapshot", params=fresh())

    class Working:
        """A clock in whose pauses the queue is worked off."""

        def now(self) -> datetime:
            return lab.at()

        def sleep(self, seconds: float) -> None:
            lab.work()

    with lab.live() as store:
        steps = [line.text for line in steps_of(store, number, Working(), follow=True)]
    assert steps[0] == "asked for by ann"
    assert steps[-1] == "done: OK"
