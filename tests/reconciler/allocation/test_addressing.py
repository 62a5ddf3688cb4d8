"""Leases: who takes which address, keeps it, and gives it back."""

from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired.catalog import Pool
from desired.spec import VMSpec
from reconciler.allocation.addresses import Addresses
from reconciler.allocation.addressing import (
    VACATE,
    has_all,
    lease_addresses,
    leased_from,
    moved,
    pooled,
    rest_of,
    still_used,
    surplus,
    wanted_slots,
)
from state.memory import LEAVING, Intent, Lease, Memory
from state.quarantine import Rest
from state.store import Store, Taken
from tests.engine import AT, POOL, binding, config, fleet, lease, seen, spec, vm

TWO_EACH = {"net0": {"ipv4": {"pool": "v4", "count": 2}, "ipv6": {"pool": "v6", "count": 2}}}
FLEET = fleet()


def leased(
    wanted: VMSpec, *held: Lease, addresses: Addresses | None = None, store: Store | None = None
) -> list[str]:
    """The addresses that a VM has after allocation; no note is expected."""
    taken = addresses or Addresses(set())
    leases, notes = lease_addresses(wanted, held, FLEET, taken, store)
    assert not notes
    return [one.address for one in leases]


@pytest.fixture
def store() -> Store:
    """An empty store with web-1 and web-2 bound."""
    made = Store.temporary(at=AT)
    made.bindings.bind(binding("web-1", 101))
    made.bindings.bind(binding("web-2", 102))
    return made


def test_each_family_comes_from_its_own_pool_in_its_own_count() -> None:
    """DEP-11"""
    assert leased(spec(nics=TWO_EACH)) == ["192.0.2.3", "192.0.2.4", "2001:db8::2", "2001:db8::3"]


def test_a_lease_carries_what_the_guest_is_told() -> None:
    """DEP-11, IP-07: prefix, gateway and both name servers of the pool."""
    leases, _ = lease_addresses(
        spec(nics={"net0": {"ipv4": {"pool": "v4"}}}), (), FLEET, Addresses(set()), None
    )
    assert leases == (
        Lease(
            "web-1",
            "net0",
            "ipv4",
            0,
            "192.0.2.3",
            29,
            "v4",
            "192.0.2.1",
            ("192.0.2.1", "192.0.2.2"),
        ),
    )


def test_a_pool_may_have_no_name_server_and_no_gateway() -> None:
    """IP-07"""
    bare = Pool.model_validate({"network": "198.51.100.0/30"})
    one = fleet(spec())
    leases, _ = lease_addresses(
        spec(nics={"net0": {"ipv4": {"pool": "v4"}}}),
        (),
        type(one)("demo", {}, {}, pools={"v4": bare}),
        Addresses(set()),
        None,
    )
    assert (leases[0].gateway, leases[0].dns) == (None, ())


def test_two_nics_on_one_pool_are_two_leases_by_the_nics_numbers() -> None:
    on_v4 = {"ipv4": {"pool": "v4"}}
    nics = {"net10": on_v4, "net2": on_v4}
    assert [nic for nic, *_ in wanted_slots(spec(nics=nics))] == ["net2", "net10"]
    assert leased(spec(nics=nics)) == ["192.0.2.3", "192.0.2.4"]


@pytest.mark.parametrize(
    "nic",
    [
        {},
        {"ipv4": "dhcp", "ipv6": "auto"},
        {"ipv4": "none"},
        {"ipv4": {"static": "192.0.2.5/29"}},
        {"ipv4": {"pool": "v4", "count": 0}},
    ],
)
def test_only_a_pool_with_a_count_leases(nic: dict[str, object]) -> None:
    """IP-09, IP-10: none, a count of 0 and DHCP take no address."""
    assert leased(spec(nics={"net0": nic})) == []


def test_an_ipv6_only_vm_has_no_ipv4() -> None:
    """IP-09"""
    assert leased(spec(nics={"net0": {"ipv6": {"pool": "v6"}}})) == ["2001:db8::2"]


def test_pooled_skips_a_family_whose_pool_is_not_resolved() -> None:
    nics = {"net0": {"ipv4": {"pool": None}, "ipv6": {"pool": "v6"}}}
    assert [family for _, family, _ in pooled(spec(nics=nics))] == ["ipv6"]


