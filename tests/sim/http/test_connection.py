"""The HTTP layer without a socket: bytes in, bytes out, timers moved by hand."""

import gzip
import json
from collections.abc import Iterator

import pytest

from reconciler.sim.accounts.access import Identity
from reconciler.sim.accounts.tickets import new_csrf_token, new_ticket
from reconciler.sim.api import Simulator
from reconciler.sim.errors import lock_timeout
from reconciler.sim.faults import Fault
from reconciler.sim.http.door import Door, auth_value
from reconciler.sim.routes import ROUTES, Request, route
from reconciler.sim.world import World
from tests.sim.http.wire import TOKEN, WORK, Client, Timers, connect, root


@route("PUT", "/waiting", permission=None)
def wait_for_lock(world: World, request: Request) -> object:
    """Locked for the first 3 s."""
    if world.now < world.booted + 3:
        raise lock_timeout(100, world.booted + 3)
    return None


WAITING = "PUT /api2/json/waiting HTTP/1.1\r\n{}Content-Length: 0\r\n\r\n"


@pytest.fixture(autouse=True, scope="module")
def forget_test_routes() -> Iterator[None]:
    yield
    ROUTES.root.children.pop("waiting", None)


def test_an_answer_has_data_and_stays_open(client: Client) -> None:
    client.send(f"GET /api2/json/version HTTP/1.1\r\nHost: x\r\n{TOKEN}\r\n")
    line, headers, body = client.take()
    assert line == "HTTP/1.1 200 OK"
    assert headers["Connection"] == "Keep-Alive"
    assert headers["Content-Type"] == "application/json;charset=UTF-8"
    assert json.loads(body)["data"]["version"] == "8.4.1"
    assert not client.closed


def test_an_error_has_its_text_in_reason_and_body_and_closes(client: Client) -> None:
    line, body = client.ask("/api2/json/storage/nope")
    assert line == "403 Permission check failed (/storage/nope, Datastore.Allocate)"
    assert body == {
        "data": None,
        "message": "Permission check failed (/storage/nope, Datastore.Allocate)\n",
    }
    assert client.closed


def test_parameter_errors_are_listed(client: Client) -> None:
    line, body = client.ask("/api2/json/version?foo=1")
    assert line == "400 Parameter verification failed."
    assert list(body["errors"]) == ["foo"]


def test_extjs_is_always_200(client: Client, demo: Simulator, timers: Timers) -> None:
    line, body = client.ask("/api2/extjs/version")
    assert line == "200 OK" and body["success"] == 1
    line, body = client.ask("/api2/extjs/nodes/nope/version")
    assert line == "200 OK" and body["success"] == 0 and body["status"] == 500
    other = connect(Door(demo), timers)
    assert other.ask("/api2/extjs/version?x=1")[1]["status"] == "400"


def test_a_401_comes_after_three_seconds_without_a_body(client: Client, timers: Timers) -> None:
    client.send("GET /api2/json/version HTTP/1.1\r\nHost: x\r\n\r\n")
    timers.pass_by(2.9)
    assert client.got == b""
    timers.pass_by(0.1)
    line, headers, body = client.take()
    assert line == "HTTP/1.1 401 No ticket" and body == b"" and headers["Connection"] == "close"
    assert client.closed


def test_a_failed_login_has_a_body(demo: Simulator, timers: Timers) -> None:
    client = connect(Door(demo, "fast"), timers)
    line, body = client.ask(
        "/api2/json/access/ticket", "POST", "", "username=root%40pam&password=x"
    )
    assert line == "401 authentication failure"
    assert body == {"data": None, "message": "authentication failure\n"}


def test_limits_off_keeps_connections_open(demo: Simulator, timers: Timers) -> None:
    client = connect(Door(demo, "off"), timers)
    for _ in range(120):
        client.ask("/api2/json/nope")
    timers.pass_by(60)
    assert not client.closed


