"""What is open about a VM's place once it is there: on its way, arrived, given up, enforced."""

from dataclasses import replace
from typing import Any

import pytest

from desired.catalog import PlacementRules
from desired.spec import VMSpec
from reconciler.allocation.arriving import with_place
from reconciler.allocation.capacity import Capacity
from reconciler.allocation.terrain import Terrain
from state.machine import Machine
from state.memory import Attempt, Memory, Phase
from state.observed import HAResource, NodeRow, SeenVM
from state.placing import Choice, Placing
from state.store import Store
from tests.engine import AT, UUID, binding, config, node, seen, spec, storage, view, vm

LOCAL = storage("local-lvm", "pve1", "pve2", "pve3", kind="lvmthin")
CEPH = storage("ceph", "pve1", "pve2", "pve3", shared=True, kind="rbd")
TO_PVE3 = Placing("pve1", "pve3", "local-lvm:tank", choice=Choice("pve3", "x"))


def there(
    placing: Placing | None = None,
    nodes: list[NodeRow] | None = None,
    phase: Phase = Phase.DEPLOY,
    disk: str = "local-lvm:vm-101-disk-0,size=3G",
    on: str = "pve1",
    **row: Any,
) -> SeenVM:
    """VM 101 on pve1, stopped, with what the store holds open about its place."""
    machine = vm(101, on, **row)
    bound = binding(uuid=UUID, phase=phase, node="pve1")
    placing = placing and replace(placing, choice=None)
    world = view([machine], nodes, storages=(*LOCAL, *CEPH, *storage("tank", "pve3")))
    plain = seen("web-1", Memory(bound, placing=placing))
    return replace(
        plain,
        row=machine,
        status=machine.status,
        config=config(scsi0=disk),
        cluster=world,
    )


def looked(
    wanted: VMSpec,
    found: SeenVM,
    store: Store | None = None,
    rules: PlacementRules | None = None,
    mates: dict[str, str] | None = None,
) -> Placing | None:
    capacity = Capacity.of(found.cluster, rules)
    for key, on in (mates or {}).items():
        capacity.know(key, spec(key, anti_affinity="web"), on)
    inside = {101: Machine(found.config)}
    terrain = Terrain(found.cluster, inside, capacity)
    return with_place(wanted, found, terrain, store).memory.placing


def kept(wanted: VMSpec, found: SeenVM) -> tuple[Placing | None, Placing | None]:
    """What the look goes on with, and what the store then holds."""
    with Store.temporary(at=AT) as store:
        store.bindings.bind(binding())
        store.placements.put("web-1", TO_PVE3, AT)
        seen_now = looked(wanted, found, store)
        assert store.placements.choice("web-1") is not None
        return seen_now, store.memories()["web-1"].placing


def test_a_vm_that_is_not_there_yet_is_left_as_it_was_placed() -> None:
    absent = replace(there(TO_PVE3), row=None, config=None)
    assert looked(spec(), absent) == replace(TO_PVE3, choice=None)
    assert looked(spec(), replace(there(), config=None)) is None


def test_a_clone_is_on_its_way_until_it_is_there() -> None:
    """DEP-15"""
    going = replace(TO_PVE3, choice=None)
    assert kept(spec(), there(TO_PVE3)) == (going, going)
    assert kept(spec(node="pve3"), there(TO_PVE3)) == (going, going)
    assert kept(spec(), there(TO_PVE3, on="pve3")) == (None, None)


@pytest.mark.parametrize(
    ("wanted", "nodes", "row", "reason"),
    [
        (spec(), [node("pve3", online=False)], {}, "pve3 is not online any more"),
        (spec(), [node("pve1")], {}, "pve3 is not online any more"),
        (spec(), [node("pve3", hastate="maintenance")], {}, "pve3 is in maintenance by now"),
        (spec(), None, {"status": "running"}, "it was started before it was on pve3"),
        (spec(node="pve2"), None, {}, "it was to go to pve3, the spec wants pve2 by now"),
    ],
)
def test_a_clone_that_cannot_go_any_more_stays_and_goes_on(
    wanted: VMSpec, nodes: list[NodeRow] | None, row: dict[str, Any], reason: str
) -> None:
    """DEP-16"""
    stays = Placing("pve1", problem=reason)
    assert kept(wanted, there(TO_PVE3, nodes, **row)) == (stays, stays)


def test_a_migration_that_failed_is_given_up_with_its_error() -> None:
    """DEP-16: the VM goes on where it is."""
    found = there(TO_PVE3)
    attempt = Attempt("web-1", "placement", 1, "no route to host", AT, AT)
    found = replace(found, memory=replace(found.memory, attempts={"placement": attempt}))
    stays = Placing("pve1", problem="the migration to pve3 failed: no route to host")
    assert kept(spec(), found) == (stays, stays)


def test_while_proxmox_holds_a_lock_nothing_is_given_up() -> None:
    """DEP-26: the migration may be under way."""
    down = [node("pve1"), node("pve3", online=False)]
    going = replace(TO_PVE3, choice=None)
    assert kept(spec(), there(TO_PVE3, down, lock="migrate")) == (going, going)


