"""The client against real TLS servers: what is sent, what is trusted, what is sent again."""

import gzip
import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from desired.catalog import Limits
from reconciler.pve import transport
from reconciler.pve.client import ProxmoxApi, lacks_quorum
from reconciler.pve.form import quote_segment
from state.api import (
    ApiError,
    Forbidden,
    Json,
    MaybeRunning,
    Misconfigured,
    PartlyApplied,
    Refused,
    Unavailable,
)
from state.change import Call, Method, Param
from state.secret import Secret
from tests.reconciler.pve.tls_server import Answer, Asked, Server, reply

Serve = Callable[..., Server]
Open = Callable[..., ProxmoxApi]
PUT = Call(Method.PUT, "/nodes/pve1/qemu/100/config", {"cores": 2})


def sequence(*answers: bytes | None) -> Answer:
    """Answer each request with the next of these; the last one stays."""
    left = list(answers)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_parameters_leave_in_proxmox_form(serve: Serve, connect: Open) -> None:
    server = serve(lambda asked: reply('{"data":"UPID:x"}'))
    params: dict[str, Param] = {
        "onboot": True,
        "protection": False,
        "cores": 2,
        "cpulimit": 1.5,
        "cipassword": Secret("p&w"),
        "command": ("a b", "ü"),
    }
    api = connect(server.url)
    assert api.send(Call(Method.POST, "/nodes/pve1/qemu/100/config", params)) == "UPID:x"
    asked = server.asked[0]
    assert asked.fields == [
        ("onboot", "1"),
        ("protection", "0"),
        ("cores", "2"),
        ("cpulimit", "1.5"),
        ("cipassword", "p&w"),
        ("command", "a b"),
        ("command", "ü"),
    ]
    assert asked.headers["content-length"] == str(len(asked.body))
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["authorization"] == "PVEAPIToken=u@pve!t=s3cret"
    assert (api.reads, api.writes) == (0, 1)


@pytest.mark.parametrize("method", [Method.GET, Method.DELETE])
def test_reads_and_deletes_put_parameters_into_the_query(
    serve: Serve, connect: Open, method: Method
) -> None:
    server = serve()
    connect(server.url).send(Call(method, "/nodes/pve1/qemu/100", {"purge": True}))
    assert server.asked[0].target == "/api2/json/nodes/pve1/qemu/100?purge=1"
    assert server.asked[0].body == "" and "content-type" not in server.asked[0].headers


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("UPID:pve1:0001:u@pam:", "UPID%3Apve1%3A0001%3Au%40pam%3A"),
        ("local:iso/t.iso", "local%3Aiso%2Ft.iso"),
        ("10.0.0.0/24", "10.0.0.0%2F24"),
        ("a?b#c d", "a%3Fb%23c%20d"),
    ],
)
def test_an_id_stays_one_segment(serve: Serve, connect: Open, name: str, sent: str) -> None:
    server = serve()
    connect(server.url).get(f"/x/{quote_segment(name)}/y")
    assert server.asked[0].target == f"/api2/json/x/{sent}/y"


def test_a_forgotten_quote_cannot_end_the_path(serve: Serve, connect: Open) -> None:
    server = serve()
    connect(server.url).get("/x/a?b#c")
    assert server.asked[0].target == "/api2/json/x/a%3Fb%23c"


def test_connections_are_kept_and_counted(serve: Serve, connect: Open) -> None:
    server = serve(lambda asked: reply('{"data":{"version":"8.4.1"}}'))
    api = connect(server.url)
    told: list[tuple[str, str, int]] = []
    api.trace = lambda method, path, seconds, status: told.append((method, path, status))
    assert [api.get("/version") for _ in range(3)] == [{"version": "8.4.1"}] * 3
    assert server.connections == 1
    assert api.reads == 3
    assert told == [("GET", "/version", 200)] * 3


def test_proxmox_hangs_up_after_errors_and_after_100_requests(serve: Serve, connect: Open) -> None:
    server = serve(sequence(reply(status=500, reason="no"), reply()))
    api = connect(server.url)
    with pytest.raises(ApiError):
        api.get("/x")
    for _ in range(200):
        api.get("/x")
    by_connection = [asked.connection for asked in server.asked]
    assert [by_connection.count(number) for number in (1, 2, 3, 4)] == [1, 95, 95, 10]


