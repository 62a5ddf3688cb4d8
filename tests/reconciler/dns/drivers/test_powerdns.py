"""PowerDNS's own ways: comments of others, disabled records, serials, servers by id."""

import pytest

from desired.zones import ZoneSpec
from reconciler.dns.drivers.opening import open_driver
from state.drivers import Conflict, DNSRefused, RRChange, ZoneDriver, ZoneNotFound
from state.secret import Secret
from tests.nameservers import PowerDNS
from tests.reconciler.dns.drivers.records import create, errors, held, put, rrset


def opened(server: PowerDNS, zone: str, **more: object) -> ZoneDriver:
    section = {"url": f"{server.url}/", "api_key": "env:KEY", **more}
    spec = ZoneSpec.model_validate({"name": zone, "powerdns": section})
    return open_driver(spec, lambda _: Secret(server.api_key))


def patch(server: PowerDNS, zone: str, **rrset: object) -> None:
    """Change a rrset as somebody else would."""
    server.api("PATCH", f"zones/{zone}.", {"rrsets": [{"changetype": "REPLACE", **rrset}]})


def test_our_mark_is_a_comment_beside_those_of_others(powerdns: PowerDNS, number: int) -> None:
    zone = powerdns.zone(f"t{number}.marks.test")
    theirs = {"content": "ask ops first", "account": "ops"}
    name = f"a.{zone}."
    records = [{"content": "192.0.2.1"}]
    patch(powerdns, zone, name=name, type="A", ttl=300, records=records, comments=[theirs])
    driven = opened(powerdns, zone)
    old = rrset(f"a.{zone}", "A", "192.0.2.1")
    new = rrset(f"a.{zone}", "A", "192.0.2.2", mark="demo web-1")
    assert held(driven, "A") == [old]
    put(driven, RRChange(old, new))
    assert held(driven, "A") == [new]
    put(driven, RRChange(new, rrset(f"a.{zone}", "A", "192.0.2.3")))
    assert held(driven, "A") == [rrset(f"a.{zone}", "A", "192.0.2.3")]
    found = powerdns.api("GET", f"zones/{zone}.")["rrsets"]
    assert isinstance(found, list)
    (comments,) = [one["comments"] for one in found if one["name"] == name]
    assert [(one["content"], one["account"]) for one in comments] == [("ask ops first", "ops")]


def test_a_disabled_record_is_not_in_force(powerdns: PowerDNS, number: int) -> None:
    """It is there, so nothing new may take its name; one of ours is put in force again."""
    zone = powerdns.zone(f"t{number}.disabled.test")
    records = [{"content": "192.0.2.1", "disabled": True}]
    patch(powerdns, zone, name=f"a.{zone}.", type="A", ttl=300, records=records)
    driven = opened(powerdns, zone)
    disabled, wanted = rrset(f"a.{zone}", "A"), rrset(f"a.{zone}", "A", "192.0.2.1")
    assert held(driven, "A") == [disabled]
    (error,) = errors(driven.apply(create(wanted)))
    assert isinstance(error, Conflict) and "no value in force" in error.text
    put(driven, RRChange(disabled, wanted))
    assert powerdns.dig(f"a.{zone}") == ("192.0.2.1",)


def test_names_in_values_end_with_a_dot(powerdns: PowerDNS, number: int) -> None:
    """DNS-06: PTR, CNAME and NS."""
    zone = powerdns.zone(f"t{number}.dots.test")
    put(
        opened(powerdns, zone),
        *create(
            rrset(f"p.{zone}", "PTR", "web-1.example.net"),
            rrset(f"c.{zone}", "CNAME", f"p.{zone}"),
            rrset(f"n.{zone}", "NS", "ns1.example.net", "ns2.example.net"),
        ),
    )
    assert powerdns.dig(f"p.{zone}", "PTR") == ("web-1.example.net.",)
    found = powerdns.api("GET", f"zones/{zone}.")["rrsets"]
    assert isinstance(found, list)
    ours = [one for one in found if one["name"] != f"{zone}."]
    assert all(record["content"].endswith(".") for one in ours for record in one["records"])


def test_a_zone_whose_serial_stands_still_has_none(powerdns: PowerDNS, number: int) -> None:
    zone = powerdns.zone(f"t{number}.serials.test")
    driven = opened(powerdns, zone)
    assert driven.serial() is not None
    powerdns.api("PUT", f"zones/{zone}.", {"soa_edit_api": ""})
    assert driven.serial() is None


def test_another_server_id_is_not_found(powerdns: PowerDNS, number: int) -> None:
    zone = powerdns.zone(f"t{number}.ids.test")
    with pytest.raises(ZoneNotFound, match="server's id"):
        opened(powerdns, zone, server_id="other").check()


def test_a_zone_with_a_slash_is_found(powerdns: PowerDNS, number: int) -> None:
    zone = powerdns.zone(f"0/26.{number}.0.192.in-addr.arpa")
    driven = opened(powerdns, zone)
    wanted = rrset(f"5.{zone}", "PTR", "web-1.example.net")
    put(driven, *create(wanted))
    assert held(driven, "PTR") == [wanted]
    assert zone in driven.check()


def test_a_refused_value_fails_alone_with_the_servers_words(
    powerdns: PowerDNS, number: int
) -> None:
    zone = powerdns.zone(f"t{number}.words.test")
    driven = opened(powerdns, zone)
    wanted = [rrset(f"a{n}.{zone}", "A", f"192.0.2.{n}") for n in range(8)]
    wanted[5] = rrset(f"a5.{zone}", "A", "192.0.2.500")
    found = errors(driven.apply(create(*wanted)))
    assert [at for at, error in enumerate(found) if error] == [5]
    assert isinstance(found[5], DNSRefused) and "192.0.2.500" in found[5].text
    assert len(held(driven, "A")) == 7