def test_without_a_store_nothing_is_written() -> None:
    assert looked(spec(), there(TO_PVE3, on="pve3")) is None


@pytest.mark.parametrize(
    ("wanted", "on", "open_still"),
    [(spec(), "pve1", True), (spec(), "pve2", False), (spec(node="pve1"), "pve1", False)],
)
def test_a_problem_stands_until_the_vm_is_moved_or_wanted_there(
    wanted: VMSpec, on: str, open_still: bool
) -> None:
    problem = Placing("pve1", problem="pve3: it is not online")
    found = there(problem, on=on)
    assert looked(wanted, found) == (problem if open_still else None)


def test_it_says_with_whom_it_shares_its_node() -> None:
    wanted = spec(anti_affinity="web")
    mates = {"web-2": "pve1", "web-3": "pve2"}
    assert looked(wanted, there(), mates=mates) == Placing("pve1", neighbours=("web-2",))
    answer = looked(wanted, there(TO_PVE3), mates=mates)
    assert answer == replace(TO_PVE3, choice=None, neighbours=("web-2",))


# ------------------------------------------------------------------ enforced


def enforced(*nodes: str, **fields: object) -> VMSpec:
    named: dict[str, object] = {"among": nodes, "enforce": True}
    return spec("web-1", node=named | fields)


def test_only_a_made_vm_that_is_elsewhere_is_moved() -> None:
    assert looked(enforced("pve2"), there()) is None
    assert looked(enforced("pve1"), there(phase=Phase.READY)) is None
    assert looked(spec(node="pve2"), there(phase=Phase.READY)) is None
    for phase in (Phase.READY, Phase.CHANGE):
        assert looked(enforced("pve2"), there(phase=phase)) == Placing("pve1", "pve2")


def test_what_could_not_be_done_after_the_clone_is_made_good_where_it_is_enforced() -> None:
    problem = Placing("pve1", problem="the migration to pve2 failed: no route to host")
    found = there(problem, phase=Phase.READY)
    assert looked(enforced("pve2"), found) == Placing("pve1", "pve2")
    assert looked(spec(node="pve2"), found) == problem


def test_it_is_moved_to_the_best_of_the_nodes_that_it_may_be_on() -> None:
    nodes = [node("pve1"), node("pve2", free=4), node("pve3", free=6)]
    answer = looked(enforced("pve2", "pve3"), there(nodes=nodes, phase=Phase.READY))
    assert answer == Placing("pve1", "pve3")


def test_its_disks_go_to_the_storage_that_stands_in_for_theirs() -> None:
    """CI-06"""
    rules = PlacementRules(storage_map={"fast": ("tank",)})
    found = there(phase=Phase.READY, disk="fast:vm-101-disk-0,size=3G")
    rows = (*found.cluster.storages, *storage("fast", "pve1"))
    found = replace(found, cluster=replace(found.cluster, storages=rows))
    assert looked(enforced("pve3"), found, rules=rules) == Placing("pve1", "pve3", "fast:tank")
    answer = looked(enforced("pve3"), found)
    assert answer is not None
    assert "storage fast is not there" in answer.problem


def test_a_running_vm_takes_local_disks_along_only_where_it_may() -> None:
    running = there(phase=Phase.READY, status="running")
    answer = looked(enforced("pve2"), running)
    assert answer == Placing(
        "pve1",
        problem="pve2: disks on local-lvm are only carried along live with `local_disks: true`",
    )
    assert looked(enforced("pve2", local_disks=True), running) == Placing("pve1", "pve2")
    shared = there(phase=Phase.READY, status="running", disk="ceph:vm-101-disk-0,size=3G")
    assert looked(enforced("pve2"), shared) == Placing("pve1", "pve2")


def test_the_ha_manager_carries_no_disks_along() -> None:
    found = there(phase=Phase.READY)
    found = replace(found, cluster=replace(found.cluster, ha={101: HAResource(101)}))
    answer = looked(enforced("pve2", local_disks=True), found)
    assert answer is not None
    assert (
        answer.problem == "pve2: the HA manager carries no disks along, and some are on local-lvm"
    )


def test_a_node_that_cannot_take_it_or_is_not_known_is_said() -> None:
    down = [node("pve1"), node("pve2", online=False)]
    answer = looked(enforced("pve2"), there(nodes=down, phase=Phase.READY))
    assert answer == Placing("pve1", problem="pve2: it is not online")
    answer = looked(enforced("pve9"), there(nodes=down, phase=Phase.READY))
    assert answer == Placing("pve1", problem="no node pve9 in the cluster")


def test_several_that_are_moved_are_counted_where_they_go() -> None:
    nodes = [node("pve1"), node("pve2", free=5), node("pve3", free=4)]
    found = there(nodes=nodes, phase=Phase.READY)
    terrain = Terrain(found.cluster, {}, Capacity.of(found.cluster))
    to = []
    for number in (1, 2):
        wanted = enforced("pve2", "pve3").model_copy(
            update={"key": f"web-{number}", "memory": 3 * 2**30}
        )
        placing = with_place(wanted, found, terrain, None).memory.placing
        to.append(placing and placing.target)
    assert to == ["pve2", None]
