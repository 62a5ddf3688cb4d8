"""What the clusters of a fleet must know of each other."""

import pytest

from desired.catalog import Cluster, Pool
from desired.source import Fleet
from reconciler.neighbours import Neighbours, sharing
from reconciler.rebuild import Found, Rebuilt, take_in
from state.api import Json
from state.memory import Binding
from state.store import Store
from tests.engine import AT, DEMO, spec

REAL = {"token": {"id": "u@pve!t", "secret": "env:X"}}
SERVERS: list[Json] = ["pve1 192.0.2.1 AA:BB", "pve2 192.0.2.2 CC:DD"]
OTHERS: list[Json] = ["pve1 192.0.2.1 EE:FF", "pve2 192.0.2.2 CC:00"]


def real(host: str) -> Cluster:
    return Cluster.model_validate({"endpoints": [f"https://{host}:8006"], **REAL})


def fleet(**pools: str | None) -> Fleet:
    """Clusters a, b and c; each pool of a's VM, with the cluster that it is for."""
    nics = {f"net{n}": {"ipv4": {"pool": name}} for n, name in enumerate(pools)}
    network = {"network": "192.0.2.0/29"}
    return Fleet(
        name="demo",
        clusters={name: real(name) for name in "abc"},
        vms={"x": spec("x", cluster="a", nics=nics), "y": spec("y", cluster="b")},
        pools={name: Pool.model_validate({**network, "cluster": of}) for name, of in pools.items()},
    )


@pytest.fixture
def store() -> Store:
    return Store.temporary(at=AT)


@pytest.mark.parametrize(
    ("pools", "shared"),
    [
        ({}, set()),
        ({"own": "a"}, set()),
        ({"common": None}, {"b", "c"}),
        ({"own": "a", "theirs": "b"}, {"b"}),
    ],
)
def test_a_cluster_shares_with_those_that_may_use_its_pools(
    pools: dict[str, str | None], shared: set[str]
) -> None:
    assert sharing(fleet(**pools)) == {"a": shared, "b": set(), "c": set()}


def test_a_fleet_of_one_cluster_shares_nothing() -> None:
    assert sharing(Fleet(name="demo", clusters={"demo": DEMO}, vms={"x": spec("x")})) == {}


def test_lost_vms_freeze_their_cluster_and_those_that_share_its_pools(store: Store) -> None:
    """IP-05, DEP-12"""
    known = Neighbours.of(fleet(common=None), store, keeps=True)
    known.looked_at("b", "x (vm 101) is not in the store")
    assert known.frozen("b") == "x (vm 101) is not in the store"
    assert known.frozen("a") == "cluster b shares its pools: x (vm 101) is not in the store"
    assert known.frozen("c") is None
    known.looked_at("b", None)
    assert known.frozen("a") is None


@pytest.mark.parametrize("keeps", [True, False])
def test_what_was_found_outlives_a_run_that_may_write(store: Store, keeps: bool) -> None:
    Neighbours.of(fleet(common=None), store, keeps).looked_at("b", "lost")
    later = Neighbours.of(fleet(common=None), store, keeps=True)
    assert (later.frozen("a") is not None) is keeps
    later.looked_at("b", None)
    assert Neighbours.of(fleet(common=None), store, keeps=True).frozen("a") is None


def test_what_was_taken_in_again_freezes_nobody(store: Store) -> None:
    """Also where no spec names its cluster any more, so that no run looks at it."""
    Neighbours.of(fleet(common=None), store, keeps=True).looked_at("b", "lost")
    found = Found("y", "b", 101, Binding("y", "b", 101, "y"))
    assert take_in(Rebuilt([found]), store, AT) == []
    assert Neighbours.of(fleet(common=None), store, keeps=True).frozen("a") is None


def test_who_shares_pools_waits_until_the_others_were_looked_at_or_cannot_be(store: Store) -> None:
    known = Neighbours.of(fleet(common=None), store, keeps=True)
    known.awaited.update("abc")
    assert known.waits_for("b") is None
    assert "cluster b" in str(known.waits_for("a"))
    known.looked_at("b", None)
    assert "cluster c" in str(known.waits_for("a"))
    known.out_of_reach("c")
    assert known.waits_for("a") is None


def test_two_entries_for_one_cluster_are_both_told_of(store: Store) -> None:
    known = Neighbours.of(fleet(), store, keeps=True)
    known.met("a", {"servers": SERVERS})
    known.met("b", {"servers": SERVERS[1:]})
    known.met("c", {"servers": OTHERS})
    assert "cluster a is the cluster b too" in str(known.twin("a"))
    assert "node pve2" in str(known.twin("b"))
    assert known.twin("c") is None


@pytest.mark.parametrize("facts", [{}, {"servers": []}, {"servers": "odd"}])
def test_who_was_not_seen_is_nobodys_twin(store: Store, facts: dict[str, Json]) -> None:
    known = Neighbours.of(fleet(), store, keeps=True)
    known.met("a", facts)
    known.met("b", facts)
    assert known.twin("a") is None


@pytest.mark.parametrize(("endpoint", "twins"), [("https://b:8006", True), ("https://old", False)])
def test_what_an_earlier_run_saw_counts_while_the_endpoints_are_the_same(
    store: Store, endpoint: str, twins: bool
) -> None:
    facts: Json = {"servers": SERVERS}
    store.settings.put("preflight:b", {"endpoints": [endpoint], "facts": facts})
    store.settings.put("preflight:c", {"endpoints": ["https://c:8006"]})
    known = Neighbours.of(fleet(), store, keeps=True)
    known.met("a", {"servers": SERVERS})
    assert (known.twin("a") is not None) is twins
