"""Several clusters in one fleet: side by side, each with its own trouble."""

import signal
import threading
from pathlib import Path

import pytest

from reconciler.report import RunDone, VMPaused
from reconciler.sim.faults import Fault
from state.api import Unavailable
from state.store import Lost
from tests.estate import LEASE, Estate, Heard
from tests.lab import Killed

LONG = 20.0
"""Seconds of real time after which a thread that waits for another has surely waited in vain."""
TWO = f"left: {{cluster: a, {LEASE}}}\nright: {{cluster: b, {LEASE}}}\n"
MANY = "".join(
    f"{name}-{n}: {{cluster: {name}, {LEASE}}}\n" for n in range(3) for name in ("a", "b", "c")
)
ALONE = "nics: {net0: {ipv4: {pool: private}}}"
TAGS = "left: {cluster: a, tags: [x]}\nright: {cluster: b, tags: [x]}\n"


def no_route(method: str, path: str) -> None:
    raise Unavailable("no route to host")


def leased(estate: Estate) -> list[str]:
    with estate.store() as store:
        return [lease.address for one in store.memories().values() for lease in one.leases]


@pytest.mark.parametrize("workers", [1, 4])
def test_clusters_share_a_pool_and_no_address(tmp_path: Path, workers: int) -> None:
    """DEP-11, IP-01: one ledger for all, and the store decides."""
    estate = Estate(tmp_path, MANY, ("a", "b", "c"), workers)
    summary = estate.settle()
    assert (summary.ready, summary.failed) == (9, 0)
    taken = leased(estate)
    assert len(taken) == len(set(taken)) == 9
    assert [len(estate.ours(name)) for name in ("a", "b", "c")] == [3, 3, 3]
    shown = [ip for name in ("a", "b", "c") for ip in estate.ours(name).values()]
    assert len(set(shown)) == 9
    assert sum(isinstance(one, RunDone) for one in estate.told.events) == 1


@pytest.mark.parametrize("workers", [1, 4])
def test_a_dead_cluster_freezes_alone_and_comes_back_by_itself(
    tmp_path: Path, workers: int
) -> None:
    """DEP-27: its VMs are unknown and untouched, told in one line; the others are made ready."""
    estate = Estate(tmp_path, MANY, ("a", "b", "c"), workers)
    estate.gates["b"] = no_route
    summary = estate.run()
    assert (summary.ready, summary.failed, summary.waiting) == (6, 3, 0)
    assert estate.writes("b") == 0 and estate.ours("b") == {}
    (line,) = estate.errors()
    assert line.startswith("cluster b: ") and "no route to host" in line
    assert line.endswith(": 3 VMs left alone")
    assert not [one for one in estate.told.events if isinstance(one, VMPaused)]
    del estate.gates["b"]
    estate.clock.sleep(60)
    assert estate.settle().ready == 9


def test_a_cluster_that_dies_once_settled_is_left_as_it_is(tmp_path: Path) -> None:
    estate = Estate(tmp_path, TWO)
    estate.settle()
    before = estate.ours("b")
    estate.write({"vms/vms.yaml": TWO.replace(", nics", ", tags: [x], nics")})
    estate.gates["b"] = no_route
    estate.clock.sleep(60)
    summary = estate.run()
    assert (summary.ready, summary.failed) == (1, 1)
    assert estate.writes("a") == 1 and estate.ours("b") == before
    dry = estate.dry()
    assert {one.key: one.kind for one in dry.vms} == {"left": "unchanged", "right": "unknown"}
    del estate.gates["b"]
    estate.clock.sleep(60)
    summary = estate.run()
    assert (summary.ready, summary.writes) == (2, 1)


@pytest.mark.parametrize("kept", [False, True], ids=["first contact", "known"])
def test_a_slow_cluster_costs_the_others_nothing(tmp_path: Path, kept: bool) -> None:
    """Each call to b takes until a is done; were a to wait for b, neither would ever be."""
    estate = Estate(tmp_path, TWO, workers=4)
    if kept:
        estate.settle()
        estate.clock.sleep(60)
    estate.write({"vms/vms.yaml": TAGS})
    estate.hearer = hearer = Heard("left")
    in_vain: list[str] = []

    def slow(method: str, path: str) -> None:
        if not hearer.heard.wait(LONG):
            in_vain.append(path)

    estate.gates["b"] = slow
    assert estate.run().ready == 2
    assert in_vain == []


def test_what_is_yet_to_be_leased_waits_for_the_first_look_at_a_neighbour(tmp_path: Path) -> None:
    """IP-05: with a new database b may have VMs that it lost; what leases nothing goes on."""
    vms = f"{TWO}free: {{cluster: a}}\n"
    estate = Estate(tmp_path, vms, workers=4)
    estate.hearer = hearer = Heard("free")
    leases: list[int] = []

    def slow(method: str, path: str) -> None:
        if not hearer.heard.is_set():
            assert hearer.heard.wait(LONG)
            leases.append(len(leased(estate)))

    estate.gates["b"] = slow
    assert estate.run().ready == 3
    assert leases == [0], "nothing was leased before b was looked at"


