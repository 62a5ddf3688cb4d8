"""What every driver does alike, on every provider (DNS-01, DNS-06, DNS-14, C18)."""

import logging

import pytest

from state.drivers import (
    BadKey,
    Conflict,
    DNSError,
    DNSRefused,
    DNSUnreachable,
    RRChange,
    ZoneDriver,
    ZoneNotFound,
)
from tests.reconciler.dns.drivers.records import create, errors, held, put, rrset
from tests.servers.providers import WRONG, Ground, driver

MARK = "reconcile demo web-1"


@pytest.fixture
def zone(ground: Ground, number: int) -> str:
    return ground.zone(f"t{number}.example")


@pytest.fixture
def opened(ground: Ground, zone: str) -> ZoneDriver:
    return driver(ground, zone)


def test_what_was_written_is_read_back(ground: Ground, zone: str, opened: ZoneDriver) -> None:
    mark = MARK if ground.marks else ""
    wanted = [
        rrset(f"web-1.{zone}", "A", "192.0.2.1", mark=mark),
        rrset(f"web-1.{zone}", "AAAA", "2001:db8::1", ttl=600, mark=mark),
        rrset(f"web-2.{zone}", "A", "192.0.2.2", "192.0.2.3", mark=mark),
        rrset(f"www.{zone}", "CNAME", f"web-1.{zone}", mark=mark),
    ]
    put(opened, *create(*wanted))
    assert held(opened, "A", "AAAA", "CNAME") == wanted


def test_reverse_records_of_both_families_are_read_back(ground: Ground, number: int) -> None:
    """DNS-06: what they point to is written with a last dot and read without."""
    for zone, name in (
        (f"{number}.0.10.in-addr.arpa", f"7.{number}.0.10.in-addr.arpa"),
        (f"{number:x}.8.b.d.0.1.0.0.2.ip6.arpa", f"1.{number:x}.8.b.d.0.1.0.0.2.ip6.arpa"),
    ):
        opened = driver(ground, ground.zone(zone))
        wanted = rrset(name, "PTR", "web-1.example.net")
        put(opened, *create(wanted))
        assert held(opened, "PTR") == [wanted]


def test_a_value_is_replaced(zone: str, opened: ZoneDriver) -> None:
    old = rrset(f"a.{zone}", "A", "192.0.2.1")
    new = rrset(f"a.{zone}", "A", "192.0.2.9", "192.0.2.10")
    put(opened, *create(old, rrset(f"b.{zone}", "A", "192.0.2.2")))
    put(opened, RRChange(old, new))
    assert held(opened, "A") == [new, rrset(f"b.{zone}", "A", "192.0.2.2")]


def test_one_of_two_values_goes(zone: str, opened: ZoneDriver) -> None:
    old = rrset(f"a.{zone}", "A", "192.0.2.1", "192.0.2.2")
    new = rrset(f"a.{zone}", "A", "192.0.2.2")
    put(opened, *create(old))
    put(opened, RRChange(old, new))
    assert held(opened, "A") == [new]


def test_a_ttl_is_changed(zone: str, opened: ZoneDriver) -> None:
    old, new = (rrset(f"a.{zone}", "A", "192.0.2.1", ttl=ttl) for ttl in (300, 3600))
    put(opened, *create(old))
    put(opened, RRChange(old, new))
    assert held(opened, "A") == [new]


def test_a_removed_record_is_gone_and_others_stay(zone: str, opened: ZoneDriver) -> None:
    ours, other = rrset(f"a.{zone}", "A", "192.0.2.1"), rrset(f"b.{zone}", "A", "192.0.2.2")
    six = rrset(f"a.{zone}", "AAAA", "2001:db8::1")
    put(opened, *create(ours, other, six))
    put(opened, RRChange(ours, None))
    assert held(opened, "A", "AAAA") == [six, other]


def test_a_name_goes_from_cname_to_address_in_one_batch(zone: str, opened: ZoneDriver) -> None:
    alias = rrset(f"a.{zone}", "CNAME", f"b.{zone}")
    address = rrset(f"a.{zone}", "A", "192.0.2.1")
    put(opened, *create(alias))
    put(opened, RRChange(None, address), RRChange(alias, None))
    assert held(opened, "A", "CNAME") == [address]
    put(opened, RRChange(None, alias), RRChange(address, None))
    assert held(opened, "A", "CNAME") == [alias]


def test_nothing_is_written_beside_a_cname(zone: str, opened: ZoneDriver) -> None:
    alias = rrset(f"a.{zone}", "CNAME", f"b.{zone}")
    put(opened, *create(alias))
    (error,) = errors(opened.apply(create(rrset(f"a.{zone}", "A", "192.0.2.1"))))
    assert isinstance(error, Conflict | DNSRefused)
    assert held(opened, "A", "CNAME") == [alias]


def test_what_somebody_else_created_is_a_conflict(zone: str, opened: ZoneDriver) -> None:
    """C18: a foreign record of that name is not written over."""
    foreign = rrset(f"a.{zone}", "A", "192.0.2.66")
    put(opened, *create(foreign))
    fine = rrset(f"b.{zone}", "A", "192.0.2.2")
    refused, taken = errors(opened.apply(create(rrset(f"a.{zone}", "A", "192.0.2.1"), fine)))
    assert isinstance(refused, Conflict)
    assert taken is None
    assert held(opened, "A") == [foreign, fine]


