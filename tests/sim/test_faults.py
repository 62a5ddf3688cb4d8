"""Fault hooks: which call or task they meet, and what is left of its effect."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from reconciler.sim.accounts.access import Identity, Pool
from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import Dropped
from reconciler.sim.faults import Fault
from reconciler.sim.http import control
from reconciler.sim.routes import ROUTES, Request, route
from reconciler.sim.world import World

Get = Callable[..., Any]
ROOT = Identity("root@pam")


@route("POST", "/faulty/{vmid}", permission=None)
def make_pool(world: World, request: Request) -> object:
    world.pools[str(request.vmid)] = Pool()
    return "made"


@step("faulty.undo")
def undo(world: World, task: Task) -> None:
    task.say("undone")


@pytest.fixture(autouse=True, scope="module")
def forget_test_routes() -> Any:
    yield
    ROUTES.root.children.pop("faulty", None)


def test_an_error_before_leaves_no_effect(demo: Simulator) -> None:
    demo.faults.add(Fault("error-before", method="POST", path="/faulty/*", text="boom"))
    answer = demo.call("POST", "/faulty/100")
    assert (answer.status, answer.reason, answer.message) == (500, "boom", "boom\n")
    assert demo.world.pools == {}
    assert demo.call("POST", "/faulty/100").data == "made"


def test_an_error_after_leaves_the_effect(demo: Simulator) -> None:
    demo.faults.add(Fault("error-after", path="/faulty/*", status=596, text="Connection timed out"))
    assert demo.call("POST", "/faulty/100").status == 596
    assert list(demo.world.pools) == ["100"]


@pytest.mark.parametrize(("kind", "done"), [("drop-before", False), ("drop-after", True)])
def test_a_dropped_connection(demo: Simulator, kind: Any, done: bool) -> None:
    demo.faults.add(Fault(kind, path="/faulty/*"))
    with pytest.raises(Dropped) as dropped:
        demo.call("POST", "/faulty/100")
    assert dropped.value.done is done
    assert ("100" in demo.world.pools) is done


def test_latency_delays_every_answer(demo: Simulator) -> None:
    demo.faults.add(Fault("latency", path="/version", seconds=0.5, times=None))
    demo.faults.add(Fault("latency", path="/nope", seconds=0.25))
    assert demo.call("GET", "/version").delay == 0.5
    assert demo.call("GET", "/version").delay == 0.5
    assert demo.call("GET", "/nope").delay == 0.25


def test_faults_match_by_vm_and_count(demo: Simulator) -> None:
    demo.faults.add(Fault("error-before", path="/faulty/*", vmid=100, nth=2, times=2))
    demo.faults.add(Fault("error-before", method="GET", path="/faulty/*", times=None))
    seen = [demo.call("POST", "/faulty/100").status for _ in range(4)]
    assert seen == [200, 500, 500, 200]
    assert demo.call("POST", "/faulty/1000").status == 200
    assert demo.faults.set[0].spent and not demo.faults.set[1].spent


def begin(demo: Simulator, kind: str = "qmclone", vmid: int = 9000) -> Task:
    steps = [Step("faulty.undo", {}, 3.0)]
    upid = demo.world.tasks.start("pve1", kind, vmid, ROOT, steps, Step("faulty.undo"))
    return demo.world.tasks.all[upid]


def test_a_failing_task_fails_when_it_would_have_ended(demo: Simulator) -> None:
    demo.faults.add(Fault("task-fail", task="qmclone", text="no space left"))
    demo.faults.add(Fault("task-fail", task="qmstart", vmid=1))
    demo.faults.add(Fault("task-fail", task="qmstart", nth=2))
    task, other = begin(demo), begin(demo, "qmstart")
    assert task.running
    demo.world.advance(SOME_DAY + 3)
    assert task.status == "no space left"
    assert task.lines == ["undone", "TASK ERROR: no space left"]
    assert other.status == "OK"


def test_a_killed_worker_tidies_nothing_up(demo: Simulator) -> None:
    demo.faults.add(Fault("task-fail", tidy=False, text="unexpected status"))
    task = begin(demo)
    demo.world.advance(SOME_DAY + 3)
    assert task.lines == []


def test_a_task_without_duration_fails_after_its_work(demo: Simulator) -> None:
    demo.faults.add(Fault("task-fail", text="late"))
    upid = demo.world.tasks.start("pve1", "x", 1, ROOT, [Step("faulty.undo")])
    assert demo.world.tasks.all[upid].lines == ["undone", "TASK ERROR: late"]


def test_a_hanging_task_can_be_stopped(demo: Simulator) -> None:
    demo.faults.add(Fault("task-hang", vmid=9000))
    task = begin(demo)
    demo.world.advance(SOME_DAY + 1000)
    assert task.running
    again = World.load(demo.world.dump())
    again.advance(SOME_DAY + 2000)
    assert again.tasks.all[task.upid].running
    demo.world.tasks.stop(task)
    assert task.status == "received interrupt"


def test_a_task_may_end_with_a_warning(demo: Simulator) -> None:
    demo.faults.add(Fault("task-warn", task="qm*", text="something odd"))
    task = begin(demo)
    demo.world.advance(SOME_DAY + 3)
    assert task.status == "WARNINGS: 1" and task.warned
    assert task.lines == ["WARN: something odd", "undone", "TASK WARNINGS: 1"]


def test_a_lock_stays_until_the_fault_goes(demo: Simulator) -> None:
    fault = demo.faults.add(Fault("lock", vmid=9000, text="backup"))
    assert demo.world.vms[9000].lock == "backup"
    assert demo.faults.remove(fault.id)
    assert demo.world.vms[9000].lock is None
    assert not demo.faults.remove(fault.id)


def test_a_lock_that_changed_meanwhile_is_left_alone(demo: Simulator) -> None:
    demo.faults.add(Fault("lock", vmid=9000, text="backup"))
    first = demo.faults.add(Fault("lock", vmid=9001, text="backup"))
    demo.world.vms[9001].config["lock"] = "migrate"
    assert demo.faults.remove(first.id)
    assert demo.world.vms[9001].lock == "migrate"
    del demo.world.vms[9000]
    demo.faults.clear()
    assert demo.faults.set == []


def test_states_of_the_world_come_and_go(demo: Simulator, get: Get) -> None:
    demo.faults.add(Fault("node-down", node="pve2"))
    demo.faults.add(Fault("storage-full", storage="shared"))
    demo.faults.add(Fault("stubborn-guest", vmid=9000))
    assert demo.call("GET", "/nodes/pve2/version").status == 595
    assert get("/nodes/pve1/storage/shared/status")["avail"] == 0
    assert demo.world.vms[9000].stubborn
    demo.faults.clear()
    assert get("/nodes/pve2/version")["release"] == "8.4"
    assert get("/nodes/pve1/storage/shared/status")["avail"] > 0
    assert not demo.world.vms[9000].stubborn


def test_without_quorum_reads_work_and_writes_do_not(demo: Simulator, get: Get) -> None:
    demo.faults.add(Fault("quorum-lost"))
    assert get("/cluster/status")[0]["quorate"] == 0
    assert demo.call("POST", "/faulty/100").reason == "cluster not ready - no quorum?"
    login = {"username": "root@pam", "password": "demo"}
    assert demo.call("POST", "/access/ticket", login, identity=None).ok


@pytest.mark.parametrize(
    "fault",
    [
        Fault("lock", vmid=1),
        Fault("node-down", node="nope"),
        Fault("storage-full", storage="nope"),
    ],
)
def test_a_fault_must_name_what_is_there(demo: Simulator, fault: Fault) -> None:
    with pytest.raises(ValueError, match="there is no"):
        demo.faults.add(fault)
    assert demo.faults.set == []


def ask(demo: Simulator, method: str, path: str, /, **body: object) -> tuple[int, Any]:
    return control.answer(demo, method, path, msgspec.json.encode(body) if body else b"")


def test_faults_are_set_listed_and_removed_over_http(demo: Simulator) -> None:
    status, fault = ask(demo, "POST", "/sim/faults", kind="error-before", path="/version")
    assert status == 200 and fault["id"] == 1 and fault["times"] == 1
    assert ask(demo, "GET", "/sim/faults") == (200, [fault])
    assert ask(demo, "DELETE", "/sim/faults/1") == (200, [])
    assert ask(demo, "DELETE", "/sim/faults/1")[0] == 404
    ask(demo, "POST", "/sim/faults", kind="latency", seconds=1)
    assert ask(demo, "DELETE", "/sim/faults") == (200, [])
    assert demo.faults.set == []


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/sim/faults", {"kind": "nope"}, "kind: expected one of"),
        ("/sim/faults", {"kind": "latency", "bogus": 1}, "unknown fields: bogus"),
        ("/sim/faults", {"kind": "node-down", "node": "x"}, "there is no node 'x'"),
        ("/sim/clock", {"x": 1}, "offset: expected seconds"),
    ],
)
def test_wrong_control_input_is_named(
    demo: Simulator, path: str, body: dict[str, object], words: str
) -> None:
    status, found = ask(demo, "POST", path, **body)
    assert status == 400 and found["error"].startswith(words)


def test_the_clock_the_world_and_the_calls_over_http(
    demo: Simulator, clock: ManualClock, get: Get
) -> None:
    assert ask(demo, "POST", "/sim/clock", offset=60)[1]["now"] == SOME_DAY + 60
    clock.pass_by(1)
    assert ask(demo, "GET", "/sim/world")[1]["now"] == SOME_DAY + 61
    get("/version")
    assert ask(demo, "GET", "/sim/calls") == (200, {"GET /version": 1})
    assert ask(demo, "DELETE", "/sim/calls") == (200, {})
    assert demo.tally == {}
    assert ask(demo, "GET", "/sim/nope")[0] == 404
