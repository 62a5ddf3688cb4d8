"""Answers that are broken on the wire."""

import json
import zlib

import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.errors import Dropped
from reconciler.sim.faults import Fault
from reconciler.sim.faults.fault import SPOILED, Kind
from reconciler.sim.http.spoil import MIB
from tests.sim.http.wire import TOKEN, Client

VERSION = f"GET /api2/json/version HTTP/1.1\r\nAccept-Encoding: gzip\r\n{TOKEN}\r\n"


def test_a_truncated_body_is_shorter_than_it_says(client: Client, demo: Simulator) -> None:
    demo.faults.add(Fault("truncated-body", path="/version"))
    client.send(VERSION)
    _, headers, body = client.take()
    assert int(headers["Content-Length"]) // 2 == len(body) > 0
    assert client.closed


def test_a_body_may_be_no_json(client: Client, demo: Simulator) -> None:
    demo.faults.add(Fault("non-json-body", path="/version"))
    client.send(VERSION)
    line, _, body = client.take()
    assert line == "HTTP/1.1 200 OK" and body.startswith(b"<html>")


def test_a_gzip_bomb_is_small_and_unpacks_to_much(client: Client, demo: Simulator) -> None:
    demo.faults.add(Fault("gzip-bomb", path="/version", size=3 * MIB + 5))
    client.send(VERSION)
    _, headers, body = client.take()
    assert headers["Content-Encoding"] == "gzip" and len(body) < 10_000
    found = zlib.decompress(body, 31)
    assert len(json.loads(found)["data"]) == 3 * MIB + 5


@pytest.mark.parametrize("kind", sorted(SPOILED))
def test_in_process_a_broken_answer_is_a_lost_one(demo: Simulator, kind: Kind) -> None:
    demo.faults.add(Fault(kind, path="/version"))
    with pytest.raises(Dropped) as dropped:
        demo.call("GET", "/version")
    assert dropped.value.done
    assert demo.call("GET", "/version").ok