def test_a_vm_keeps_what_it_has_whatever_became_of_the_pool() -> None:
    """DEP-11, IP-05: 203.0.113.9 is in no pool of today."""
    held = lease("web-1", "203.0.113.9", pool="gone")
    wanted = spec(nics={"net0": {"ipv4": {"pool": "v4", "count": 2}}})
    assert leased(wanted, held) == ["203.0.113.9", "192.0.2.3"]


def test_a_preview_takes_nothing_and_gives_each_vm_another_address(store: Store) -> None:
    addresses = Addresses(set())
    one, other = (spec(key, nics=TWO_EACH) for key in ("web-1", "web-2"))
    first = leased(one, addresses=addresses)
    assert not set(first) & set(leased(other, addresses=addresses))
    assert store.leases.taken() == set()


def test_an_address_that_another_process_took_is_passed_over(store: Store) -> None:
    """IP-11: the database decides."""
    store.leases.take(lease("web-2", "192.0.2.3"))
    wanted = spec(nics={"net0": {"ipv4": {"pool": "v4"}}})
    assert leased(wanted, store=store) == ["192.0.2.4"]
    assert store.leases.taken() == {"192.0.2.3", "192.0.2.4"}


def test_a_lease_refused_for_another_reason_does_not_empty_the_pool(store: Store) -> None:
    """A key that is not bound may lease nothing, whichever address."""
    wanted = spec("ghost", nics={"net0": {"ipv6": {"pool": "v6"}}})
    with pytest.raises(Taken):
        leased(wanted, store=store)
    assert store.leases.taken() == set()


def test_a_dry_pool_says_which_and_what_to_do(store: Store) -> None:
    wanted = spec(nics={"net0": {"ipv4": {"pool": "v4", "count": 5}}})
    leases, notes = lease_addresses(wanted, (), FLEET, Addresses(set()), store)
    assert [one.address for one in leases] == [f"192.0.2.{n}" for n in (3, 4, 5, 6)]
    note = notes[0]
    assert (note.field, note.condition, note.blocking) == ("net0.ipv4", "PoolExhausted", True)
    assert "pool v4 (192.0.2.1 to 192.0.2.6) has no free address: widen it" in note.reason
    assert len(store.leases.taken()) == 4


def test_lowering_a_count_frees_the_highest_ordinals() -> None:
    """C26, CP-03"""
    held = tuple(lease("web-1", f"192.0.2.{n + 3}", ordinal=n) for n in range(3))
    over = surplus(spec(nics={"net0": {"ipv4": {"pool": "v4"}}}), held, ["net0"])
    assert [one.ordinal for one in over] == [2, 1]


@pytest.mark.parametrize("family", ["dhcp", "none", {"static": "192.0.2.6/29"}])
def test_a_family_that_no_longer_comes_from_a_pool_gives_its_address_back(family: object) -> None:
    held = (lease("web-1", "192.0.2.3"),)
    assert surplus(spec(nics={"net0": {"ipv4": family}}), held, ["net0"]) == held


def test_the_address_of_a_nic_that_is_not_ours_any_more_stays_taken() -> None:
    """Unmentioned is not ours: the guest still uses it, so nobody else may have it."""
    held = (lease("web-1", "192.0.2.3"), lease("web-1", "2001:db8::2", nic="net1"))
    assert surplus(spec(nics={"net0": {}}), held, ["net0", "net1"]) == ()
    assert surplus(spec(), held, ["net0"]) == (held[1],)


def small_pools() -> st.SearchStrategy[Pool]:
    def pool(first: int, size: int, gateway: int, exclude: list[int]) -> Pool:
        net = ip_network("10.0.0.0/28")
        return Pool.model_validate(
            {
                "network": str(net),
                "start": str(net[first]),
                "stop": str(net[min(first + size, 14)]),
                "gateway": str(net[gateway]),
                "exclude": [str(net[n]) for n in exclude],
            }
        )

    inside = st.integers(1, 14)
    return st.builds(pool, inside, st.integers(0, 13), inside, st.lists(inside, max_size=3))


