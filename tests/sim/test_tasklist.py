"""Lists of tasks, their status and log, and who sees them."""

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.sim.accounts.access import Grant, Identity, Token, User
from reconciler.sim.api import Simulator
from reconciler.sim.clock import ManualClock
from reconciler.sim.cluster.tasks import Step

Get = Callable[..., Any]
ROOT = Identity("root@pam")
FAIL = Step("task.fail", {"text": "bad"})
UNKNOWN = "UPID:pve1:00003739:0003159B:6AFFEF33:qmclone:110:root@pam:"


def begin(
    demo: Simulator, *steps: Step, kind: str = "qmtest", vmid: int = 100, who: Identity = ROOT
) -> str:
    return demo.world.tasks.start("pve1", kind, vmid, who, list(steps))


def slow(seconds: float = 5.0) -> Step:
    return Step("task.fail", {"text": "late"}, seconds)


def kinds(rows: Any) -> list[str]:
    return [row["type"] for row in rows]


def test_status_of_running_and_stopped_tasks(demo: Simulator, clock: ManualClock, get: Get) -> None:
    upid = begin(demo, slow())
    row = get(f"/nodes/pve1/tasks/{upid}/status")
    assert row["status"] == "running" and "exitstatus" not in row and row["id"] == "100"
    clock.pass_by(5)
    row = get(f"/nodes/pve1/tasks/{upid}/status")
    assert (row["status"], row["exitstatus"]) == ("stopped", "late")
    assert "endtime" not in row


def test_a_token_is_named_apart_from_its_user(demo: Simulator, get: Get) -> None:
    upid = begin(demo, who=Identity("reconcile@pve", "fleet"))
    row = get(f"/nodes/pve1/tasks/{upid}/status")
    assert (row["user"], row["tokenid"]) == ("reconcile@pve", "fleet")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/nodes/pve1/tasks/UPID:garbage/status", "unable to parse worker upid"),
        (f"/nodes/pve1/tasks/{UNKNOWN}/status", "no such task"),
    ],
)
def test_wrong_upids(demo: Simulator, path: str, error: str) -> None:
    assert demo.call("GET", path).errors == {"upid": error}


def test_a_task_is_known_on_its_own_node_only(demo: Simulator) -> None:
    upid = begin(demo)
    answer = demo.call("GET", f"/nodes/pve2/tasks/{upid}/status")
    assert answer.errors == {"upid": "no such task"}


def test_logs_come_in_pages(demo: Simulator) -> None:
    upid = begin(demo, slow())
    task = demo.world.tasks.all[upid]
    for number in range(60):
        task.say(str(number))
    path = f"/nodes/pve1/tasks/{upid}/log"
    answer = demo.call("GET", path)
    assert len(answer.data) == 50 and answer.extras == {"total": 60}
    assert demo.call("GET", path, {"start": "1", "limit": "1"}).data == [{"n": 2, "t": "1"}]
    assert len(demo.call("GET", path, {"limit": "0"}).data) == 60


def test_the_log_of_an_unknown_task_is_one_line(demo: Simulator) -> None:
    answer = demo.call("GET", f"/nodes/pve1/tasks/{UNKNOWN}/log")
    assert answer.data == {"n": 1, "t": "unable to open file - No such file or directory"}
    answer = demo.call("GET", f"/nodes/pve1/tasks/{UNKNOWN}/log", identity="alice@pve")
    assert answer.status == 403


