"""Which address of a pool is free, and for whom."""

from desired.catalog import Pool
from reconciler.allocation.addresses import Addresses
from reconciler.allocation.sightings import Use
from tests.engine import POOL, POOL6

STRANGER = Use("demo", 301, "ipconfig0")


def free(addresses: Addresses, key: str = "web-1", pool: Pool = POOL) -> str:
    return str(addresses.free("v4", pool, key))


def test_what_rests_or_is_reserved_is_free_for_its_key_only() -> None:
    """IP-11, TERM-09"""
    kept: dict[str, str | None] = {"192.0.2.3": "db-1", "192.0.2.4": None}
    here = Addresses(set(), kept=kept, resting={"192.0.2.5": "old-1"})
    assert free(here) == "192.0.2.6"
    assert free(here, "old-1") == "192.0.2.5"
    assert free(here, "db-1") == "192.0.2.3"
    assert free(here, "db-1") == "None"


def test_what_rests_but_is_reserved_for_another_is_not_given_back() -> None:
    here = Addresses(set(), kept={"192.0.2.5": "db-1"}, resting={"192.0.2.5": "old-1"})
    assert free(here, "old-1") == "192.0.2.3"


def test_a_reservation_in_another_pool_does_not_count_here() -> None:
    kept: dict[str, str | None] = {"192.0.2.5": "web-1", "2001:db8::4": "web-1"}
    here = Addresses(set(), kept=kept)
    assert free(here, pool=POOL6) == "2001:db8::4"
    assert free(here, pool=POOL6) == "2001:db8::2"
    assert free(here) == "192.0.2.5"


def test_an_address_that_is_seen_in_use_is_passed_over_and_told() -> None:
    """IP-11: before an address is leased it is in no config that was seen."""
    here = Addresses(set())
    here.learn("demo", {"192.0.2.3": (STRANGER,), "192.0.2.4": (Use("demo", 9, "net", "db-1"),)})
    assert free(here) == "192.0.2.5"
    assert here.skipped["192.0.2.3"] == (
        "192.0.2.3 of pool v4 is not leased: it is in use, by vm 301 of cluster demo (ipconfig0); "
        "exclude it, or take it off that VM"
    )
    assert "by db-1, vm 9 of cluster demo (net)" in here.skipped["192.0.2.4"]


def test_a_vm_may_have_the_address_that_it_is_seen_with() -> None:
    here = Addresses(set())
    here.learn("demo", {"192.0.2.3": (Use("demo", 101, "ipconfig0", "web-1"),)})
    assert (free(here), here.skipped) == ("192.0.2.3", {})


def test_each_cluster_is_learned_anew_beside_the_others() -> None:
    here, elsewhere = Addresses(set()), Use("far", 7, "ipconfig0")
    here.learn("far", {"192.0.2.3": (elsewhere,)})
    here.learn("demo", {"192.0.2.3": (STRANGER,)})
    here.learn("demo", {"192.0.2.3": (STRANGER,)})
    assert here.used["192.0.2.3"] == (elsewhere, STRANGER)
    assert here.learned == {"far", "demo"}


def test_a_pool_of_single_addresses_leases_just_these() -> None:
    """IP-03: as a legacy list has them."""
    only = ["192.0.2.9", "192.0.2.4", "192.0.2.7"]
    pool = Pool.model_validate(
        {"network": "192.0.2.0/28", "only": only, "gateway": "192.0.2.1", "exclude": ["192.0.2.7"]}
    )
    here = Addresses(set())
    assert [free(here, pool=pool) for _ in range(3)] == ["192.0.2.4", "192.0.2.9", "None"]
