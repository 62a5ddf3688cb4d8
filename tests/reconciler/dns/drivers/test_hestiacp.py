"""HestiaCP's own ways: access keys, exit codes, listings of older versions, one reload a batch."""

from collections.abc import Iterator

import pytest

from desired.zones import ZoneSpec
from reconciler.dns.drivers.opening import open_driver
from state.drivers import (
    BadKey,
    Conflict,
    DNSRefused,
    DNSUnreachable,
    RRChange,
    ZoneDriver,
    ZoneNotFound,
)
from state.secret import Secret
from tests.reconciler.dns.drivers.records import create, errors, held, put, rrset
from tests.servers.hestia import Hestia
from tests.servers.web import Asked, Told

ZONE, PASSWORD = "example.net", "adm!n & päss:word"
ACCESS_KEY = f"{'A' * 20}:{'s' * 40}"


@pytest.fixture
def server() -> Iterator[Hestia]:
    server = Hestia(PASSWORD, ACCESS_KEY)
    server.zone(ZONE)
    yield server
    server.close()


def opened(server: Hestia, password: str = PASSWORD, **more: object) -> ZoneDriver:
    section = {"url": server.url, "password": "env:P", "owner": Hestia.OWNER, **more}
    spec = ZoneSpec.model_validate({"name": ZONE, "hestiacp": section})
    return open_driver(spec, lambda _: Secret(password))


def commands(server: Hestia) -> list[str]:
    return [one.form["cmd"] for one in server.web.asked]


@pytest.mark.parametrize("end", ("", "/", "/api", "/api/"))
def test_the_url_is_brought_to_one_form(server: Hestia, end: str) -> None:
    """DNS-01: it ends with a slash, whatever was written."""
    assert ZONE in opened(server, url=server.url + end).check()
    assert {one.path for one in server.web.asked} == {"/api/"}


def test_an_access_key_goes_as_a_hash(server: Hestia) -> None:
    put(opened(server, ACCESS_KEY), *create(rrset(f"a.{ZONE}", "A", "192.0.2.1")))
    assert all("password" not in one.form for one in server.web.asked)
    with pytest.raises(BadKey, match="E_PASSWORD") as caught:
        opened(server, ACCESS_KEY[::-1][20:] + "x" * 20).check()
    assert "x" * 20 not in caught.value.text


def test_a_batch_reloads_the_name_server_once(server: Hestia) -> None:
    driven = opened(server)
    put(driven, *create(*(rrset(f"n{n}.{ZONE}", "A", "192.0.2.1") for n in range(5))))
    assert server.reloads == 1
    assert all(one.form.get("arg8") == "no" for one in server.web.asked if "add" in one.form["cmd"])
    (error,) = errors(driven.apply(create(rrset(f"n1.{ZONE}", "A", "192.0.2.2"))))
    assert isinstance(error, Conflict) and server.reloads == 1


def test_a_value_is_changed_in_its_place(server: Hestia) -> None:
    driven = opened(server)
    old = rrset(f"a.{ZONE}", "A", "192.0.2.1", "192.0.2.2")
    put(driven, *create(old))
    server.web.asked.clear()
    put(driven, RRChange(old, rrset(f"a.{ZONE}", "A", "192.0.2.2", "192.0.2.3")))
    writes = [one for one in commands(server) if "list" not in one]
    assert writes == ["v-change-dns-record", "v-restart-dns"]


def test_the_zones_own_ttl_stands_where_the_listing_has_none(server: Hestia) -> None:
    """Older versions do not list the TTL of a record."""
    put(opened(server), *create(rrset(f"a.{ZONE}", "A", "192.0.2.1", ttl=600)))
    for record in server.zones[ZONE].values():
        record.pop("TTL")
    (seen,) = held(opened(server), "A")
    assert seen.ttl == 14400


