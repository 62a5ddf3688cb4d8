"""A node's workers: bursts queue, what is forwarded may time out, and the work goes on."""

from collections.abc import Iterator

import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.errors import lock_timeout
from reconciler.sim.http.daemon import Daemon
from reconciler.sim.http.door import Door
from reconciler.sim.http.pace import PACES, cost
from reconciler.sim.routes import ROUTES, Request, route
from reconciler.sim.world import World
from tests.sim.http.wire import TOKEN, Client, Timers, connect, root

SLOW = 40.0


@route("PUT", "/nodes/{node}/held", permission=None, protected=True)
def hold(world: World, request: Request) -> object:
    """Waits for a lock which is free from 40 s after the start on; no waiter gives up before."""
    if world.now < world.booted + SLOW:
        raise lock_timeout(100, world.booted + SLOW)
    world.options["held"] = world.options.get("held", 0) + 1
    return None


@pytest.fixture(autouse=True, scope="module")
def forget_test_routes() -> Iterator[None]:
    yield
    assert ROUTES.root.children["nodes"].wild is not None
    ROUTES.root.children["nodes"].wild.children.pop("held", None)


@pytest.fixture
def patient(demo: Simulator) -> Door:
    """A door behind which locks are waited for as long as it takes."""
    door = Door(demo, "real")
    demo.world.lock_wait = 1000.0
    return door


def put(client: Client, world: World, path: str) -> None:
    client.send(f"PUT /api2/json{path} HTTP/1.1\r\n{root(world)}Content-Length: 0\r\n\r\n")


def get(client: Client, path: str) -> None:
    client.send(f"GET /api2/json{path} HTTP/1.1\r\n{TOKEN}\r\n")


def line(client: Client) -> str:
    return client.take()[0].removeprefix("HTTP/1.1 ") if client.got else ""


def test_three_are_served_at_once_and_the_others_in_line(demo: Simulator, timers: Timers) -> None:
    door = Door(demo, "real")
    clients = [connect(door, timers) for _ in range(7)]
    for one in clients:
        get(one, "/nodes/pve1/qemu")
    answered = []
    for _ in range(3):
        timers.pass_by(0.0071)
        answered.append(sum(bool(one.got) for one in clients))
    assert answered == [3, 6, 7]


def test_the_nodes_and_their_daemons_have_workers_of_their_own(
    patient: Door, demo: Simulator, timers: Timers
) -> None:
    for _ in range(3):
        put(connect(patient, timers), demo.world, "/nodes/pve1/held")
    for path in ("/version", "/nodes/pve1/qemu/9000/config", "/nodes/pve2/qemu"):
        other = connect(patient, timers)
        get(other, path)
        other.work(0.01)
        assert line(other) == "200 OK"
    waiting = connect(patient, timers)
    get(waiting, "/nodes/pve1/qemu")
    waiting.work(SLOW - 1)
    assert line(waiting) == "596 Connection timed out"


def test_a_forwarded_call_times_out_and_is_done_all_the_same(
    patient: Door, demo: Simulator, timers: Timers
) -> None:
    client = connect(patient, timers)
    put(client, demo.world, "/nodes/pve2/held")
    client.work(29.9)
    assert client.got == b""
    client.work(0.2)
    status, headers, body = client.take()
    assert status == "HTTP/1.1 596 Connection timed out" and body == b""
    assert headers["Connection"] == "close" and client.closed
    client.work(SLOW)
    assert demo.world.options["held"] == 1


def test_what_waits_in_line_too_long_is_done_later(
    patient: Door, demo: Simulator, timers: Timers
) -> None:
    clients = [connect(patient, timers) for _ in range(4)]
    for one in clients:
        put(one, demo.world, "/nodes/pve1/held")
    timers.pass_by(31)
    assert [line(one) for one in clients] == ["596 Connection timed out"] * 4
    timers.pass_by(SLOW)
    assert demo.world.options["held"] == 4


def test_a_dead_node_is_a_595_after_a_while(demo: Simulator, timers: Timers) -> None:
    demo.world.nodes["pve2"].online = False
    client = connect(Door(demo, "real"), timers)
    get(client, "/nodes/pve2/qemu")
    client.work(2.9)
    assert client.got == b""
    client.work(0.2)
    status, _, body = client.take()
    assert status == "HTTP/1.1 595 No route to host" and body == b""


@pytest.mark.parametrize(("path", "status"), [("/nope", "501"), ("/nodes/nope/qemu", "500")])
def test_what_no_node_answers_needs_no_worker(
    demo: Simulator, timers: Timers, path: str, status: str
) -> None:
    client = connect(Door(demo, "real"), timers)
    get(client, path)
    assert line(client).startswith(status)


def test_each_node_calls_itself_local(demo: Simulator, timers: Timers) -> None:
    for via in demo.world.nodes:
        rows = connect(Door(demo, "off"), timers, via).ask("/api2/json/cluster/status")[1]["data"]
        assert [row["name"] for row in rows if row.get("local")] == [via]


def test_waits_are_as_proxmox_has_them_or_shorter() -> None:
    real, fast, off = PACES["real"], PACES["fast"], PACES["off"]
    assert (real.unauthorized, real.proxy, real.lock, real.idle) == (3.0, 30.0, 10.0, 5.0)
    assert (real.requests, real.workers, real.closing) == (100, 3, True)
    assert fast.lock < fast.proxy < real.proxy and fast.workers == 3 and fast.requests == 100
    assert not off.closing and off.workers is None
    routes = {f"{one.method} {one.path}": one for one in ROUTES}
    config = "/nodes/{node}/qemu/{vmid}/config"
    assert cost(routes[f"GET {config}"]) < cost(routes["GET /nodes/{node}/qemu"])
    assert cost(routes[f"GET {config}"]) < cost(routes[f"PUT {config}"])


def test_a_worker_that_is_free_again_takes_the_next_in_line() -> None:
    daemon, begun = Daemon(1), list[int]()
    for number in range(3):
        daemon.take(lambda number=number: begun.append(number))  # type: ignore[misc]
    assert begun == [0]
    daemon.leave()
    daemon.leave()
    assert begun == [0, 1, 2] and daemon.free == 0
    daemon.leave()
    assert daemon.free == 1
