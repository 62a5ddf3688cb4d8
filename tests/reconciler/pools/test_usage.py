"""How far pools are used, and what each address is."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from desired.catalog import Pool
from desired.source import Fleet
from reconciler.pools.steer import AddressError, quarantine, release, reserve
from reconciler.pools.usage import PoolUse, holding, usage
from reconciler.show.pools import bar, number, render_pool, render_pools
from reconciler.show.text import Paint
from state.memory import LEAVING, Phase
from state.quarantine import Resting
from state.reservations import Reservation
from state.store import Store
from tests.engine import AT, binding, fleet, lease, spec

BIG = Pool.model_validate(
    {
        "network": "10.0.0.0/24",
        "gateway": "10.0.0.1",
        "dns": ["10.0.0.2"],
        "exclude": ["10.0.0.9"],
        "stop": "10.0.0.21",
        "bridge": "vmbr0",
        "vlan": 7,
    }
)
STATIC = spec("db-1", nics={"net0": {"ipv4": {"static": "10.0.0.21/24"}}})
FLEET: Fleet = replace(fleet(STATIC), pools={"big": BIG})


@pytest.fixture
def store() -> Iterator[Store]:
    """Of `big` web-1 has .3 (and .4, leaving); .5 rests, .6 is reserved; .200 is outside now."""
    with Store.temporary(at=AT) as made:
        made.bindings.bind(binding("web-1", 101))
        made.leases.take(lease("web-1", "10.0.0.3", pool="big"))
        made.leases.take(lease("web-1", "10.0.0.4", pool="big", ordinal=LEAVING))
        made.leases.take(lease("web-1", "10.0.0.200", pool="big", nic="net1"))
        made.quarantine.put(Resting("10.0.0.5", "big", AT, None, "old-1", "abandoned"))
        made.reservations.put(Reservation("10.0.0.6", None, "printer", "ann", AT))
        yield made


def used(store: Store, pool: Pool = BIG) -> PoolUse:
    (only,) = usage(replace(FLEET, pools={"big": pool}), store)
    return only


def test_a_pool_is_counted_through(store: Store) -> None:
    """IP-01: total and usage; 21 addresses less the gateway, a name server and an excluded one."""
    one = used(store)
    assert (one.total, one.leased, one.resting, one.reserved, one.free) == (18, 2, 1, 2, 13)
    assert one.outside == 1
    assert (one.gaps, one.largest) == (2, 11)
    assert one.zone == "0.0.10.in-addr.arpa"


def test_a_pool_of_single_addresses_is_counted_alike(store: Store) -> None:
    listed = {"network": "10.0.0.0/24", "only": ["10.0.0.3", "10.0.0.7", "10.0.0.8", "10.0.0.90"]}
    one = used(store, Pool.model_validate(listed))
    assert (one.total, one.leased, one.free, one.gaps, one.largest) == (4, 1, 3, 2, 2)


@pytest.mark.parametrize(
    ("address", "state", "key"),
    [
        ("10.0.0.3", "leased", "web-1"),
        ("10.0.0.4", "leaving", "web-1"),
        ("10.0.0.5", "resting", "old-1"),
        ("10.0.0.6", "reserved", None),
        ("10.0.0.21", "static", "db-1"),
        ("10.0.0.9", "excluded", None),
        ("10.0.0.7", "free", None),
        ("10.0.0.99", "outside", None),
    ],
)
def test_each_address_is_something(store: Store, address: str, state: str, key: str | None) -> None:
    one = holding(address, FLEET, store)
    assert (one.state, one.key) == (state, key)


def test_a_bar_is_full_only_when_nothing_is_free(store: Store) -> None:
    one = used(store)
    assert bar(one) == "[######..............]  28%"
    assert bar(replace(one, leased=14)).startswith("[###################.]")
    assert bar(replace(one, leased=15)) == "[####################] 100%"
    assert bar(replace(one, leased=0, resting=0, reserved=0)).startswith("[....................]")
    assert bar(replace(one, total=10_000)).startswith("[#...................]")
    assert bar(replace(one, total=0, leased=0, resting=0, reserved=0)).endswith("100%")


def test_a_nearly_used_pool_is_said_to_be(store: Store) -> None:
    one = used(store)
    assert "big: 3 of 18 addresses free" in render_pools([replace(one, leased=12)], Paint())
    assert "big: 0 of 18 addresses free" in render_pools([replace(one, leased=15)], Paint())
    assert "addresses free" not in render_pools([one], Paint())
    assert render_pools([], Paint()) == "no pools: write them in pools/*.yaml"


def test_an_ipv6_pool_is_counted_in_powers_of_two(store: Store) -> None:
    """DNS-12: /120 takes a zone of 30 nibbles."""
    six = used(store, Pool.model_validate({"network": "2001:db8::/64"}))
    assert number(six.free) == "2^63" and number(5) == "5"
    one = used(store, Pool.model_validate({"network": "2001:db8::/120"}))
    assert one.zone.removesuffix(".ip6.arpa").count(".") == 29
    assert one.zone in render_pool(one, (), Paint())


def test_an_address_is_reserved_for_a_key_or_for_nobody(store: Store) -> None:
    args = ("why", "ann", AT, FLEET, store)
    assert reserve("10.0.0.7", "web-1", *args) == "10.0.0.7 is reserved for web-1"
    assert reserve("10.0.0.8", None, *args) == "10.0.0.8 is reserved"
    with pytest.raises(AddressError, match=r"10\.0\.0\.3 is leased to web-1; give that VM another"):
        reserve("10.0.0.3", "db-1", *args)
    with pytest.raises(AddressError, match="no pool leases 192"):
        reserve("192.0.2.1", None, *args)
    with pytest.raises(AddressError, match="expected an address such as"):
        reserve("big", None, *args)


def test_an_address_is_let_rest_for_a_while_or_until_released(store: Store) -> None:
    end = AT + timedelta(hours=1)
    assert quarantine("10.0.0.7", timedelta(hours=1), "blocked", AT, FLEET, store) == end
    assert quarantine("10.0.0.5", None, "longer", AT, FLEET, store) is None
    assert store.quarantine.all()["10.0.0.5"].key == "old-1"
    with pytest.raises(AddressError, match="is leased to web-1; it rests when that VM"):
        quarantine("10.0.0.3", None, "why", AT, FLEET, store)


def test_what_rests_or_is_reserved_is_released(store: Store) -> None:
    assert release("10.0.0.5", FLEET, store) == "rested"
    assert release("10.0.0.6", FLEET, store) == "was reserved"
    assert holding("10.0.0.5", FLEET, store).state == "free"
    with pytest.raises(AddressError, match="is free: there is nothing to release"):
        release("10.0.0.5", FLEET, store)


def test_a_leased_address_is_released_only_of_a_vm_that_is_gone(store: Store) -> None:
    """TERM-09"""
    with pytest.raises(AddressError, match=r"leased to web-1/net0; it is given back when its spec"):
        release("10.0.0.3", FLEET, store)
    store.bindings.change(binding("web-1", 101, phase=Phase.REMOVED))
    assert release("10.0.0.3", FLEET, store) == "was still leased to web-1, which is removed"
    assert "10.0.0.3" not in store.leases.taken()