@given(small_pools(), st.sets(st.integers(1, 14)), st.sets(st.integers(1, 14)))
def test_free_addresses_are_inside_unreserved_and_given_once(
    pool: Pool, taken: set[int], reserved: set[int]
) -> None:
    """IP-11"""
    net = ip_network("10.0.0.0/28")
    before = {str(net[n]) for n in taken}
    kept = {str(net[n]) for n in reserved}
    addresses = Addresses(set(before), frozenset(kept))
    given_out = []
    while (address := addresses.free("p", pool)) is not None:
        given_out.append(str(address))
    banned = before | kept | {str(pool.gateway)} | {str(one) for one in pool.exclude}
    span = range(int(pool.first), int(pool.last) + 1)
    assert given_out == [str(ip_address(n)) for n in span if str(ip_address(n)) not in banned]
    assert addresses.free("p", pool) is None


def test_name_servers_in_the_range_are_never_leased() -> None:
    addresses = Addresses(set())
    assert str(addresses.free("v4", POOL)) == "192.0.2.3"


HIGH = Pool.model_validate({"network": "198.51.100.0/29", "gateway": "198.51.100.1"})
BOTH = replace(FLEET, pools={**FLEET.pools, "high": HIGH})
ON_HIGH = spec(nics={"net0": {"ipv4": {"pool": "high"}}})


def after_move(
    wanted: VMSpec, store: Store | None, *held: Lease, addresses: Addresses | None = None
) -> list[tuple[str, int]]:
    """Address and ordinal of each lease, in order, where no pool is dry."""
    leases, notes = lease_addresses(wanted, held, BOTH, addresses or Addresses(set()), store)
    assert not notes
    return [(one.address, one.ordinal) for one in leases]


@pytest.mark.parametrize("kept", [True, False])
def test_a_nic_that_moves_to_another_pool_has_an_address_of_that(store: Store, kept: bool) -> None:
    """IP-05: what it had is held until the guest has let go of it."""
    held = lease("web-1", "192.0.2.3")
    store.leases.take(held)
    found = after_move(ON_HIGH, store if kept else None, held)
    assert found == [("198.51.100.2", 0), ("192.0.2.3", LEAVING)]
    assert [one.address for one in store.leases.of("web-1")] == (
        ["198.51.100.2", "192.0.2.3"] if kept else ["192.0.2.3"]
    )


@pytest.mark.parametrize("kept", [True, False])
def test_a_nic_that_moves_back_has_its_old_address_again(store: Store, kept: bool) -> None:
    held = lease("web-1", "192.0.2.3")
    store.leases.take(held)
    after_move(ON_HIGH, store, held)
    back = spec(nics={"net0": {"ipv4": {"pool": "v4"}}})
    held_now = store.leases.of("web-1")
    found = after_move(back, store if kept else None, *held_now)
    assert found == [("192.0.2.3", 0), ("198.51.100.2", LEAVING)]


def test_an_address_that_leaves_another_place_is_not_the_way_back(store: Store) -> None:
    """It was the second of the nic; the guest was never told of it."""
    second = lease("web-1", "192.0.2.4", ordinal=LEAVING + 1)
    high = lease("web-1", "198.51.100.2", pool="high")
    for one in (second, high):
        store.leases.take(one)
    found = after_move(spec(nics={"net0": {"ipv4": {"pool": "v4"}}}), store, high, second)
    assert found == [("192.0.2.3", 0), ("192.0.2.4", LEAVING + 1), ("198.51.100.2", LEAVING)]


def test_editing_pools_moves_nobody() -> None:
    """IP-05: the pool is gone or renamed, or what it leased lies in the network of the other."""
    inside, outside = lease("web-1", "198.51.100.6"), lease("web-1", "192.0.2.3", pool="gone")
    assert not moved(inside, ["high"], BOTH.pools)
    assert not moved(outside, ["high"], BOTH.pools)
    assert not moved(lease("web-1", "192.0.2.3"), ["gone"], BOTH.pools)
    assert moved(lease("web-1", "192.0.2.3"), ["high"], BOTH.pools)


def test_a_move_to_a_dry_pool_keeps_what_the_nic_has(store: Store) -> None:
    held = lease("web-1", "192.0.2.3")
    store.leases.take(held)
    full = Addresses({f"198.51.100.{n}" for n in range(8)})
    leases, notes = lease_addresses(ON_HIGH, (held,), BOTH, full, store)
    assert leases == (held,) and notes[0].condition == "PoolExhausted"


