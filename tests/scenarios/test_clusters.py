"""Several clusters in one fleet, over the wire: one is down, one is slow, two are the same."""

from reconciler.report import Remark, VMDone
from tests.scenarios.conftest import OpenEstate
from tests.scenarios.estate import LEASE


def test_one_of_three_clusters_is_down_and_comes_back(estate: OpenEstate) -> None:
    """DEP-27: told in one line, frozen alone, gone on with by itself."""
    vms = "".join(f"{n}-{i}: {{cluster: {n}, {LEASE}}}\n" for n in "abc" for i in (1, 2))
    made = estate(vms, "a", "b", "c")
    made.clusters["b"].fault("drop-before", path="*", times=None)
    summary = made.first.run()
    assert (summary.ready, summary.failed, summary.vms) == (4, 2, 6)
    (line,) = made.errors()
    assert line.startswith("cluster b: ") and "the connection broke" in line
    assert "2 VMs left alone" in line
    assert made.machines("b") == {}
    made.clusters["b"].sim("DELETE", "faults")
    made.later(60.0)
    assert made.settle().ready == 6
    assert [made.clones(name) for name in "abc"] == [2, 2, 2]
    made.clusters["c"].fault("drop-before", path="*", times=None)
    made.later(60.0)
    summary = made.first.run()
    assert (summary.ready, summary.failed, summary.writes) == (4, 2, 0)
    assert set(made.machines("c").values()) == {"running"}


def test_a_slow_cluster_beside_a_fast_one(estate: OpenEstate) -> None:
    """OPT-08: it answers too late; the others are ready before that is known."""
    made = estate("left: {cluster: a}\nright: {cluster: b}\n", "a", "b", light=1)
    made.clusters["b"].fault("latency", path="*", seconds=30, times=None)
    summary = made.first.run(time_limit=4.0)
    assert (summary.ready, summary.failed) == (1, 1)
    (line,) = made.errors()
    assert "no answer in time" in line and "1 s allowed" in line
    told = made.first.told.events
    ready = next(n for n, one in enumerate(told) if isinstance(one, VMDone))
    late = next(n for n, one in enumerate(told) if isinstance(one, Remark) and one.text == line)
    assert ready < late


def test_one_cluster_named_twice_is_not_written_to(estate: OpenEstate) -> None:
    """By mistake two entries lead to one cluster: told in a line for each, until one is gone."""
    made = estate("left: {cluster: a}\nright: {cluster: b}\n", "a", "b")
    made.settle()
    mistaken = made.entry("b", made.clusters["a"].server.urls[1:], at="a")
    made.fleet(made.entry("a"), mistaken)
    vms = "left: {cluster: a}\nnew: {cluster: a}\nright: {cluster: b}\n"
    made.first.write({"vms/vms.yaml": vms})
    made.later(60.0)
    made.first.run()
    made.later(60.0)
    before = made.machines("a")
    summary = made.first.run()
    assert (summary.ready, summary.failed, summary.writes) == (0, 3, 0)
    assert [line.partition(":")[0] for line in sorted(made.errors())] == [
        "cluster a is the cluster b too",
        "cluster b is the cluster a too",
    ]
    assert made.machines("a") == before
    made.fleet(made.entry("a"), made.entry("b"))
    made.later(60.0)
    assert made.settle().ready == 3


def test_one_cluster_named_twice_is_noticed_before_the_first_vm_is_made(
    estate: OpenEstate,
) -> None:
    """Each waits for the other to be looked at, since they share a pool."""
    vms = f"left: {{cluster: a, {LEASE}}}\nright: {{cluster: b, {LEASE}}}\n"
    made = estate(vms, "a", "b")
    mistaken = made.entry("b", made.clusters["a"].server.urls[1:], at="a")
    made.fleet(made.entry("a"), mistaken)
    summary = made.first.run()
    assert (summary.failed, summary.writes) == (2, 0)
    assert made.machines("a") == {}


def test_a_lost_store_stops_the_cluster_beside_it(estate: OpenEstate) -> None:
    """IP-05, DEP-12: an address of a VM that the store lost in b is leased to nobody in a."""
    made = estate(f"old: {{cluster: b, {LEASE}}}\n", "a", "b")
    made.settle()
    made.first.lose_store()
    made.first.write({"vms/vms.yaml": f"new: {{cluster: a, {LEASE}}}\nold: {{cluster: b}}\n"})
    made.later(60.0)
    assert made.first.run().writes == 0
    assert made.machines("a") == {}
    assert "cluster b shares its pools" in made.first.told.words("new")
    rebuilt = made.first.cli("rebuild-state")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    made.later(60.0)
    assert made.settle().ready == 2
    with made.first.store() as store:
        leases = [lease.address for one in store.memories().values() for lease in one.leases]
    assert len(leases) == len(set(leases)) == 2