def test_a_suspended_record_is_not_in_force(server: Hestia) -> None:
    driven = opened(server)
    wanted = rrset(f"a.{ZONE}", "A", "192.0.2.1")
    put(driven, *create(wanted))
    server.zones[ZONE]["3"]["SUSPENDED"] = "yes"
    (seen,) = held(driven, "A")
    assert seen.values == frozenset()
    put(driven, RRChange(seen, wanted))
    assert held(driven, "A") == [wanted]


def test_a_priority_is_part_of_the_value(server: Hestia) -> None:
    server.zones[ZONE]["7"] = {
        **server.zones[ZONE]["1"],
        "ID": "7",
        "TYPE": "MX",
        "PRIORITY": "10",
        "VALUE": "Mail.example.net.",
    }
    (seen,) = held(opened(server), "MX")
    assert seen.values == {"10 mail.example.net"}


def test_its_refusals_name_the_exit_code(server: Hestia) -> None:
    """The last address of a zone may not go."""
    driven = opened(server)
    (apex,) = [one for one in driven.read() if one.type == "A"]
    (error,) = errors(driven.apply([RRChange(apex, None)]))
    assert type(error) is DNSRefused and "E_INVALID" in error.text and server.reloads == 0


def test_another_owner_is_not_found(server: Hestia) -> None:
    with pytest.raises(ZoneNotFound, match="user nobody doesn't exist"):
        opened(server, owner="nobody").check()


def test_the_zones_that_there_are_are_named(server: Hestia) -> None:
    """DNS-14: the check is the listing of zones."""
    server.zone("other.net")
    del server.zones[ZONE]
    with pytest.raises(ZoneNotFound, match=r"no zone example\.net, but other\.net"):
        opened(server).check()
    assert commands(server) == ["v-list-dns-domains"]


def after(server: Hestia, command: str, told: Told) -> None:
    """From this command on, the server answers nothing else."""

    def turn(asked: Asked) -> None:
        if asked.form["cmd"] == command:
            server.web.odd = told

    server.web.before = turn


def test_an_empty_answer_to_a_write_is_no_success(server: Hestia) -> None:
    """DNS-16: and nothing is sent after it."""
    after(server, "v-add-dns-record", Told(200, ""))
    changes = create(*(rrset(f"n{n}.{ZONE}", "A", "192.0.2.1") for n in range(3)))
    found = errors(opened(server).apply(changes))
    assert {type(one) for one in found} == {DNSUnreachable}
    assert commands(server).count("v-add-dns-record") == 1 and server.reloads == 0


def test_a_busy_server_is_tried_later(server: Hestia) -> None:
    after(server, "v-add-dns-record", Told(200, "14"))
    (error,) = errors(opened(server).apply(create(rrset(f"n.{ZONE}", "A", "192.0.2.1"))))
    assert isinstance(error, DNSUnreachable) and "E_LA" in error.text


@pytest.mark.parametrize("code", ("0", "20"))
def test_a_reload_that_fails_leaves_the_records_written(server: Hestia, code: str) -> None:
    after(server, "v-restart-dns", Told(200, code))
    put(opened(server), *create(rrset(f"n.{ZONE}", "A", "192.0.2.1")))


def test_a_reload_that_is_not_allowed_is_told(server: Hestia) -> None:
    after(server, "v-restart-dns", Told(401, "10"))
    with pytest.raises(BadKey, match="v-restart-dns: exit code 10"):
        opened(server).apply(create(rrset(f"n.{ZONE}", "A", "192.0.2.1")))


def test_an_unlisted_exit_code_is_told_as_it_is(server: Hestia) -> None:
    after(server, "v-add-dns-record", Told(200, "77"))
    (error,) = errors(opened(server).apply(create(rrset(f"n.{ZONE}", "A", "192.0.2.1"))))
    assert isinstance(error, DNSRefused) and "exit code 77" in error.text


def test_a_zone_without_a_serial_has_none(server: Hestia) -> None:
    server.web.odd = Told(200, {ZONE: {"TTL": "300", "SERIAL": "", "RECORDS": "2"}})
    assert opened(server).serial() is None
    server.web.odd = Told(200, {})
    with pytest.raises(ZoneNotFound):
        opened(server).serial()
