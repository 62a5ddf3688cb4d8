"""Which server a request goes to."""

import pytest

from reconciler.pve.addresses import STAND_INS, SULK, Addresses, parse_endpoint
from reconciler.pve.transport import Origin
from state.api import Json

ONE, TWO = "https://pve1.example:8006", "https://[2001:db8::2]"
ROWS: Json = [
    {"type": "cluster", "quorate": 1},
    {"type": "node", "name": "pve1", "ip": "192.0.2.1"},
    {"type": "node", "name": "pve2"},
    "odd",
]


def test_endpoints_have_proxmox_port_by_default() -> None:
    assert parse_endpoint("https://pve1.example/") == Origin("pve1.example", 8006)
    assert str(parse_endpoint(TWO)) == "[2001:db8::2]:8006"
    assert str(parse_endpoint(ONE)) == "pve1.example:8006"


@pytest.mark.parametrize("text", ["http://pve1:8006", "pve1:8006", "https://"])
def test_what_is_no_https_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match="expected an endpoint"):
        parse_endpoint(text)


def test_a_node_is_tried_first_at_its_own_address() -> None:
    addresses = Addresses([ONE, TWO])
    addresses.learn(ROWS)
    own = Origin("192.0.2.1", 8006)
    others = [*addresses.endpoints, own]
    assert addresses.of("/api2/json/nodes/pve1/qemu/1/config") == [own, *addresses.endpoints]
    assert addresses.of("/api2/json/nodes/pve2/qemu/1/config") == others
    assert addresses.of("/api2/json/cluster/status") == others
    assert not addresses.is_endpoint(own)
    assert addresses.lane("/api2/json/nodes/pve1/tasks", own) == "pve1"
    assert addresses.lane("/api2/json/version", own) == "192.0.2.1:8006"


def test_an_address_that_was_not_reached_is_left_alone_for_a_while() -> None:
    at = 1000.0
    addresses = Addresses([ONE], clock=lambda: at)
    addresses.learn(ROWS)
    own = Origin("192.0.2.1", 8006)
    addresses.missed(own)
    assert addresses.of("/nodes/pve1/x") == list(addresses.endpoints)
    at += SULK
    assert addresses.of("/nodes/pve1/x")[0] == own


def test_an_endpoint_that_is_the_node_is_not_tried_twice() -> None:
    addresses = Addresses(["https://192.0.2.1:8006", TWO])
    addresses.learn(ROWS)
    assert addresses.of("/nodes/pve1/x") == list(addresses.endpoints)


def test_the_endpoint_that_answered_comes_first() -> None:
    addresses = Addresses([ONE, TWO])
    first, second = addresses.endpoints
    addresses.reached(second)
    addresses.reached(Origin("192.0.2.9", 8006))
    assert addresses.endpoints == (second, first)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_behind_loopback_the_nodes_addresses_mean_nothing(host: str) -> None:
    addresses = Addresses([f"https://{host}:1"])
    addresses.learn(ROWS)
    assert addresses.of("/nodes/pve1/x") == list(addresses.endpoints)


def test_a_server_that_failed_is_tried_after_nodes_that_are_no_endpoints() -> None:
    addresses = Addresses([ONE, TWO])
    addresses.learn(ROWS)
    first, second = addresses.endpoints
    own = Origin("192.0.2.1", 8006)
    addresses.missed(first)
    assert addresses.of("/cluster/status") == [second, own, first]
    addresses.missed(second)
    assert addresses.of("/cluster/status") == [own, first, second]
    addresses.missed(own)
    assert addresses.of("/cluster/status") == [first, second]


def test_only_a_few_nodes_stand_in_at_a_time() -> None:
    addresses = Addresses([ONE])
    rows: Json = [
        {"type": "node", "name": f"n{number}", "ip": f"192.0.2.{number}"} for number in range(1, 9)
    ]
    addresses.learn(rows)
    asked = addresses.of("/version")
    assert [one.host for one in asked[1:]] == [f"192.0.2.{n}" for n in range(1, STAND_INS + 1)]
    addresses.missed(asked[1])
    assert asked[1] not in addresses.of("/version")
    assert len(addresses.of("/version")) == len(asked)


def test_a_silent_server_is_at_fault_only_for_what_it_need_not_forward() -> None:
    addresses = Addresses([ONE])
    addresses.learn(ROWS)
    (endpoint,) = addresses.endpoints
    own = Origin("192.0.2.1", 8006)
    assert addresses.answers_alone("/api2/json/cluster/status", endpoint)
    assert addresses.answers_alone("/api2/json/nodes/pve1/qemu", own)
    assert not addresses.answers_alone("/api2/json/nodes/pve1/qemu", endpoint)


def test_the_next_run_knows_the_nodes_and_whom_to_try_first() -> None:
    before = Addresses([ONE, TWO])
    before.learn(ROWS)
    before.reached(before.endpoints[1])
    after = Addresses([ONE, TWO], known=before.remember())
    assert after.endpoints == before.endpoints
    assert Origin("192.0.2.1", 8006) in after.of("/cluster/status")
    assert after.of("/nodes/pve1/x")[0] == after.endpoints[0], "an old address only stands in"
    assert after.remember() == before.remember()


@pytest.mark.parametrize("known", [None, "odd", {"endpoints": ["x"], "nodes": {"a": "192.0.2.1"}}])
def test_what_was_known_of_other_endpoints_is_not_believed(known: Json) -> None:
    addresses = Addresses([ONE, TWO], known=known)
    assert addresses.of("/version") == list(addresses.endpoints)


def test_an_odd_answer_teaches_nothing() -> None:
    addresses = Addresses([ONE], direct=True)
    addresses.learn(None)
    assert addresses.of("/nodes/pve1/x") == list(addresses.endpoints)
