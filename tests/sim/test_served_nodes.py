"""Every node has a port of its own: it forwards, dies, hangs, comes back; faults from the start."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.sim.embedded import Embedded
from reconciler.sim.launch import ServeOptions

HEADERS = {"Authorization": "PVEAPIToken=reconcile@pve!fleet=demo"}
WAIT = 5.0
"""Seconds within which the ports follow the nodes."""


def insecure() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def ask(port: int, path: str, method: str = "GET", **body: object) -> tuple[int, Any]:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=insecure())
    with contextlib.closing(connection):
        connection.request(method, path, json.dumps(body) if body else None, HEADERS)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or "null")


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except (ConnectionRefusedError, TimeoutError):
        return False
    return True


def eventually(check: Callable[[], bool]) -> bool:
    end = time.monotonic() + WAIT
    while not check():
        if time.monotonic() > end:
            return False
    return True


@pytest.fixture(scope="module")
def cluster() -> Iterator[Embedded]:
    with Embedded(ServeOptions(http_limits="fast")) as running:
        yield running


def local(port: int) -> str:
    rows = ask(port, "/api2/json/cluster/status")[1]["data"]
    return next(str(row["name"]) for row in rows if row.get("local"))


def test_every_node_answers_on_its_own_port_for_all(cluster: Embedded) -> None:
    assert list(cluster.ports) == ["pve1", "pve2", "pve3"] and len(set(cluster.urls)) == 3
    for node, port in cluster.ports.items():
        assert local(port) == node
        assert ask(port, "/api2/json/nodes/pve3/version")[0] == 200


def test_a_dead_nodes_port_refuses_and_the_others_cannot_reach_it(cluster: Embedded) -> None:
    port, other = cluster.ports["pve2"], cluster.ports["pve1"]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as open_before:
        _, fault = ask(other, "/sim/faults", "POST", kind="node-down", node="pve2")
        open_before.sendall(b"\x16")
        with contextlib.suppress(ConnectionResetError):
            assert open_before.recv(1) == b""
    assert eventually(lambda: not connects(port))
    assert ask(other, "/api2/json/nodes/pve2/version") == (595, None)
    ask(other, f"/sim/faults/{fault['id']}", "DELETE")
    assert eventually(lambda: connects(port))
    assert local(port) == "pve2"


def test_a_silent_node_hangs(cluster: Embedded) -> None:
    port, other = cluster.ports["pve3"], cluster.ports["pve1"]
    ask(other, "/sim/faults", "POST", kind="node-down", node="pve3", silent=True, lasting=0.6)
    with pytest.raises(TimeoutError), contextlib.closing(socket.socket()) as raw:
        raw.settimeout(0.2)
        raw.connect(("127.0.0.1", port))
        insecure().wrap_socket(raw)
    assert eventually(lambda: ask(other, "/sim/faults")[1] == [])
    assert local(port) == "pve3"


def test_faults_may_stand_from_the_start() -> None:
    faults: Any = ({"kind": "quorum-lost"}, {"kind": "lock", "vmid": "9000", "text": "backup"})
    with Embedded(ServeOptions(http_limits="off", faults=faults)) as running:
        assert [one["kind"] for one in ask(running.port, "/sim/faults")[1]] == [
            "quorum-lost",
            "lock",
        ]
        rows = ask(running.port, "/api2/json/cluster/resources?type=vm")[1]["data"]
        assert {row["vmid"]: row.get("lock") for row in rows}[9000] == "backup"


def test_a_killed_simulator_goes_on_where_it_was(tmp_path: Path) -> None:
    """kill -9: the last look's world is there, faults and clock with it, and nothing is torn."""
    options = ServeOptions(state=tmp_path / "world.json", http_limits="off")
    with Embedded(options) as first:
        ask(first.port, "/sim/clock", "POST", offset=1000)
        ask(first.port, "/sim/faults", "POST", kind="node-down", node="pve3")
        before = ask(first.port, "/sim/save", "POST")[1]["saved"]
        os.kill(first.child.pid, signal.SIGKILL)
        first.child.wait()
    assert before == str(tmp_path / "world.json")
    with Embedded(options) as second:
        world = ask(second.port, "/sim/world")[1]
        assert (world["offset"], world["nodes"]["pve3"]["online"]) == (1000, False)
        assert ask(second.port, "/sim/faults")[1][0]["kind"] == "node-down"
        assert not connects(second.ports["pve3"])
        ask(second.port, "/sim/faults", "DELETE")
        assert eventually(lambda: connects(second.ports["pve3"]))
