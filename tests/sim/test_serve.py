"""The served cluster: TLS, the child process, its saved world and how it ends."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.sim import embedded
from reconciler.sim.__main__ import main as child_main
from reconciler.sim.accounts.access import Identity
from reconciler.sim.clock import SOME_DAY
from reconciler.sim.cluster.tasks import Step
from reconciler.sim.embedded import Embedded, EmbeddedFailed
from reconciler.sim.http.tls import (
    fingerprint,
    make_certificate,
    server_context,
    stored_certificate,
)
from reconciler.sim.launch import ServeOptions
from reconciler.sim.samples import demo_world
from reconciler.sim.serve import new_world, run, serve, welcome
from reconciler.sim.state import StateBusy, StateFile

HEADERS = {"Authorization": "PVEAPIToken=reconcile@pve!fleet=demo"}
PARENT = """
import sys
from pathlib import Path
from reconciler.sim.embedded import Embedded
from reconciler.sim.launch import ServeOptions
child = Embedded(ServeOptions(state=Path(sys.argv[1])))
print(child.port, flush=True)
sys.stdin.read()
"""


def tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def ask(port: int, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=tls_context())
    with contextlib.closing(connection):
        connection.request(method, path, body, HEADERS)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or "null")


def test_the_child_serves_with_a_stored_key_and_keeps_its_world(tmp_path: Path) -> None:
    options = ServeOptions(state=tmp_path / "sim" / "world.json", http_limits="fast")
    with Embedded(options) as first:
        assert ask(first.port, "GET", "/api2/json/version")[0] == 200
        fault = '{"kind": "lock", "vmid": 9000, "text": "backup"}'
        assert ask(first.port, "POST", "/sim/faults", fault)[0] == 200
        pem = ssl.get_server_certificate(("127.0.0.1", first.port))
        assert fingerprint(pem.encode()) == first.fingerprint
        assert first.url == f"https://127.0.0.1:{first.port}"
    assert first.child.returncode == 0
    with Embedded(options) as second:
        assert second.fingerprint == first.fingerprint
        rows = ask(second.port, "GET", "/api2/json/cluster/resources?type=vm")[1]["data"]
        assert {row["vmid"]: row.get("lock") for row in rows}[9000] == "backup"
        shown = ask(second.port, "GET", "/api2/json/nodes")[1]["data"][0]
        assert shown["ssl_fingerprint"] == second.fingerprint
    key = tmp_path / "sim" / f"{options.state.name}.pem"
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_killed_parent_takes_the_child_with_it_and_the_next_waits(tmp_path: Path) -> None:
    state = tmp_path / "world.json"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None and parent.stdin is not None
    port = int(parent.stdout.readline())
    assert ask(port, "POST", "/sim/faults", '{"kind": "lock", "vmid": 9001, "text": "x"}')[0] == 200
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    with Embedded(ServeOptions(state=state)) as again:
        rows = ask(again.port, "GET", "/api2/json/cluster/resources?type=vm")[1]["data"]
        assert {row["vmid"]: row.get("lock") for row in rows}[9001] == "x"


def test_a_child_that_cannot_start_says_why() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EmbeddedFailed, match="address already in use"):
            Embedded(ServeOptions(port=taken.getsockname()[1]))


@pytest.mark.parametrize("wrong", [ServeOptions(nodes=0), ServeOptions(speed=0.0)])
def test_impossible_numbers_are_named(wrong: ServeOptions) -> None:
    with pytest.raises(EmbeddedFailed, match="expected"):
        Embedded(wrong)


def test_a_child_that_says_nothing_did_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(EmbeddedFailed, match="did not start"):
        Embedded(ServeOptions())


def test_a_child_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "deaf"
    said = json.dumps({"ports": {"pve1": 1}, "fingerprint": "x"})
    script.write_text(f"#!/bin/sh\necho '{said}'\nexec sleep 60\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(embedded, "END_WAIT", 0.01)
    child = Embedded(ServeOptions())
    child.close()
    assert child.child.returncode == -signal.SIGKILL


def test_plain_http_on_the_tls_port_is_moved() -> None:
    with Embedded(ServeOptions()) as served:
        plain = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        with contextlib.closing(plain):
            plain.request("GET", "/api2/json/version?x=1")
            answer = plain.getresponse()
            assert answer.status == 301
            wanted = f"https://127.0.0.1:{served.port}/api2/json/version?x=1"
            assert answer.headers["Location"] == wanted


def test_broken_tls_ends_the_connection_only() -> None:
    with Embedded(ServeOptions()) as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
            raw.sendall(b"\x16garbage that is no hello, long enough to be read as a record")
            with contextlib.suppress(ConnectionResetError):
                while raw.recv(4096):
                    pass
        assert ask(served.port, "GET", "/api2/json/version")[0] == 200


def test_the_state_file_has_one_user_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    with StateFile(path), pytest.raises(StateBusy, match="still uses it"):
        StateFile(path, lock_wait=0.0)
    with StateFile(path) as file:
        assert file.load() is None


def test_a_saved_world_comes_back_with_its_tasks(tmp_path: Path) -> None:
    world = demo_world(SOME_DAY, speed=1.0)
    step = Step("task.fail", {"text": "late"}, 5.0)
    upid = world.tasks.start("pve1", "qmclone", 9000, Identity("root@pam"), [step])
    with StateFile(tmp_path / "world.json") as file:
        file.save(world)
        stamp = file.path.stat().st_mtime_ns
        file.save(world)
        assert file.path.stat().st_mtime_ns == stamp
        again = file.load()
    assert again is not None and again.dump() == world.dump()
    again.advance(SOME_DAY + 5)
    assert again.tasks.all[upid].status == "late"
    assert file.path.stat().st_mode & 0o777 == 0o600


def talk(port: int, write: int, seen: list[Any]) -> None:
    """What a client does while the server runs in the main thread; ends the server."""
    try:
        for path in ("/api2/json/version", "/api2/json/access/permissions"):
            seen.append(ask(port, "GET", path))
        with tls_context().wrap_socket(socket.create_connection(("127.0.0.1", port))) as polite:
            polite.settimeout(10)
            polite.unwrap()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            plain.sendall(b"GET /x HTTP/1.1\r\n\r\n")
            seen.append(plain.recv(4096))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(b"\x16\x03\x01\x00\x05hello")
            with contextlib.suppress(ConnectionResetError):
                seen.append(raw.recv(4096))
        fault = '{"kind": "drop-before", "path": "/version"}'
        ask(port, "POST", "/sim/faults", fault)
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(port, "GET", "/api2/json/version")
    finally:
        os.write(write, b"noise")
        os.close(write)


def test_serving_in_process_until_the_pipe_ends(tmp_path: Path) -> None:
    read, write = os.pipe()
    seen: list[Any] = []
    clients: list[threading.Thread] = []

    def ready(ports: Mapping[str, int], print_of: str) -> None:
        clients.append(threading.Thread(target=talk, args=(ports["pve1"], write, seen)))
        clients[0].start()

    options = ServeOptions(state=tmp_path / "world.json")
    run(options, ready, watch=read, clock=lambda: SOME_DAY)
    clients[0].join()
    os.close(read)
    assert [one[0] for one in seen[:2]] == [200, 200]
    assert seen[2].startswith(b"HTTP/1.1 301 Moved Permanently\r\nLocation: https://localhost/x")
    with StateFile(tmp_path / "world.json") as file:
        world = file.load()
    assert world is not None and world.now == SOME_DAY and world.speed == 60.0
    with pytest.raises(ValueError, match=r"speed 0\.0: more than 0 expected"):
        run(ServeOptions(speed=0.0), ready)


def test_serving_ends_with_a_signal() -> None:
    said: list[str] = []

    def announce(line: str) -> None:
        said.append(line)
        if line.startswith("login"):
            os.kill(os.getpid(), signal.SIGTERM)

    serve(ServeOptions(world="recorded"), announce)
    assert said[-1] == "login root@pam, password pvetest"


def test_the_child_reads_its_options_and_says_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read) as ended:
        monkeypatch.setattr(sys, "stdin", ended)
        options = {"state": str(tmp_path / "w.json"), "speed": 600}
        assert child_main(["sim", json.dumps(options)]) == 0
        assert child_main(["sim", json.dumps({"nodes": 0})]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert sorted(json.loads(first)) == ["fingerprint", "ports"]
    assert json.loads(second) == {"error": "nodes 0, vms 0: at least 1 and 0 expected"}


def test_a_welcome_tells_how_to_get_in() -> None:
    demo = welcome(ServeOptions(), {"pve1": 8006, "pve2": 8007}, "AA:BB")
    assert demo[0] == "serving https://127.0.0.1:8006/api2/json"
    assert demo[1] == "other nodes https://127.0.0.1:8007"
    assert "API token reconcile@pve!fleet=demo" in demo
    recorded = ServeOptions(world="recorded")
    assert welcome(recorded, {"pve1": 1}, "AA")[-1] == "login root@pam, password pvetest"
    assert list(new_world(recorded, SOME_DAY).nodes) == ["pve1"]
    assert len(new_world(ServeOptions(nodes=5, vms=7), SOME_DAY).vms) == 11


def test_a_certificate_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "a" / "simulator.pem"
    first = stored_certificate(path)
    assert stored_certificate(path) == first != make_certificate()
    assert server_context(first).cert_store_stats() is not None