def test_nothing_is_moved_while_the_store_is_incomplete(store: Store) -> None:
    held = lease("web-1", "192.0.2.3")
    leases, notes = lease_addresses(ON_HIGH, (held,), BOTH, Addresses(set()), store, "lost VMs")
    assert (leases, notes) == ((held,), [])


def test_a_move_passes_over_what_another_process_took(store: Store) -> None:
    """IP-11"""
    held = lease("web-1", "192.0.2.3")
    store.leases.take(held)
    store.leases.take(lease("web-2", "198.51.100.2", pool="high"))
    found = after_move(ON_HIGH, store, held)
    assert found == [("198.51.100.3", 0), ("192.0.2.3", LEAVING)]


def test_a_move_refused_for_another_reason_is_no_dry_pool(store: Store) -> None:
    ghost = spec("ghost", nics={"net0": {"ipv4": {"pool": "high"}}})
    with pytest.raises(Taken):
        lease_addresses(ghost, (lease("ghost", "192.0.2.3"),), BOTH, Addresses(set()), store)


def test_something_is_to_be_leased_when_a_place_is_empty_or_moved() -> None:
    held = lease("web-1", "192.0.2.3")
    wanted = spec(nics={"net0": {"ipv4": {"pool": "v4"}}})
    assert has_all(wanted, (held,), BOTH)
    assert not has_all(wanted, (), BOTH)
    assert not has_all(ON_HIGH, (held,), BOTH)


def test_an_address_rests_as_its_pool_says_else_the_fleet() -> None:
    """TERM-09, IP-11: 24 h unless said otherwise; 0 is not at all."""
    held = lease("web-1", "192.0.2.3")
    rests = replace(FLEET, pools={"v4": POOL.model_copy(update={"quarantine": 60.0})})
    never = replace(FLEET, pools={"v4": POOL.model_copy(update={"quarantine": 0.0})})
    assert rest_of(held, FLEET, AT, "why") == Rest(AT, AT + timedelta(days=1), "why")
    assert rest_of(held, rests, AT, "why") == Rest(AT, AT + timedelta(minutes=1), "why")
    assert rest_of(held, never, AT, "why") is None
    assert rest_of(replace(held, pool="gone"), never, AT, "why") is not None


def test_an_address_is_let_go_of_by_a_boot_after_it_was_given_up() -> None:
    """The nic's first address is the guest's until then; the further ones it was never told of."""
    left = replace(lease("web-1", "192.0.2.3"), ordinal=LEAVING)
    second = replace(left, address="192.0.2.4", ordinal=LEAVING + 1)
    row, inside = (
        replace(vm(101), status="running", uptime=600),
        config(net0="virtio=02:00:00:00:00:01"),
    )

    def used(since: datetime | None) -> list[str]:
        intents = {} if since is None else {VACATE + "192.0.2.3": Intent("web-1", "", since)}
        here = seen(
            memory=Memory(binding(), intents=intents), row=row, config=inside, status="running"
        )
        return [one.address for one in still_used((left, second), here)]

    assert used(None) == used(AT - timedelta(minutes=1)) == ["192.0.2.3"]
    assert used(AT - timedelta(minutes=20)) == []


def test_a_list_is_leased_from_when_the_pool_is_dry() -> None:
    """IP-02: pools first, then the legacy list, whichever has something free."""
    old = Pool.model_validate(
        {"network": "203.0.113.0/24", "only": ["203.0.113.7"], "legacy": True, "bridge": "vmbr0"}
    )
    tight = POOL.model_copy(update={"bridge": "vmbr0"})
    both = replace(FLEET, pools={"old": old, "v4": tight})
    wanted = spec(nics={"net0": {"bridge": "vmbr0", "ipv4": {"pool": "v4", "count": 6}}})
    leases, notes = lease_addresses(wanted, (), both, Addresses(set()), None)
    assert [(one.address, one.pool) for one in leases[-2:]] == [
        ("192.0.2.6", "v4"),
        ("203.0.113.7", "old"),
    ]
    assert [one.condition for one in notes] == ["PoolExhausted"]
    assert has_all(wanted.model_copy(), (*leases, lease("web-1", "192.0.2.9", ordinal=5)), both)
    assert leased_from(wanted, both) == {"old", "v4"}
