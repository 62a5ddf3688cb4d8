"""Tasks: steps in order of due time, ends, locks, saving in flight."""

import json

import pytest

from reconciler.sim.accounts.access import Identity
from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY as START
from reconciler.sim.clock import ManualClock
from reconciler.sim.cluster.tasks import STEPS, UPID, Step, Task, step
from reconciler.sim.errors import Blocked, Refusal, TaskFailed
from reconciler.sim.world import World

ROOT = Identity("root@pam")


@step("test.say")
def say(world: World, task: Task, text: str) -> None:
    task.say(f"{text} at {world.now - START:g}")


@step("test.more")
def more(world: World, task: Task) -> list[Step]:
    return [Step("test.say", {"text": "inserted"}, 1.0)]


@step("test.fail")
def fail(world: World, task: Task, text: str) -> None:
    raise TaskFailed(text)


@step("test.refuse")
def refuse(world: World, task: Task) -> None:
    raise Refusal(500, "VM is locked (backup)\n")


@step("test.warn")
def warn(world: World, task: Task) -> None:
    task.warn("careful")


@step("test.wait")
def wait(world: World, task: Task, until: float) -> None:
    if world.now < until:
        raise Blocked(until, "got timeout")
    task.say(f"free at {world.now - START:g}")


def start(demo: Simulator, *steps: Step, on_fail: Step | None = None) -> Task:
    world = demo.world
    upid = world.tasks.start("pve1", "qmtest", 100, ROOT, list(steps), on_fail)
    return world.tasks.all[upid]


def test_upid_names_node_start_kind_and_user(demo: Simulator) -> None:
    task = start(demo, Step("test.say", {"text": "a"}, 1.0))
    found = UPID.match(task.upid)
    assert found is not None
    assert found["node"] == "pve1" and found["type"] == "qmtest" and found["user"] == "root@pam"
    assert int(found["starttime"], 16) == int(START)


def test_steps_without_duration_end_within_the_call(demo: Simulator) -> None:
    task = start(demo, Step("test.say", {"text": "now"}))
    assert task.lines == ["now at 0", "TASK OK"]
    assert task.status == "OK" and task.endtime == int(START)


def test_steps_run_at_their_due_times_in_order(demo: Simulator) -> None:
    slow = start(demo, Step("test.say", {"text": "slow"}, 3.0))
    fast = start(demo, Step("test.say", {"text": "a"}, 1.0), Step("test.say", {"text": "b"}, 1.5))
    demo.world.advance(START + 2)
    assert slow.running and fast.lines == ["a at 1"]
    demo.world.advance(START + 100)
    assert fast.lines == ["a at 1", "b at 2.5", "TASK OK"]
    assert slow.lines == ["slow at 3", "TASK OK"]
    assert fast.ended_at == START + 2.5


def test_speed_divides_durations_and_steps_may_add_steps(demo: Simulator) -> None:
    demo.world.speed = 10.0
    task = start(demo, Step("test.more", {}, 10.0), Step("test.say", {"text": "last"}))
    demo.world.advance(START + 5)
    assert task.lines == ["inserted at 1.1", "last at 1.1", "TASK OK"]


def test_the_clock_never_goes_back(demo: Simulator) -> None:
    demo.world.advance(START + 5)
    demo.world.advance(START + 1)
    assert demo.world.now == START + 5


def test_a_failure_tidies_up_and_is_the_exit_status(demo: Simulator) -> None:
    undo = Step("test.say", {"text": "undone"})
    task = start(demo, Step("test.fail", {"text": "no space"}), on_fail=undo)
    assert task.status == "no space" and task.failed
    assert task.lines == ["undone at 0", "TASK ERROR: no space"]


def test_tidying_up_may_fail_too(demo: Simulator) -> None:
    undo = Step("test.fail", {"text": "worse"})
    task = start(demo, Step("test.fail", {"text": "bad"}), on_fail=undo)
    assert task.lines == ["worse", "TASK ERROR: bad"]