def test_a_connection_serves_a_hundred_requests(client: Client) -> None:
    for _ in range(99):
        client.ask("/api2/json/version")
    assert not client.closed
    client.ask("/api2/json/version")
    assert client.closed


def test_five_seconds_of_silence_end_a_connection(client: Client, timers: Timers) -> None:
    timers.pass_by(4)
    client.ask("/api2/json/version")
    timers.pass_by(5 - WORK)
    assert not client.closed
    timers.pass_by(0.1)
    assert client.closed


def test_tickets_work_by_cookie_with_csrf(client: Client, demo: Simulator) -> None:
    cookie = f"Cookie: PVEAuthCookie={new_ticket(demo.world, 'root@pam')}\r\n"
    csrf = f"CSRFPreventionToken: {new_csrf_token(demo.world, 'root@pam')}\r\n"
    assert client.ask("/api2/json/version", extra=cookie)[0] == "200 OK"
    assert client.ask("/api2/json/access/ticket", "POST", cookie + csrf)[0].startswith("400")


def test_a_write_without_csrf_is_a_401(demo: Simulator, timers: Timers) -> None:
    client = connect(Door(demo, "fast"), timers)
    cookie = f"Cookie: PVEAuthCookie={new_ticket(demo.world, 'root@pam')}\r\n"
    line, body = client.ask("/api2/json/nodes/pve1/qemu", "POST", cookie)
    assert line == "401 Permission denied - invalid csrf token" and body is None


def test_credentials_are_checked_again_after_a_change(demo: Simulator, timers: Timers) -> None:
    client = connect(Door(demo, "off"), timers)
    assert client.ask("/api2/json/version")[0] == "200 OK"
    demo.world.access.users["reconcile@pve"].tokens["fleet"].secret = "other"
    demo.world.access.changed()
    assert client.ask("/api2/json/version")[0] == "401 invalid token value!"


@pytest.mark.parametrize(
    ("method", "extra", "body", "line"),
    [
        ("HEAD", "", "", "501 method 'HEAD' not available"),
        ("PATCH", "", "", "501 method 'PATCH' not available"),
        ("GET", TOKEN, "a=1", "501 Unexpected content for method 'GET'"),
        ("DELETE", TOKEN, "a=1", "501 Unexpected content for method 'DELETE'"),
        ("POST", TOKEN, "x" * 600_000, "501 for data too large"),
        ("PUT", TOKEN + "Content-Type: text/plain\r\n", "a", "506 upload 'Content-Type"),
    ],
)
def test_refusals_of_the_http_layer(
    client: Client, method: str, extra: str, body: str, line: str
) -> None:
    assert client.ask("/api2/json/version", method, extra, body)[0].startswith(line)


def test_chunked_bodies_are_refused(client: Client) -> None:
    client.send(
        f"POST /api2/json/pools HTTP/1.1\r\nHost: x\r\n{TOKEN}Transfer-Encoding: chunked\r\n\r\n"
        "3\r\na=1\r\n0\r\n\r\n"
    )
    assert client.take()[0] == "HTTP/1.1 501 chunked transfer encoding not supported"


@pytest.mark.parametrize(
    ("method", "path", "line"),
    [
        ("GET", "/api2/html/version", "501 no such uri"),
        ("GET", "/favicon.ico", "404 no such file '/favicon.ico'"),
        ("PUT", "/elsewhere", "501 Method 'PUT /elsewhere' not implemented"),
    ],
)
def test_other_paths(client: Client, method: str, path: str, line: str) -> None:
    assert client.ask(path, method)[0] == line


def test_junk_is_a_400(client: Client) -> None:
    client.send(b"\x00\x01\x02\r\n\r\n")
    assert client.take()[0] == "HTTP/1.1 400 bad request"
    assert client.closed
    client.send(b"more")
    assert client.got == b""


def test_long_answers_are_compressed_when_accepted(client: Client) -> None:
    client.send(
        f"GET /api2/json/access/permissions HTTP/1.1\r\n{TOKEN}Accept-Encoding: gzip\r\n\r\n"
    )
    _, headers, body = client.take()
    assert headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))["data"]["/"]


