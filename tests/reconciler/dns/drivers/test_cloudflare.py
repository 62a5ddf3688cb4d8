"""Cloudflare's own ways: zones by name or id, pages, batches, marks, what it says no to."""

from collections.abc import Iterator

import pytest

from desired.zones import ZoneSpec
from reconciler.dns.drivers.cloudflare import PAGE
from reconciler.dns.drivers.opening import open_driver
from state.drivers import (
    Applied,
    BadKey,
    DNSRefused,
    DNSUnreachable,
    RRChange,
    ZoneDriver,
    ZoneNotFound,
)
from state.secret import Secret
from tests.reconciler.dns.drivers.records import create, errors, held, put, rrset
from tests.servers.cloudflare import LIMIT, Cloudflare
from tests.servers.web import Told

ZONE = "example.net"


@pytest.fixture
def server() -> Iterator[Cloudflare]:
    server = Cloudflare("a-token")
    yield server
    server.close()


def opened(server: Cloudflare, token: str = "a-token", **more: object) -> ZoneDriver:
    section = {"url": server.url, "token": "env:TOKEN", **more}
    spec = ZoneSpec.model_validate({"name": ZONE, "cloudflare": section})
    return open_driver(spec, lambda _: Secret(token))


def fill(server: Cloudflare, id: str, count: int) -> None:
    """Put records into a zone behind the API's back."""
    for n in range(count):
        server.records[id][f"{n:032x}"] = {
            "id": f"{n:032x}",
            "name": f"n{n}.{ZONE}",
            "type": "A",
            "content": "192.0.2.1",
            "ttl": 300,
            "proxied": False,
            "comment": "",
        }


def batches(server: Cloudflare) -> int:
    return sum(one.path.endswith("/batch") for one in server.web.asked)


def test_the_zone_is_asked_for_by_name_once(server: Cloudflare) -> None:
    server.zone(ZONE)
    driven = opened(server)
    driven.read()
    driven.read()
    assert sum(one.path.endswith("/zones") for one in server.web.asked) == 1


def test_a_zone_id_spares_the_question(server: Cloudflare) -> None:
    id = server.zone(ZONE)
    driven = opened(server, zone_id=id)
    put(driven, *create(rrset(f"a.{ZONE}", "A", "192.0.2.1")))
    assert not any(one.path.endswith("/zones") for one in server.web.asked)
    assert id in driven.check() and "active" in driven.check()


def test_a_zone_id_of_another_zone_is_told(server: Cloudflare) -> None:
    other = server.zone("other.net")
    with pytest.raises(ZoneNotFound, match=r"is other\.net, not example\.net"):
        opened(server, zone_id=other).check()


def test_two_zones_of_one_name_ask_for_an_id(server: Cloudflare) -> None:
    server.zone(ZONE)
    server.zone(ZONE)
    with pytest.raises(DNSRefused, match="account_id or zone_id"):
        opened(server).read()


def test_the_account_is_named_in_the_question(server: Cloudflare) -> None:
    server.zone(ZONE)
    opened(server, account_id="a" * 32).check()
    assert server.web.asked[0].query["account.id"] == "a" * 32


def test_all_pages_are_read(server: Cloudflare) -> None:
    id = server.zone(ZONE)
    fill(server, id, PAGE + 1)
    assert len(opened(server).read()) == PAGE + 1
    assert [one.query.get("page") for one in server.web.asked[1:]] == ["1", "2"]


def test_a_zone_that_changes_between_its_pages_is_not_believed(server: Cloudflare) -> None:
    id = server.zone(ZONE)
    fill(server, id, PAGE + 2)
    ids = sorted(server.records[id])

    def shrink(asked: object) -> None:
        if len(server.web.asked) == 3:
            del server.records[id][ids[0]]

    server.web.before = shrink
    with pytest.raises(DNSUnreachable, match="changed while it was read"):
        opened(server).read()


def test_a_batch_keeps_to_the_free_plans_limit(server: Cloudflare) -> None:
    server.zone(ZONE)
    driven = opened(server)
    wanted = [
        rrset(f"n{n}.{ZONE}", "A", *(f"192.0.2.{m}" for m in range(1, 6))) for n in range(100)
    ]
    put(driven, *create(*wanted))
    assert held(driven, "A") == sorted(wanted)
    assert batches(server) == 4 > 500 // LIMIT


def test_only_what_differs_of_a_rrset_is_written(server: Cloudflare) -> None:
    id = server.zone(ZONE)
    driven = opened(server)
    old = rrset(f"a.{ZONE}", "A", "192.0.2.1", "192.0.2.2", "192.0.2.3", mark="web-1")
    put(driven, *create(old))
    before = {one["content"]: one["id"] for one in server.records[id].values()}
    new = rrset(f"a.{ZONE}", "A", "192.0.2.2", "192.0.2.9", mark="web-1")
    put(driven, RRChange(old, new))
    after = {one["content"]: one["id"] for one in server.records[id].values()}
    assert after["192.0.2.2"] == before["192.0.2.2"]
    assert after["192.0.2.9"] in before.values()
    assert held(driven, "A") == [new]


def test_a_proxied_record_of_ours_is_put_right(server: Cloudflare) -> None:
    id = server.zone(ZONE)
    driven = opened(server)
    wanted = rrset(f"a.{ZONE}", "A", "192.0.2.1", mark="web-1")
    put(driven, *create(wanted))
    (record,) = server.records[id].values()
    record.update({"proxied": True, "ttl": 1})
    (seen,) = held(driven, "A")
    assert seen.ttl == 1
    put(driven, RRChange(seen, wanted))
    (record,) = server.records[id].values()
    assert (record["proxied"], record["ttl"]) == (False, 300)


def test_its_own_limits_are_refusals_in_its_own_words(server: Cloudflare) -> None:
    server.zone(ZONE)
    short = rrset(f"a.{ZONE}", "A", "192.0.2.1", ttl=5)
    fine = rrset(f"b.{ZONE}", "A", "192.0.2.2")
    refused, taken = errors(opened(server).apply(create(short, fine)))
    assert taken is None
    assert isinstance(refused, DNSRefused) and "9021 Invalid TTL" in refused.text


def test_too_many_requests_wait(server: Cloudflare) -> None:
    server.zone(ZONE)
    server.web.odd = Told(429, "", {"Retry-After": "30"})
    with pytest.raises(DNSUnreachable, match="asks for 30 s"):
        opened(server).apply(create(rrset(f"a.{ZONE}", "A", "192.0.2.1")))


def test_a_malformed_token_is_a_bad_key(server: Cloudflare) -> None:
    server.zone(ZONE)
    with pytest.raises(BadKey, match="6003"):
        opened(server, token=" ").check()


def test_a_record_that_came_meanwhile_is_not_written_over(server: Cloudflare) -> None:
    """The same name and value, between our reading and our writing."""
    id = server.zone(ZONE)
    wanted = rrset(f"n0.{ZONE}", "A", "192.0.2.1")

    def intrude(asked: object) -> None:
        if server.web.asked[-1].path.endswith("/batch"):
            fill(server, id, 1)

    server.web.before = intrude
    found: list[Applied] = list(opened(server).apply(create(wanted)))
    assert found[0].error is not None and "81058" in found[0].error.text
    assert len(server.records[id]) == 1