@pytest.mark.parametrize("workers", [1, 4])
def test_a_lost_store_stops_every_cluster_that_shares_a_pool(tmp_path: Path, workers: int) -> None:
    """IP-05, DEP-12: the addresses of the VMs that it lost may be leased to nobody."""
    names = ("a", "b", "c")
    estate = Estate(tmp_path, MANY, names, workers)
    estate.settle()
    before = {name: estate.ours(name) for name in names}
    estate.database.unlink()
    for beside in tmp_path.glob("store.db?*"):
        beside.unlink()
    estate.write({"vms/vms.yaml": f"new-a: {{cluster: a, {LEASE}}}\nnew-c: {{cluster: c}}\n{MANY}"})
    for name in ("a", "b"):
        for vm in [one for vmid, one in estate.worlds[name].vms.items() if vmid < 9000]:
            vm.config["tags"] = ""
    estate.clock.sleep(60)
    summary = estate.run()
    assert (summary.ready, summary.writes) == (0, 0)
    assert leased(estate) == []
    assert {name: estate.ours(name) for name in names} == before
    assert "cluster c shares its pools: " in estate.told.words("new-a")
    estate.gates["c"] = no_route
    estate.clock.sleep(60)
    assert estate.run().writes == 0, "what was found is remembered while c is out of reach"


def test_a_pool_of_its_own_shares_no_trouble(tmp_path: Path) -> None:
    estate = Estate(tmp_path, f"left: {{cluster: a, {ALONE}}}\nright: {{cluster: b}}\n")
    estate.settle()
    estate.database.unlink()
    for vm in [one for vmid, one in estate.worlds["a"].vms.items() if vmid < 9000]:
        vm.config["tags"] = ""
    estate.write({"vms/vms.yaml": f"more: {{cluster: a, {ALONE}}}\nright: {{cluster: b}}\n"})
    estate.clock.sleep(60)
    summary = estate.run()
    assert (summary.ready, summary.failed) == (1, 1)
    assert set(estate.ours("a")) == {"left", "more"}


@pytest.mark.parametrize("end", [KeyboardInterrupt, Killed, Lost])
def test_what_ends_a_run_ends_it_in_every_cluster(tmp_path: Path, end: type[BaseException]) -> None:
    """C-24, design 3.7: no call is begun any more, and the next run goes on with all of it."""
    estate = Estate(tmp_path, TWO, workers=4)
    ended, begun = threading.Event(), []

    def ends(method: str, path: str) -> None:
        if not path.endswith("/clone"):
            return
        ended.set()
        if end is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
            return
        raise end("here")

    def waits(method: str, path: str) -> None:
        if path.endswith("/clone"):
            begun.append(ended.wait(LONG))

    estate.gates.update(a=ends, b=waits)
    with pytest.raises(end):
        estate.run()
    clones = len(begun)
    estate.gates.clear()
    estate.clock.sleep(60)
    assert estate.settle().ready == 2
    sent = [one.path for name in "ab" for one in estate.wires[name].writes()]
    assert sum(path.endswith("/clone") for path in sent) == 2, "none was made twice"
    assert clones <= 1


def test_a_defect_in_one_cluster_stops_that_one_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """DEP-27"""
    estate = Estate(tmp_path, TWO, workers=4)

    def odd(method: str, path: str) -> None:
        if path == "/cluster/log":
            raise ZeroDivisionError("nobody thought of it")

    estate.gates["b"] = odd
    summary = estate.run()
    assert (summary.ready, summary.failed) == (1, 1)
    assert any("ZeroDivisionError" in line for line in estate.errors())
    assert "cluster b could not be looked at" in caplog.text


def test_no_quorum_stops_that_cluster_only(tmp_path: Path) -> None:
    estate = Estate(tmp_path, TWO)
    estate.simulators["b"].faults.add(Fault("quorum-lost"))
    summary = estate.run()
    assert (summary.ready, summary.failed) == (1, 1)
    assert ["no quorum" in line and line.startswith("cluster b: ") for line in estate.errors()] == [
        True
    ]


def test_only_asks_no_cluster_that_it_need_not(tmp_path: Path) -> None:
    estate = Estate(tmp_path, TWO)
    estate.gates["b"] = no_route
    summary = estate.run(only=("left",))
    assert (summary.vms, summary.ready, summary.failed) == (1, 1, 0)


def test_a_cluster_that_is_given_up_only_when_the_time_is_out_has_failed(tmp_path: Path) -> None:
    """C-24: each question takes so long that the time is out before any VM was decided on."""
    estate = Estate(tmp_path, TWO)

    def slow(method: str, path: str) -> None:
        estate.clock.sleep(30)
        raise Unavailable("no answer in time")

    estate.gates["b"] = slow
    summary = estate.run(time_limit=40.0)
    assert (summary.ready, summary.failed, summary.waiting) == (1, 1, 0)
    (line,) = estate.errors()
    assert "no answer in time" in line and line.endswith(": 1 VM left alone")
