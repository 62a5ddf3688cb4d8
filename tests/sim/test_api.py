"""The order of checks: ticket, route, permission, node, parameters, handler."""

from collections.abc import Callable, Iterator

import pytest

from reconciler.sim.accounts.access import Identity
from reconciler.sim.api import Answer, Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.cluster.tasks import Step
from reconciler.sim.errors import lock_timeout
from reconciler.sim.routes import ROUTES, Request, route
from reconciler.sim.world import World

Get = Callable[..., object]
ROOT = Identity("root@pam")


@route("PUT", "/test/lock", permission=None)
def take_lock(world: World, request: Request) -> object:
    """Busy for the first 4 s."""
    free = world.booted + 4
    if world.now < free:
        raise lock_timeout(100, free)
    return "got it"


@route("PUT", "/test/stuck", permission=None)
def never(world: World, request: Request) -> object:
    raise lock_timeout(100, world.now)


@pytest.fixture(autouse=True, scope="module")
def forget_test_routes() -> Iterator[None]:
    yield
    ROUTES.root.children.pop("test", None)


def said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.reason


def test_nobody_gets_401_even_for_unknown_paths(demo: Simulator) -> None:
    for path in ("/version", "/nope"):
        answer = demo.call("GET", path, identity=None)
        assert said(answer) == (401, "No ticket")
        assert answer.message is None
    assert demo.call("GET", "/access/domains", identity=None).ok


def test_unknown_routes_come_before_rights(demo: Simulator) -> None:
    answer = demo.call("PUT", "/version", identity="alice@pve")
    assert said(answer) == (501, "Method 'PUT /version' not implemented")


def test_rights_come_before_node_and_parameters(demo: Simulator) -> None:
    answer = demo.call("GET", "/nodes/nope/status", {"x": "1"}, identity="alice@pve")
    assert said(answer) == (403, "Permission check failed (/nodes/nope, Sys.Audit)")


def test_the_node_comes_before_parameters(demo: Simulator) -> None:
    answer = demo.call("GET", "/nodes/nope/status", {"x": "1"})
    assert answer.status == 500
    assert answer.reason.startswith("hostname lookup 'nope' failed - failed to get address info")
    demo.world.nodes["pve2"].online = False
    assert said(demo.call("GET", "/nodes/pve2/status")) == (595, "No route to host")
    assert demo.call("GET", "/nodes/pve1/status").ok


def test_unknown_parameters_are_refused(demo: Simulator) -> None:
    answer = demo.call("GET", "/version", {"foo": "1"})
    assert said(answer) == (400, "Parameter verification failed.")
    assert answer.errors is not None and "foo" in answer.errors


def test_a_parameter_must_not_contradict_the_path(demo: Simulator) -> None:
    answer = demo.call("GET", "/nodes/pve1/status", {"node": "pve2"})
    assert answer.errors == {
        "node": "duplicate parameter (already defined in URI) with conflicting values!"
    }
    assert demo.call("GET", "/nodes/pve1/status", {"node": "pve1"}).ok


def test_calls_without_permission_entry_are_roots_alone(demo: Simulator) -> None:
    answer = demo.call("PUT", "/test/lock", identity="alice@pve")
    assert said(answer) == (403, "Permission check failed (user != root@pam)")
    token = demo.call("POST", "/access/ticket", {}, identity="reconcile@pve!fleet")
    assert token.status == 400


def test_a_call_waits_for_a_lock_and_the_world_goes_on(demo: Simulator) -> None:
    answer = demo.call("PUT", "/test/lock")
    assert (answer.status, answer.data) == (200, "got it")
    assert demo.world.now == SOME_DAY + 4


def test_a_call_gives_up_on_a_lock_after_ten_seconds(demo: Simulator) -> None:
    answer = demo.call("PUT", "/test/stuck")
    text = "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"
    assert said(answer) == (500, text)
    assert demo.world.now == SOME_DAY + 10


def test_calls_are_counted_by_route(demo: Simulator, get: Get) -> None:
    get("/nodes/pve1/version")
    get("/nodes/pve2/version")
    demo.call("GET", "/nope")
    assert demo.tally == {"GET /nodes/{node}/version": 2}


def test_encoded_paths_are_decoded(demo: Simulator) -> None:
    task = demo.world.tasks.start("pve1", "qmtest", 1, ROOT, [Step("task.fail", {"text": "x"})])
    quoted = task.replace(":", "%3A").replace("@", "%40")
    assert demo.call("GET", f"/nodes/pve1/tasks/{quoted}/status/").data["exitstatus"] == "x"


def test_the_clock_can_be_ahead(demo: Simulator, clock: ManualClock, get: Get) -> None:
    demo.offset = 3600.0
    clock.pass_by(5)
    get("/version")
    assert demo.world.now == SOME_DAY + 3605