def test_a_refusal_inside_a_task_is_its_exit_status(demo: Simulator) -> None:
    assert start(demo, Step("test.refuse")).status == "VM is locked (backup)"


def test_warnings_are_a_success(demo: Simulator) -> None:
    task = start(demo, Step("test.warn"))
    assert task.status == "WARNINGS: 1" and not task.failed
    assert task.lines == ["WARN: careful", "TASK WARNINGS: 1"]


def test_a_task_waits_ten_seconds_for_a_lock(demo: Simulator) -> None:
    soon = start(demo, Step("test.wait", {"until": START + 4}))
    never = start(demo, Step("test.wait", {"until": START + 40}))
    stale = start(demo, Step("test.wait", {"until": START + 40}))
    stale.steps[0].args["until"] = START + 40
    demo.world.advance(START + 9.9)
    assert soon.lines[1:] == ["free at 4", "TASK OK"]
    assert never.running
    demo.world.advance(START + 10)
    assert never.status == "got timeout" and never.ended_at == START + 10


def test_a_stopped_task_was_interrupted(demo: Simulator) -> None:
    task = start(demo, Step("test.say", {"text": "x"}, 5.0))
    demo.world.tasks.stop(task)
    assert task.status == "received interrupt"
    demo.world.tasks.stop(task)
    demo.world.advance(START + 10)
    assert task.lines == ["TASK ERROR: received interrupt"]


def test_tasks_in_flight_survive_a_save(demo: Simulator, clock: ManualClock) -> None:
    task = start(
        demo,
        Step("test.say", {"text": "a"}, 1.0),
        Step("test.say", {"text": "b"}, 1.0),
        on_fail=Step("test.say", {"text": "undo"}),
    )
    demo.world.advance(START + 1)
    saved = json.loads(json.dumps(demo.world.dump()))
    again = World.load(saved)
    assert again.dump() == saved
    again.advance(START + 1.5)
    assert again.tasks.all[task.upid].running
    again.advance(START + 2)
    assert again.tasks.all[task.upid].lines == ["a at 1", "b at 2", "TASK OK"]


def test_old_finished_tasks_are_forgotten(demo: Simulator) -> None:
    first = start(demo, Step("test.say", {"text": "x"}))
    for _ in range(3800):
        start(demo)
    assert first.upid not in demo.world.tasks.all
    assert len(demo.world.tasks.all) <= 3800


def test_a_step_name_is_taken_once() -> None:
    assert "test.say" in STEPS
    with pytest.raises(ValueError, match="declared twice"):
        step("test.say")(say)


def test_starts_and_ends_are_in_the_cluster_log(demo: Simulator) -> None:
    task = start(demo, Step("test.fail", {"text": "bad"}))
    assert [entry.msg for entry in demo.world.logbook[-2:]] == [
        f"starting task {task.upid}",
        f"end task {task.upid} bad",
    ]


def test_work_of_a_node_by_itself_is_no_task(demo: Simulator) -> None:
    demo.world.tasks.later("pve1", [Step("test.fail", {"text": "unseen"}, 2.0)])
    assert demo.call("GET", "/cluster/tasks").data == []
    demo.world.advance(START + 2)
    assert demo.world.tasks.all == {}


def test_a_killed_worker_has_an_unknown_end(demo: Simulator) -> None:
    start(demo, Step("test.fail", {"text": "unexpected status"}))
    params = {"statusfilter": "unknown"}
    assert len(demo.call("GET", "/nodes/pve1/tasks", params).data) == 1
    assert demo.call("GET", "/nodes/pve1/tasks", {"statusfilter": "warning"}).data == []


def test_warned_tasks_are_found_by_their_class(demo: Simulator) -> None:
    start(demo, Step("test.warn"))
    params = {"statusfilter": "warning"}
    assert len(demo.call("GET", "/nodes/pve1/tasks", params).data) == 1
