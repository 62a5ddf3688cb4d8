"""Whether a VM is well: asked over real connections to this machine, each within its time."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from desired.spec import VMSpec
from reconciler.safeguard.health import http_status, may_ask_agent, unwell
from state.api import ApiError, Forbidden, Json, Unavailable
from state.change import Call
from state.observed import SeenVM
from tests.engine import seen, spec, vm

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
HOME = {"net0": {"ipv4": {"static": "127.0.0.1/8"}}}
Serve = Callable[[bytes], int]


@dataclass
class Agent:
    """An API by which the guest agent is asked."""

    error: ApiError | None = None
    asked: list[str] = field(default_factory=list)

    def get(self, path: str, params: object = None) -> Json:
        raise AssertionError(path)

    def send(self, call: Call, *, heavy: bool = False) -> Json:
        self.asked.append(str(call))
        if self.error:
            raise self.error
        return {"result": {}}


@contextmanager
def serving(answer: bytes) -> Iterator[int]:
    """Answer each connection with these bytes; with none it stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as kept:

        def serve() -> None:
            while True:
                try:
                    link, _ = listening.accept()
                except OSError:
                    return
                kept.enter_context(link)
                if answer:
                    with suppress(OSError):
                        link.recv(4096)
                        link.sendall(answer)
                        link.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(serving(answer))


def guarded(**health: object) -> VMSpec:
    return spec(nics=HOME, guard={"health": health})


def running(status: str = "running") -> SeenVM:
    return seen(row=vm(101, status=status), status=status)


def test_a_vm_that_is_to_run_must_run() -> None:
    assert unwell(spec(guard="snapshot"), running("stopped"), Agent()) == "the VM is stopped"
    assert unwell(spec(guard="snapshot"), running(), Agent()) == ""
    assert unwell(spec(power="stopped"), running("stopped"), Agent()) == ""
    assert unwell(spec(power="unmanaged"), running("stopped"), Agent()) == ""


def test_the_agent_is_asked_where_the_spec_or_the_check_names_it() -> None:
    for asked in (spec(agent=True, guard="snapshot"), guarded(agent=True)):
        agent = Agent()
        assert unwell(asked, running(), agent) == ""
        assert agent.asked == ["POST /nodes/pve1/qemu/101/agent/ping"]
    silent = Agent()
    unwell(spec(agent=True, guard={"health": {"agent": False}}), running(), silent)
    assert silent.asked == []


def test_an_agent_that_does_not_answer_is_not_well() -> None:
    agent = Agent(ApiError("QEMU guest agent is not running\n", 500))
    why = unwell(guarded(agent=True), running(), agent)
    assert why == "the guest agent does not answer: QEMU guest agent is not running"


def test_what_keeps_us_from_asking_says_nothing_of_the_vm() -> None:
    """Never a rollback of a VM that is well: a right or a node that is gone is no ill VM."""
    denied = Agent(Forbidden("Permission check failed", 403))
    assert unwell(guarded(agent=True), running(), denied) == ""
    assert not may_ask_agent(guarded(agent=True), running(), denied)
    with pytest.raises(Unavailable):
        unwell(guarded(agent=True), running(), Agent(Unavailable("no route", 0)))


def test_only_a_missing_right_keeps_the_agent_from_being_asked() -> None:
    asked = guarded(agent=True)
    assert may_ask_agent(asked, running(), Agent())
    assert may_ask_agent(asked, running(), Agent(ApiError("not running", 500)))
    assert may_ask_agent(guarded(), running(), Agent(Forbidden("no", 403)))


def test_ports_must_take_a_connection(serve: Serve) -> None:
    port = serve(b"")
    assert unwell(guarded(tcp=port), running(), Agent()) == ""
    why = unwell(guarded(tcp=[port, 1]), running(), Agent())
    assert why == "port 1 of 127.0.0.1 takes no connection: connection refused"


def test_without_an_address_nothing_can_be_asked_over_the_network() -> None:
    why = unwell(spec(guard={"health": {"tcp": 22}}), running(), Agent())
    assert why.startswith("no address of it is known")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (OK, ""),
        (b"HTTP/1.0 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "answered 503, expected 2xx"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n", "answered 302"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what it answers is not http"),
        (b"HTTP/1.1", "what it answers is not http"),
    ],
)
def test_a_page_must_answer_with_2xx_and_no_redirect_is_followed(
    serve: Serve, answer: bytes, told: str
) -> None:
    url = f"http://{{{{ip}}}}:{serve(answer)}/health?full=1"
    why = unwell(guarded(http=url), running(), Agent())
    assert told in why
    assert (why == "") == (told == "")


def test_a_page_that_stays_silent_is_given_up_in_time(serve: Serve) -> None:
    began = time.monotonic()
    with pytest.raises(OSError, match="timed out"):
        http_status(f"http://127.0.0.1:{serve(b'')}/", began + 0.2)
    assert time.monotonic() - began < 2.0


def test_what_is_no_tls_is_not_taken_for_it(serve: Serve) -> None:
    port = serve(OK)
    with pytest.raises(OSError):
        http_status(f"https://127.0.0.1:{port}/", time.monotonic() + 1.0)


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    asked = spec(
        nics={"net0": {"ipv6": {"static": "::1/128"}}},
        guard={"health": {"http": "http://{{ ip }}:1/"}},
    )
    assert unwell(asked, running(), Agent()).startswith("http://[::1]:1/ does not answer: ")
