"""Dynamic updates: keys and their errors, rights by name, odd answers, zones of RFC 2317."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dns.flags
import dns.message
import dns.rcode
import dns.tsig
import pytest

from desired.zones import ZoneSpec
from reconciler.dns.drivers.opening import open_driver
from state.drivers import (
    BadKey,
    Conflict,
    DNSError,
    DNSRefused,
    DNSUnreachable,
    RRChange,
    ZoneDriver,
)
from state.secret import Secret
from tests.nameservers import ALGORITHMS, KEY, Bind, PowerDNS
from tests.reconciler.dns.drivers.records import create, errors, held, put, rrset
from tests.servers.scratch import ADDRESS

OTHER = "c2VjcmV0LW9mLXRoZS10ZXN0"
Reply = Callable[[bytes], bytes]
"""What an odd server sends back for a message; nothing makes it hang up."""


def opened(zone: str, port: int, secret: str, **key: object) -> ZoneDriver:
    """A driver with a key; `name` and `algorithm` may be others."""
    named = {"name": KEY, **key, "secret": "env:KEY"}
    where = {"server": ADDRESS, "port": port, "key": named, "timeout": 2}
    spec = ZoneSpec.model_validate({"name": zone, "rfc2136": where})
    return open_driver(spec, lambda _: Secret(secret))


def keyless(zone: str, port: int, server: str = ADDRESS) -> ZoneDriver:
    where = {"server": server, "port": port, "timeout": 1}
    spec = ZoneSpec.model_validate({"name": zone, "rfc2136": where})
    return open_driver(spec, lambda _: Secret(""))


@contextmanager
def odd_server(reply: Reply) -> Iterator[int]:
    """A server that answers each connection's only message so; its port."""
    with socket.create_server((ADDRESS, 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    stream, _ = server.accept()
                    with stream:
                        size = int.from_bytes(stream.recv(2, socket.MSG_WAITALL))
                        stream.sendall(reply(stream.recv(size, socket.MSG_WAITALL)))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def framed(message: dns.message.Message) -> bytes:
    wire = message.to_wire()
    return len(wire).to_bytes(2) + wire


def answer(wire: bytes, code: dns.rcode.Rcode = dns.rcode.NOERROR) -> bytes:
    """An unsigned answer without any record."""
    made = dns.message.make_response(dns.message.from_wire(wire, keyring=False))
    made.flags |= dns.flags.AA
    made.set_rcode(code)
    return framed(made)


def refusing(secret: str, algorithm: str) -> Reply:
    """Says NOTAUTH, signed with a key of its own."""
    key = dns.tsig.Key(KEY, secret, f"{algorithm}.")

    def signed(wire: bytes) -> bytes:
        asked = dns.message.from_wire(wire, keyring=False)
        made = dns.message.make_response(asked)
        made.use_tsig(key, original_id=asked.id)
        made.request_mac = asked.mac
        made.set_rcode(dns.rcode.NOTAUTH)
        return framed(made)

    return signed


def refused_batch(driven: ZoneDriver, changes: list[RRChange]) -> list[DNSError | None]:
    """The errors of a batch, also where it failed as a whole."""
    try:
        return errors(driven.apply(changes))
    except DNSError as error:
        return [error]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_signs(bind: Bind, number: int, algorithm: str) -> None:
    zone = bind.zone(f"t{number}.algorithms.test")
    name = f"{KEY}-{algorithm}"
    driven = opened(zone, bind.port, bind.keys[name], name=name, algorithm=algorithm)
    put(driven, *create(rrset(f"a.{zone}", "A", "192.0.2.1")))
    assert bind.dig(f"a.{zone}") == ("192.0.2.1",)
    assert algorithm in driven.check()


@pytest.mark.parametrize("server", ("bind", "powerdns"))
@pytest.mark.parametrize(
    ("key", "said"),
    (
        ({"name": "nobody"}, {"bind": "BADKEY", "powerdns": "NOTAUTH"}),
        ({"algorithm": "hmac-sha512"}, {"bind": "BADKEY", "powerdns": "NOTAUTH"}),
        ({"secret": "stranger"}, {"bind": "BADSIG", "powerdns": "NOTAUTH"}),
        ({"name": "stranger", "secret": "stranger"}, {"bind": "REFUSED", "powerdns": "REFUSED"}),
    ),
    ids=("unknown key", "other algorithm", "wrong secret", "no rights"),
)
def test_each_failure_of_a_key_is_one_error(
    request: pytest.FixtureRequest,
    number: int,
    server: str,
    key: dict[str, str],
    said: dict[str, str],
) -> None:
    """The same class on both servers, with the server's own word."""
    at: Bind | PowerDNS = request.getfixturevalue(server)
    zone = at.zone(f"t{number}.keys.test")
    secret = at.stranger if "secret" in key else at.secret
    named = {name: word for name, word in key.items() if name != "secret"}
    driven = opened(zone, at.port, secret, **named)
    with pytest.raises(BadKey, match=said[server]):
        driven.check()
    with pytest.raises(BadKey):
        driven.read()
    told = refused_batch(
        driven, create(*(rrset(f"a{n}.{zone}", "A", "192.0.2.1") for n in range(40)))
    )
    assert {isinstance(one, BadKey) and said[server] in one.text for one in told} == {True}
    assert at.dig(f"a1.{zone}") == ()


@pytest.mark.parametrize("algorithm", ("hmac-sha256-128", "hmac-sha384-192", "hmac-sha512-256"))
def test_truncated_algorithms_sign_too(algorithm: str) -> None:
    """RFC 8945 names them; neither BIND nor PowerDNS takes these names from the wire."""
    with odd_server(refusing(OTHER, algorithm)) as port, pytest.raises(BadKey, match="NOTAUTH"):
        opened("example.net", port, OTHER, algorithm=algorithm).serial()


def test_an_answer_that_another_key_signed_is_none() -> None:
    with odd_server(refusing(OTHER, "hmac-sha256")) as port:
        with pytest.raises(BadKey, match="not made with the key's secret"):
            opened("example.net", port, OTHER[::-1]).serial()
        with pytest.raises(BadKey, match="another key"):
            opened("example.net", port, OTHER, name="other").serial()


@pytest.mark.parametrize("ahead", (-3600, 3600))
def test_clocks_that_differ_are_named(
    bind: Bind, number: int, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    zone = bind.zone(f"t{number}.clocks.test")
    driven, real = opened(zone, bind.port, bind.secret), time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    with pytest.raises(BadKey, match="clock"):
        driven.serial()


def test_a_secret_that_is_no_base64_is_told_at_once() -> None:
    with pytest.raises(BadKey, match="no base64") as caught:
        opened("example.net", 53, "not base64!")
    assert "not base64!" not in str(caught.value)


def test_a_key_with_rights_to_some_names_writes_those(bind: Bind, number: int) -> None:
    zone = f"t{number}.rights.test"
    bind.zone(zone, policy=f"grant {KEY} wildcard *.ours.{zone} ANY;")
    driven = opened(zone, bind.port, bind.secret)
    assert "updates taken" in driven.check()
    names = [f"a{n}.{'ours' if n % 7 == 6 else 'theirs'}.{zone}" for n in range(70)]
    found = errors(driven.apply(create(*(rrset(name, "A", "192.0.2.1") for name in names))))
    written = {name for name, error in zip(names, found, strict=True) if error is None}
    assert written <= {name for name in names if ".ours." in name}
    assert {one.name for one in held(driven, "A")} == written
    alone = errors(driven.apply(create(rrset(f"z.ours.{zone}", "A", "192.0.2.1"))))
    assert alone == [None]


@pytest.mark.parametrize("zone", ("0/26.{}.0.192.in-addr.arpa", "64-127.{}.0.192.in-addr.arpa"))
@pytest.mark.parametrize("server", ("bind", "powerdns"))
def test_classless_reverse_zones_are_written(
    request: pytest.FixtureRequest, number: int, server: str, zone: str
) -> None:
    """RFC 2317: a slash or a dash in the zone's first label."""
    at: Bind | PowerDNS = request.getfixturevalue(server)
    name = at.zone(zone.format(number))
    driven = opened(name, at.port, at.secret)
    wanted = rrset(f"5.{name}", "PTR", "web-1.example.net")
    put(driven, *create(wanted))
    assert held(driven, "PTR") == [wanted]
    assert at.dig(f"5.{name}", "PTR") == ("web-1.example.net.",)


def test_a_batch_larger_than_a_message_is_sent_in_parts(bind: Bind, number: int) -> None:
    zone = bind.zone(f"t{number}.large.test")
    driven = opened(zone, bind.port, bind.secret)
    wanted = [rrset(f"n{n}.{zone}", "TXT", f'"{n:0>200}"') for n in range(400)]
    put(driven, *create(*wanted))
    assert held(driven, "TXT") == sorted(wanted)


def test_a_record_larger_than_a_message_is_refused_alone(bind: Bind, number: int) -> None:
    zone = bind.zone(f"t{number}.large.test")
    driven = opened(zone, bind.port, bind.secret)
    fine = rrset(f"fine.{zone}", "TXT", '"fine"')
    huge = rrset(f"huge.{zone}", "TXT", *(f'"{n:0>250}"' for n in range(300)))
    taken, refused = errors(driven.apply(create(fine, huge)))
    assert taken is None and isinstance(refused, DNSRefused)
    assert held(driven, "TXT") == [fine]


def test_an_update_quota_is_never_met(bind: Bind, number: int) -> None:
    """One message after the other: BIND drops updates past 100 at once without a word."""
    zone = bind.zone(f"t{number}.updates.test")
    driven = opened(zone, bind.port, bind.secret)
    for n in range(60):
        put(driven, *create(rrset(f"n{n}.{zone}", "A", "192.0.2.1")))
    assert "too many DNS UPDATEs" not in bind.log()
    assert len(held(driven, "A")) == 60


def test_a_conflict_leaves_names_that_a_server_would_pass_over(bind: Bind, number: int) -> None:
    """RFC 2136 3.4.2.2: an address beside a CNAME is dropped without an error."""
    zone = bind.zone(f"t{number}.alias.test", "a IN CNAME b", "b IN A 192.0.2.2")
    driven = opened(zone, bind.port, bind.secret)
    (address,) = errors(driven.apply(create(rrset(f"a.{zone}", "A", "192.0.2.1"))))
    (alias,) = errors(driven.apply(create(rrset(f"b.{zone}", "CNAME", f"c.{zone}"))))
    assert isinstance(address, Conflict) and isinstance(alias, Conflict)


def test_a_server_may_be_named(bind: Bind, number: int) -> None:
    zone = bind.zone(f"t{number}.named.test")
    assert keyless(zone, bind.port, "localhost").serial() == "1"
    with pytest.raises(DNSUnreachable, match="does not resolve"):
        keyless(zone, bind.port, "a" * 70 + ".test").serial()


def test_without_a_key_the_server_goes_by_the_address(bind: Bind, number: int) -> None:
    zone = f"t{number}.open.test"
    bind.zone(zone, policy="grant nobody zonesub ANY;")
    driven = keyless(zone, bind.port)
    assert driven.serial() == "1"
    with pytest.raises(BadKey, match="REFUSED"):
        driven.read()


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    (
        (lambda wire: b"", DNSUnreachable, "hung up"),
        (lambda wire: b"\x00\x40short", DNSUnreachable, "hung up"),
        (lambda wire: b"\x00\x04nope", DNSUnreachable, "cannot be read"),
        (lambda wire: answer(wire), BadKey, "not signed"),
        (lambda wire: answer(wire, dns.rcode.SERVFAIL), DNSUnreachable, "SERVFAIL"),
        (lambda wire: answer(wire, dns.rcode.NOTIMP), DNSRefused, "takes no dynamic updates"),
        (lambda wire: answer(wire, dns.rcode.BADVERS), DNSError, "BADVERS"),
    ),
    ids=("nothing", "half", "garbage", "unsigned", "servfail", "notimp", "unheard of"),
)
def test_odd_answers_are_errors(reply: Reply, kind: type[DNSError], said: str) -> None:
    """DNS-16: none is taken for a success."""
    with odd_server(reply) as port:
        driven = opened("example.net", port, "c2VjcmV0")
        for call in (driven.serial, driven.read, driven.check):
            with pytest.raises(kind, match=said):
                call()


def test_an_answer_to_another_question_is_none(number: int) -> None:
    def other(wire: bytes) -> bytes:
        asked = dns.message.from_wire(wire)
        asked.id ^= 1
        return answer(asked.to_wire())

    with odd_server(other) as port, pytest.raises(DNSUnreachable, match="something else"):
        keyless("example.net", port).serial()


def test_a_transfer_that_begins_wrong_breaks_off() -> None:
    with odd_server(answer) as port, pytest.raises(DNSUnreachable, match="broke off"):
        keyless("example.net", port).read()


def test_a_silent_server_is_given_up() -> None:
    server = socket.create_server((ADDRESS, 0))
    with server, pytest.raises(DNSUnreachable, match="no answer within 1 s"):
        keyless("example.net", server.getsockname()[1]).serial()