def test_lists_by_source(demo: Simulator, get: Get) -> None:
    begin(demo, kind="done")
    begin(demo, slow(), kind="busy")
    path = "/nodes/pve1/tasks"
    assert kinds(get(path)) == ["done"]
    [row] = get(path, source="active")
    assert (row["type"], row["status"], row["saved"]) == ("busy", "RUNNING", "0")
    assert kinds(get(path, source="all")) == ["busy", "done"]


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"vmid": "101"}, ["b"]),
        ({"typefilter": "a"}, ["a"]),
        ({"errors": "1"}, ["b"]),
        ({"statusfilter": "error,unknown"}, ["b"]),
        ({"statusfilter": "ok"}, ["a"]),
        ({"statusfilter": "warning"}, []),
        ({"userfilter": "ROOT"}, ["b", "a"]),
        ({"userfilter": "nobody"}, []),
        ({"since": "4000000000"}, []),
        ({"until": "1"}, []),
        ({"start": "1", "limit": "1"}, ["a"]),
        ({"limit": "0"}, ["b", "a"]),
    ],
)
def test_filters(
    demo: Simulator, clock: ManualClock, filters: dict[str, str], wanted: list[str]
) -> None:
    begin(demo, kind="a")
    clock.pass_by(1)
    demo.world.advance(clock.now)
    begin(demo, FAIL, kind="b", vmid=101)
    answer = demo.call("GET", "/nodes/pve1/tasks", filters)
    assert kinds(answer.data) == wanted
    assert ("total" in answer.extras) == bool(wanted)


def test_others_see_only_their_own_tasks(demo: Simulator) -> None:
    world = demo.world
    world.access.users["alice@pve"].tokens["t1"] = Token("s")
    mine = begin(demo, kind="mine", who=Identity("alice@pve"))
    begin(demo, kind="tokens", who=Identity("alice@pve", "t1"))
    other = begin(demo, kind="other")
    for path in ("/nodes/pve1/tasks", "/cluster/tasks"):
        rows = demo.call("GET", path, identity="alice@pve").data
        assert sorted(kinds(rows)) == ["mine", "tokens"]
        rows = demo.call("GET", path, identity="alice@pve!t1").data
        assert kinds(rows) == ["tokens"]
    assert demo.call("GET", f"/nodes/pve1/tasks/{mine}/status", identity="alice@pve").ok
    answer = demo.call("GET", f"/nodes/pve1/tasks/{other}/status", identity="alice@pve")
    assert answer.reason == "Permission check failed (/nodes/pve1, Sys.Audit)"


def test_stopping_a_task_of_others_needs_modify(demo: Simulator) -> None:
    upid = begin(demo, slow())
    path = f"/nodes/pve1/tasks/{upid}"
    answer = demo.call("DELETE", path, identity="alice@pve")
    assert answer.reason == "Permission check failed (/nodes/pve1, Sys.Modify)"
    assert demo.call("DELETE", path, identity="reconcile@pve!fleet").ok
    assert demo.world.tasks.all[upid].status == "received interrupt"
    assert demo.call("GET", path).data == [{"name": "log"}, {"name": "status"}]


def test_a_task_that_just_ended_may_look_running(
    demo: Simulator, clock: ManualClock, get: Get
) -> None:
    begin(demo, slow(2.0))
    clock.pass_by(3)
    [row] = get("/cluster/tasks")
    assert "endtime" not in row and row["pid"]
    clock.pass_by(7)
    [row] = get("/cluster/tasks")
    assert row["status"] == "late" and row["saved"] == "1" and "pid" not in row


def test_a_new_task_refreshes_the_nodes_list(demo: Simulator, clock: ManualClock, get: Get) -> None:
    begin(demo, slow(2.0), kind="first")
    clock.pass_by(3)
    demo.world.advance(clock.now)
    begin(demo, slow(), kind="second")
    assert {row["type"]: row.get("status") for row in get("/cluster/tasks")} == {
        "first": "late",
        "second": None,
    }


def test_the_cluster_list_is_short(demo: Simulator, clock: ManualClock, get: Get) -> None:
    for _ in range(40):
        begin(demo)
    begin(demo, slow(), kind="busy")
    rows = get("/cluster/tasks")
    assert len(rows) == 25
    assert kinds(rows).count("busy") == 1


def test_an_auditor_sees_all(demo: Simulator) -> None:
    demo.world.access.users["bob@pve"] = User()
    demo.world.access.grants.append(Grant("/", "user", "bob@pve", "PVEAuditor"))
    begin(demo)
    assert len(demo.call("GET", "/cluster/tasks", identity="bob@pve").data) == 1