def test_what_somebody_else_changed_is_a_conflict(zone: str, opened: ZoneDriver) -> None:
    known, changed = (rrset(f"a.{zone}", "A", f"192.0.2.{n}") for n in (1, 66))
    put(opened, *create(known))
    put(opened, RRChange(known, changed))
    for change in (RRChange(known, rrset(f"a.{zone}", "A", "192.0.2.5")), RRChange(known, None)):
        (error,) = errors(opened.apply([change]))
        assert isinstance(error, Conflict)
    gone = rrset(f"gone.{zone}", "A", "192.0.2.1")
    (error,) = errors(opened.apply([RRChange(gone, None)]))
    assert isinstance(error, Conflict)
    assert held(opened, "A") == [changed]


def test_the_serial_moves_with_a_write_only(ground: Ground, zone: str, opened: ZoneDriver) -> None:
    before = opened.serial()
    assert opened.serial() == before
    opened.check()
    assert opened.serial() == before
    put(opened, *create(rrset(f"a.{zone}", "A", "192.0.2.1")))
    assert (opened.serial() != before) == ground.serials
    assert (before is not None) == ground.serials


def test_a_large_batch_is_applied(ground: Ground, zone: str, opened: ZoneDriver) -> None:
    """500 records, in as many batches as the provider takes."""
    wanted = [rrset(f"n{n}.{zone}", "A", f"192.0.2.{n % 250}") for n in range(500)]
    changes, size = create(*wanted), opened.limits.batch
    for at in range(0, len(changes), size):
        put(opened, *changes[at : at + size])
    assert held(opened, "A") == sorted(wanted)


def test_one_refused_change_of_many_fails_alone(zone: str, opened: ZoneDriver) -> None:
    foreign = rrset(f"n13.{zone}", "A", "192.0.2.66")
    put(opened, *create(foreign))
    wanted = [rrset(f"n{n}.{zone}", "A", "192.0.2.1") for n in range(20)]
    found = errors(opened.apply(create(*wanted)))
    assert [at for at, error in enumerate(found) if error] == [13]
    assert held(opened, "A") == sorted([foreign, *wanted[:13], *wanted[14:]])


def test_a_value_that_is_none_is_refused_alone(zone: str, opened: ZoneDriver) -> None:
    """A record outside of the zone is nothing a provider takes."""
    outside, fine = (
        rrset("a.elsewhere.test", "A", "192.0.2.1"),
        rrset(f"a.{zone}", "A", "192.0.2.2"),
    )
    refused, taken = errors(opened.apply(create(outside, fine)))
    assert isinstance(refused, DNSRefused) and taken is None
    assert held(opened, "A") == [fine]


def test_check_names_what_answered(zone: str, opened: ZoneDriver) -> None:
    """DNS-14."""
    said = opened.check()
    assert zone in said and "answered" in said and "\n" not in said


def every_call(driven: ZoneDriver, zone: str, *, serial: bool) -> list[DNSError]:
    """The errors of a driver none of whose calls may succeed."""
    found = []
    changes = create(*(rrset(f"a{n}.{zone}", "A", "192.0.2.1") for n in range(9)))
    for call in (driven.check, driven.read, *([driven.serial] if serial else [])):
        with pytest.raises(DNSError) as caught:
            call()
        found.append(caught.value)
    try:
        found += [error for error in errors(driven.apply(changes)) if error]
        assert len(found) > len(changes)
    except DNSError as error:
        found.append(error)
    return found


def test_a_wrong_key_is_one_clear_error(
    ground: Ground, zone: str, caplog: pytest.LogCaptureFixture
) -> None:
    """DNS-13: it is told without any key, wrong or right."""
    with caplog.at_level(logging.DEBUG):
        found = every_call(driver(ground, zone, WRONG), zone, serial=ground.serials)
    assert {type(error) for error in found} == {BadKey}
    text = f"{found!r} {[str(one) for one in found]} {caplog.text}"
    assert not any(secret in text for secret in ground.secrets)
    assert held(driver(ground, zone), "A") == []


def test_a_server_that_is_down_is_unreachable(ground: Ground, zone: str) -> None:
    found = every_call(driver(ground, zone, down=True), zone, serial=ground.serials)
    assert {type(error) for error in found} == {DNSUnreachable}


def test_a_zone_that_is_not_there_is_not_found(ground: Ground, zone: str) -> None:
    missing = f"missing.{zone}"
    found = every_call(driver(ground, missing), missing, serial=ground.serials)
    assert {type(error) for error in found} == {ZoneNotFound}
    assert all(missing in error.text for error in found)


def test_no_secret_shows_at_all(
    ground: Ground, zone: str, caplog: pytest.LogCaptureFixture
) -> None:
    """DNS-13: not in a log at its most talkative, nor in the driver itself."""
    with caplog.at_level(logging.DEBUG):
        opened = driver(ground, zone)
        said = f"{opened!r} {opened.check()}"
        put(opened, *create(rrset(f"a.{zone}", "A", "192.0.2.1")))
        said += repr(opened.read())
    opened.close()
    opened.close()
    assert ground.secrets[0] not in said + caplog.text
