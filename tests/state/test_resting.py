"""Addresses that rest or are reserved: nobody else leases them, whoever asks."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from state.memory import LEAVING, Lease
from state.quarantine import Rest, Resting
from state.reservations import Reservation
from state.store import Store, Taken

DAY = timedelta(hours=24)
ADDRESS = Lease("web-1", "net0", "ipv4", 0, "10.0.0.7", 24, "public", "10.0.0.1", ("1.1.1.1",))
OTHER = replace(ADDRESS, address="10.1.0.9", pool="private")


def rest(at: datetime) -> Rest:
    return Rest(at, at + DAY, "web-1 gave it up")


def test_ip_11_a_released_address_rests_for_all_others(store: Store, at: datetime) -> None:
    """IP-11, TERM-09: release and quarantine are one transaction."""
    store.leases.take(ADDRESS)
    store.leases.release(ADDRESS, rest(at))
    assert store.quarantine.all() == {
        "10.0.0.7": Resting("10.0.0.7", "public", at, at + DAY, "web-1", "web-1 gave it up")
    }
    with pytest.raises(Taken, match=r"10\.0\.0\.7 rests: web-1 gave it up"):
        store.leases.take(replace(ADDRESS, key="web-2"))
    assert store.leases.taken() == set() and store.leases.unavailable() == {"10.0.0.7"}


def test_the_key_that_had_it_may_have_it_back(store: Store, at: datetime) -> None:
    store.leases.take(ADDRESS)
    store.leases.release(ADDRESS, rest(at))
    store.leases.take(ADDRESS)
    assert store.leases.of("web-1") == (ADDRESS,) and store.quarantine.all() == {}


def test_a_rest_ends_at_its_time_and_one_without_only_by_hand(store: Store, at: datetime) -> None:
    store.quarantine.put(Resting("10.0.0.7", "public", at, at + DAY, "web-1", "gone"))
    store.quarantine.put(Resting("10.0.0.8", "public", at, None, "web-1", "abandoned"))
    store.quarantine.expire(at + DAY - timedelta(seconds=1))
    assert set(store.quarantine.all()) == {"10.0.0.7", "10.0.0.8"}
    store.quarantine.expire(at + DAY)
    assert set(store.quarantine.all()) == {"10.0.0.8"}
    assert store.quarantine.lift("10.0.0.8") and not store.quarantine.lift("10.0.0.8")


def test_a_leased_address_is_not_quarantined(store: Store, at: datetime) -> None:
    store.leases.take(ADDRESS)
    with pytest.raises(Taken, match="is leased to web-1"):
        store.quarantine.put(Resting("10.0.0.7", "public", at, None, None, "by hand"))


def test_nobody_else_releases_and_nothing_rests_for_it(store: Store, at: datetime) -> None:
    store.leases.take(ADDRESS)
    store.leases.release(replace(ADDRESS, key="web-2"), rest(at))
    assert store.leases.taken() == {"10.0.0.7"} and store.quarantine.all() == {}


def test_all_of_a_key_are_released_at_once(store: Store, at: datetime) -> None:
    second = replace(ADDRESS, ordinal=1, address="10.0.0.8")
    for lease in (ADDRESS, second):
        store.leases.take(lease)
    ends = {"10.0.0.7": None, "10.0.0.8": rest(at)}
    assert store.leases.release_all("web-1", lambda one: ends[one.address]) == (ADDRESS, second)
    assert store.leases.of("web-1") == () and set(store.quarantine.all()) == {"10.0.0.8"}


def test_a_reserved_address_is_for_its_key_only(store: Store, at: datetime) -> None:
    store.reservations.put(Reservation("10.0.0.7", "web-2", "printer", "ann", at))
    with pytest.raises(Taken, match=r"reserved for web-2: printer"):
        store.leases.take(ADDRESS)
    store.leases.take(replace(ADDRESS, key="web-2"))
    assert store.leases.unavailable() == {"10.0.0.7"}
    assert store.reservations.drop("10.0.0.7") and not store.reservations.drop("10.0.0.7")


def test_an_address_reserved_for_nobody_is_leased_to_nobody(store: Store, at: datetime) -> None:
    store.reservations.put(Reservation("10.0.0.7", None, "router", "ann", at))
    with pytest.raises(Taken, match=r"10\.0\.0\.7 is reserved: router"):
        store.leases.take(ADDRESS)


def test_what_another_key_has_is_not_reserved(store: Store, at: datetime) -> None:
    store.leases.take(ADDRESS)
    with pytest.raises(Taken, match="leased to web-1"):
        store.reservations.put(Reservation("10.0.0.7", None, "router", "ann", at))
    store.reservations.put(Reservation("10.0.0.7", "web-1", "keep it", "ann", at))


def test_they_follow_a_machine_to_its_new_key(store: Store, at: datetime) -> None:
    store.quarantine.put(Resting("10.0.0.7", "public", at, None, "web-1", "gone"))
    store.reservations.put(Reservation("10.0.0.8", "web-1", "mine", "ann", at))
    store.bindings.rename_key("web-1", "new")
    assert store.quarantine.all()["10.0.0.7"].key == "new"
    assert store.reservations.all()["10.0.0.8"].key == "new"


def test_an_exchanged_address_stays_leased_while_the_guest_may_use_it(store: Store) -> None:
    store.leases.take(ADDRESS)
    left = store.leases.exchange(ADDRESS, OTHER)
    assert left == replace(ADDRESS, ordinal=LEAVING) and left.leaves
    assert store.leases.of("web-1") == (OTHER, left)


def test_an_exchange_that_fails_changes_nothing(store: Store) -> None:
    store.leases.take(ADDRESS)
    store.leases.take(replace(OTHER, key="web-2"))
    with pytest.raises(Taken):
        store.leases.exchange(ADDRESS, OTHER)
    assert store.leases.of("web-1") == (ADDRESS,)


def test_an_address_that_is_leaving_may_come_back(store: Store) -> None:
    store.leases.take(ADDRESS)
    store.leases.exchange(ADDRESS, OTHER)
    assert store.leases.exchange(OTHER, ADDRESS) == replace(OTHER, ordinal=LEAVING)
    assert store.leases.of("web-1") == (ADDRESS, replace(OTHER, ordinal=LEAVING))


def test_two_addresses_may_be_leaving_one_nic(store: Store) -> None:
    store.leases.take(ADDRESS)
    third = replace(ADDRESS, address="10.2.0.9")
    store.leases.exchange(ADDRESS, OTHER)
    assert store.leases.exchange(OTHER, third).ordinal == 2 * LEAVING