def test_an_idle_connection_is_not_trusted(
    serve: Serve, connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "IDLE", -1.0)
    server = serve()
    api = connect(server.url)
    api.get("/x")
    api.send(PUT)
    assert server.connections == 2


def test_a_wrong_fingerprint_stops_before_anything_is_sent(serve: Serve, connect: Open) -> None:
    server = serve()
    api = connect(server.url, tls={"fingerprints": ["AB" * 32]})
    with pytest.raises(Unavailable, match=r"does not match any pinned fingerprint, it has ..:.."):
        api.send(PUT)
    assert server.asked == []


def test_one_of_several_fingerprints_is_enough(serve: Serve, connect: Open, pin: str) -> None:
    api = connect(serve().url, tls={"fingerprints": ["AB" * 32, pin.lower().replace(":", "")]})
    assert api.get("/x") is None


def test_a_ca_file_makes_a_server_trusted(
    serve: Serve, connect: Open, pem: Path, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(pem.read_text().partition("-----BEGIN PRIVATE")[0])
    assert connect(serve().url, tls={"ca": "ca.pem"}).get("/x") is None


def test_an_unknown_certificate_is_refused_with_advice(serve: Serve, connect: Open) -> None:
    with pytest.raises(Unavailable, match=r"not trusted .*name its CA under tls\.ca, or pin it"):
        connect(serve().url, tls={}).get("/x")


def test_a_missing_ca_file_is_named(connect: Open) -> None:
    with pytest.raises(Unavailable, match=r"^cannot read tls\.ca /.*gone\.pem: No such file"):
        connect("https://127.0.0.1:1", tls={"ca": "gone.pem"})


def test_verify_false_works_and_warns(
    serve: Serve, connect: Open, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert connect(serve().url, tls={"verify": False}).get("/x") is None
    assert "TLS is not verified" in caplog.text


def test_the_environment_has_no_say(
    serve: Serve, connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    assert connect(serve().url).get("/x") is None


def test_the_next_endpoint_is_tried_and_then_preferred(serve: Serve, connect: Open) -> None:
    server = serve()
    api = connect(f"https://127.0.0.1:{closed_port()}", server.url)
    api.send(PUT)
    api.send(PUT)
    assert len(server.asked) == 2
    assert api.addresses.endpoints[0].port == server.port


def test_a_server_that_shakes_no_hands_was_not_reached(connect: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"https://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(Unavailable, match="no connection in time"):
            connect(url, timeouts={"light": 1, "heavy": 1}).send(PUT)


def test_a_simulated_cluster_has_no_login_of_its_own(connect: Open) -> None:
    with pytest.raises(ValueError, match="a token or a login"):
        connect(simulated={}, tls={}, token=None)


def test_nothing_reached_names_every_endpoint(connect: Open) -> None:
    api = connect(f"https://127.0.0.1:{closed_port()}", "https://nowhere.invalid:8006")
    with pytest.raises(Unavailable) as caught:
        api.send(PUT)
    assert "connection refused" in caught.value.text
    assert "nowhere.invalid:8006: the name does not resolve" in caught.value.text


def test_a_write_that_may_have_arrived_is_never_sent_again(serve: Serve, connect: Open) -> None:
    server = serve(lambda asked: b"")
    with pytest.raises(MaybeRunning, match="the connection broke"):
        connect(server.url, serve().url).send(PUT)
    assert len(server.asked) == 1


def test_a_read_is_asked_once_more(serve: Serve, connect: Open) -> None:
    server = serve(sequence(b"", reply('{"data":7}')))
    assert connect(server.url).get("/x") == 7
    gone = serve(lambda asked: b"")
    with pytest.raises(Unavailable, match="the connection broke"):
        connect(gone.url).get("/x")
    assert len(gone.asked) == 2


def test_an_answer_cut_short_is_lost(serve: Serve, connect: Open) -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{"
    with pytest.raises(MaybeRunning):
        connect(serve(lambda asked: cut).url).send(PUT)


def test_out_of_time_is_unknown_for_writes_only(serve: Serve, connect: Open) -> None:
    server = serve(lambda asked: None)
    api = connect(server.url, timeouts={"light": 1, "heavy": 1})
    with pytest.raises(MaybeRunning, match=r"no answer in time .*1 s allowed"):
        api.send(PUT)
    with pytest.raises(Unavailable, match="no answer in time"):
        api.get("/x")
    assert len(server.asked) == 2


def test_a_heavy_call_may_take_longer(serve: Serve, connect: Open) -> None:
    never = threading.Event()

    def answer(asked: Asked) -> bytes:
        never.wait(1.1)
        return reply('{"data":1}')

    api = connect(serve(answer).url, timeouts={"light": 1, "heavy": 30})
    assert api.send(PUT, heavy=True) == 1


@pytest.mark.parametrize("status", [596, 597, 598, 599, 502])
def test_a_node_that_gave_no_answer(serve: Serve, connect: Open, status: int) -> None:
    api = connect(serve(lambda asked: reply("", status, "Broken pipe")).url)
    with pytest.raises(MaybeRunning):
        api.send(PUT)
    with pytest.raises(Unavailable):
        api.get("/x")


def test_595_surely_did_not_begin(serve: Serve, connect: Open) -> None:
    with pytest.raises(Unavailable, match="No route to host"):
        connect(serve(lambda asked: reply("", 595, "No route to host")).url).send(PUT)


@pytest.mark.parametrize("body", ["<html>", '{"x":1}', "[]", ""])
def test_what_is_not_proxmox_is_no_answer(serve: Serve, connect: Open, body: str) -> None:
    api = connect(serve(lambda asked: reply(body)).url)
    with pytest.raises(Unavailable, match="not an answer of the Proxmox API"):
        api.get("/x")
    with pytest.raises(MaybeRunning):
        api.send(PUT)


def test_a_redirect_is_not_followed(serve: Serve, connect: Open) -> None:
    server = serve(lambda asked: reply("", 301, "Moved", "Location: https://127.0.0.1:1/"))
    with pytest.raises(Unavailable, match="301 Moved"):
        connect(server.url).get("/x")


def test_the_reason_phrase_counts_where_the_body_is_silent(serve: Serve, connect: Open) -> None:
    """LOG-05: before 8.4 Proxmox's text stands in the reason phrase only."""
    text = "balloon value too large (must be smaller than assigned memory)"
    server = serve(lambda asked: reply('{"data":null}', 500, text))
    with pytest.raises(ApiError, match="balloon value too large") as caught:
        connect(server.url).send(PUT)
    assert (caught.value.status, type(caught.value)) == (500, ApiError)


def test_refused_keys_are_named(serve: Serve, connect: Open) -> None:
    body = '{"data":null,"message":"Parameter verification failed.\\n","errors":{"cores":"no"}}'
    with pytest.raises(Refused, match="cores: no") as caught:
        connect(serve(lambda asked: reply(body, 400, "x")).url).send(PUT)
    assert caught.value.keys == {"cores": "no"}


def test_a_failed_hotplug_is_partly_applied(serve: Serve, connect: Open) -> None:
    body = '{"data":null,"errors":{"net0":"hotplug problem - error on hot-unplugging device"}}'
    with pytest.raises(PartlyApplied) as caught:
        connect(serve(lambda asked: reply(body, 400, "x")).url).send(PUT)
    assert list(caught.value.keys) == ["net0"]


def test_secrets_never_come_back_in_errors(serve: Serve, connect: Open) -> None:
    body = '{"data":null,"errors":{"cipassword":"bad value \'hunter 2\'"}}'
    server = serve(lambda asked: reply(body, 400, "hunter%202 PVEAPIToken s3cret"))
    call = Call(Method.PUT, "/nodes/pve1/qemu/1/config", {"cipassword": Secret("hunter 2")})
    with pytest.raises(Refused) as caught:
        connect(server.url).send(call)
    assert caught.value.text == "cipassword: bad value '***'"
    assert "hunter" not in repr((caught.value.keys, caught.value.__context__))
    assert "s3cret" not in repr(caught.value.__context__)


def test_a_wrong_token_says_what_to_check(serve: Serve, connect: Open) -> None:
    server = serve(lambda asked: reply("", 401, "no such token 't' for user 'u@pve'"))
    with pytest.raises(Forbidden, match=r"no such token .*check the token's id and secret"):
        connect(server.url).get("/version")
    assert len(server.asked) == 1


def test_no_more_requests_at_once_than_allowed(serve: Serve, connect: Open) -> None:
    lock, full = threading.Lock(), threading.Event()
    at_work, most = 0, 0

    def answer(asked: Asked) -> bytes:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
            if at_work == 2:
                full.set()
        full.wait(5)
        with lock:
            at_work -= 1
        return reply()

    api = connect(serve(answer).url, limits=Limits(connections=3, per_node=2))
    threads = [
        threading.Thread(target=api.get, args=("/nodes/pve1/status",), daemon=True)
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == 2
    assert api.reads == 8


STATUS = '{"data":[{"type":"cluster","quorate":1},{"type":"node","name":"pve2","ip":"%s"}]}'


def test_a_node_is_asked_at_its_own_address(serve: Serve, connect: Open) -> None:
    first = serve(lambda asked: reply(STATUS % "127.0.0.2"))
    second = serve(host="127.0.0.2", port=first.port)
    api = connect(first.url, direct=True)
    api.get("/cluster/status")
    api.send(Call(Method.PUT, "/nodes/pve2/qemu/100/config"))
    api.get("/nodes/pve1/status")
    assert [asked.path for asked in second.asked] == ["/api2/json/nodes/pve2/qemu/100/config"]
    assert len(first.asked) == 2


def test_an_unreachable_own_address_falls_back_to_the_endpoint(serve: Serve, connect: Open) -> None:
    server = serve(lambda asked: reply(STATUS % "127.0.0.3"))
    api = connect(server.url, direct=True)
    api.get("/cluster/status")
    api.send(Call(Method.PUT, "/nodes/pve2/qemu/100/config"))
    assert len(server.asked) == 2


def test_the_clocks_difference_is_known(serve: Serve, connect: Open) -> None:
    api = connect(serve(sequence(reply(), reply("{}", 200, "OK"))).url)
    api.get("/x")
    assert api.skew is None
    dated = connect(
        serve(
            lambda asked: reply('{"data":1}', 200, "OK", "Date: Fri, 01 Jan 2021 00:00:00 GMT")
        ).url
    )
    dated.get("/x")
    assert dated.skew is not None and dated.skew < -86400 * 365


def test_gzip_is_read(serve: Serve, connect: Open) -> None:
    body = gzip.compress(b'{"data":[1,2]}')
    api = connect(serve(lambda asked: reply(body, 200, "OK", "Content-Encoding: gzip")).url)
    assert api.get("/x") == [1, 2]


def test_a_server_that_hangs_is_passed_over_for_another(serve: Serve, connect: Open) -> None:
    """It takes connections and answers nothing: the next read goes to the other at once."""
    hung, sound = serve(lambda asked: None), serve(lambda asked: reply('{"data":7}'))
    api = connect(hung.url, sound.url, timeouts={"light": 1, "heavy": 1})
    assert [api.get("/cluster/resources") for _ in range(3)] == [7, 7, 7]
    assert (len(hung.asked), len(sound.asked)) == (1, 3)


def test_a_write_that_hangs_is_not_sent_to_another(serve: Serve, connect: Open) -> None:
    hung, sound = serve(lambda asked: None), serve()
    api = connect(hung.url, sound.url, timeouts={"light": 1, "heavy": 1})
    with pytest.raises(MaybeRunning, match="no answer in time"):
        api.send(Call(Method.POST, "/pools", {"poolid": "x"}))
    assert sound.asked == []
    api.send(Call(Method.POST, "/pools", {"poolid": "y"}))
    assert (len(hung.asked), len(sound.asked)) == (1, 1)


def test_not_all_servers_are_asked_what_none_answers(serve: Serve, connect: Open) -> None:
    """A slow question: two are asked, and both are named."""
    hung = [serve(lambda asked: None) for _ in range(3)]
    api = connect(*(one.url for one in hung), timeouts={"light": 1, "heavy": 1})
    with pytest.raises(Unavailable) as caught:
        api.get("/cluster/resources")
    assert [len(one.asked) for one in hung] == [1, 1, 0]
    assert all(f"127.0.0.1:{one.port}: no answer" in caught.value.text for one in hung[:2])


def test_who_forwards_is_not_at_fault_for_a_slow_node(serve: Serve, connect: Open) -> None:
    """A node's own read is not asked of a second server, which would wait for the same node."""
    first, second = serve(lambda asked: None), serve()
    api = connect(first.url, second.url, timeouts={"light": 1, "heavy": 1})
    with pytest.raises(Unavailable, match="no answer in time"):
        api.get("/nodes/pve2/qemu/100/pending")
    assert second.asked == []
    assert api.addresses.endpoints[0].port == first.port


def test_a_node_stands_in_when_no_endpoint_answers(serve: Serve, connect: Open) -> None:
    """Learned from `/cluster/status`, by this run or an earlier one."""
    first = serve(lambda asked: reply(STATUS % "127.0.0.2"))
    serve(lambda asked: reply('{"data":7}'), host="127.0.0.2", port=first.port)
    api = connect(first.url, direct=True)
    api.get("/cluster/status")
    first.close()
    assert api.get("/cluster/resources") == 7
    later = connect(first.url, direct=True, known=api.remember())
    assert later.get("/cluster/resources") == 7


def test_a_stand_in_is_trusted_no_more_than_an_endpoint(serve: Serve, connect: Open) -> None:
    """The certificate must be for the address, or pinned; the token is never sent to another."""
    server = serve(host="127.0.0.2", port=closed_port())
    endpoint = f"127.0.0.1:{server.port}"
    known: Json = {"endpoints": [endpoint], "nodes": {"pve2": "127.0.0.2"}}
    api = connect(
        f"https://{endpoint}",
        direct=True,
        known=known,
        tls={"fingerprints": ["AB" * 32]},
    )
    with pytest.raises(Unavailable, match=r"127\.0\.0\.2:.* does not match any pinned"):
        api.get("/version")
    assert server.asked == []


QUORUM = '{"data":[{"type":"cluster","name":"lab","quorate":%d}]}'


def test_a_node_that_was_cut_off_is_passed_over(serve: Serve, connect: Open) -> None:
    """It answers, of what it last knew; one within the quorum is asked instead."""
    cut_off, sound = serve(lambda asked: reply(QUORUM % 0)), serve(lambda asked: reply(QUORUM % 1))
    api = connect(cut_off.url, sound.url)
    assert not lacks_quorum(api.get("/cluster/status"))
    api.get("/cluster/resources")
    assert [asked.path for asked in sound.asked] == [
        "/api2/json/cluster/status",
        "/api2/json/cluster/resources",
    ]
    assert len(cut_off.asked) == 1


@pytest.mark.parametrize("other", ["cut off", "gone"])
def test_a_cluster_without_quorum_is_said_to_be_so(serve: Serve, connect: Open, other: str) -> None:
    servers = [serve(lambda asked: reply(QUORUM % 0)) for _ in range(2)]
    if other == "gone":
        servers[1].close()
    api = connect(*(one.url for one in servers))
    assert lacks_quorum(api.get("/cluster/status"))
    assert [one for one in servers if len(one.asked) > 2] == []


def test_what_cannot_be_reached_as_configured_is_told_apart(serve: Serve, connect: Open) -> None:
    """There is no use in trying again at once."""
    server = serve()
    untrusted = connect(server.url, tls={"fingerprints": ["AB" * 32]})
    with pytest.raises(Misconfigured):
        untrusted.get("/version")
    with pytest.raises(Unavailable) as caught:
        connect(f"https://127.0.0.1:{closed_port()}").get("/version")
    assert not isinstance(caught.value, Misconfigured)