def test_totals_stand_beside_the_data(client: Client, demo: Simulator) -> None:
    demo.world.tasks.start("pve1", "x", "", Identity("root@pam"), [])
    assert client.ask("/api2/json/nodes/pve1/tasks")[1]["total"] == 1


def test_requests_in_one_go_are_answered_in_order(client: Client, timers: Timers) -> None:
    one = f"GET /api2/json/nodes/pve%d/version HTTP/1.1\r\n{TOKEN}\r\n"
    client.send(one % 1 + one % 2)
    timers.pass_by(0.1)
    assert client.take()[0] == client.take()[0] == "HTTP/1.1 200 OK"


def test_a_dropped_connection_gets_no_answer(client: Client, demo: Simulator) -> None:
    demo.faults.add(Fault("drop-after", path="/version"))
    client.send(f"GET /api2/json/version HTTP/1.1\r\n{TOKEN}\r\n")
    client.work()
    assert client.aborted and client.got == b""


def test_latency_holds_the_answer_back(client: Client, demo: Simulator, timers: Timers) -> None:
    demo.faults.add(Fault("latency", path="/version", seconds=0.5))
    client.send(f"GET /api2/json/version HTTP/1.1\r\n{TOKEN}\r\n")
    assert client.got == b""
    timers.pass_by(0.6)
    assert client.take()[0] == "HTTP/1.1 200 OK"


def test_a_client_that_left_gets_nothing(client: Client, demo: Simulator, timers: Timers) -> None:
    demo.faults.add(Fault("latency", path="/version", seconds=0.5))
    client.send(f"GET /api2/json/version HTTP/1.1\r\n{TOKEN}\r\n")
    assert client.connection is not None
    client.connection.lost()
    timers.pass_by(1)
    assert client.got == b""


def test_a_call_waits_for_a_lock_as_the_clock_goes_on(client: Client, demo: Simulator) -> None:
    client.send(WAITING.format(root(demo.world)))
    for _ in range(3):
        assert client.got == b""
        client.work(1.0)
    assert client.take()[0] == "HTTP/1.1 200 OK"


def test_the_work_goes_on_when_the_client_left(client: Client, demo: Simulator) -> None:
    client.send(WAITING.format(root(demo.world)))
    assert client.connection is not None
    client.connection.lost()
    assert demo.tally == {"PUT /waiting": 1}
    client.work(60.0)
    assert client.got == b"" and demo.tally == {"PUT /waiting": 2}


def test_other_encodings_are_refused_too(client: Client) -> None:
    client.send(
        f"POST /api2/json/pools HTTP/1.1\r\n{TOKEN}Transfer-Encoding: gzip, chunked\r\n\r\n"
        "0\r\n\r\n"
    )
    assert client.take()[0] == "HTTP/1.1 501 Unknown transfer encoding 'gzip, chunked'"


def test_an_upgrade_ends_the_connection(client: Client) -> None:
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert client.closed


def test_the_control_door_is_beside_the_api(client: Client) -> None:
    line, body = client.ask("/sim/faults", "POST", "", '{"kind": "latency", "seconds": 1}')
    assert line == "200 OK" and body["kind"] == "latency"
    assert client.ask("/sim/nope")[0] == "404 Not Found"


def test_json_bodies_keep_their_types(client: Client, demo: Simulator) -> None:
    extra = "Content-Type: application/json\r\n"
    line, _ = client.ask(
        "/api2/json/access/ticket", "POST", extra, '{"username": "root@pam", "password": "demo"}'
    )
    assert line == "200 OK"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (None, None),
        ("a=b; PVEAuthCookie=x%3Ay", "x:y"),
        ("PVEAuthCookieX=1", None),
        ("PVEAuthCookie", None),
    ],
)
def test_cookies(header: str | None, value: str | None) -> None:
    assert auth_value(header, "PVEAuthCookie") == value
