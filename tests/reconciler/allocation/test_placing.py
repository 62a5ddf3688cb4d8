"""Which template copy is cloned, and where the clone lands."""

from collections.abc import Iterable

import pytest

from desired.spec import VMSpec
from desired.units import GIB
from reconciler.allocation.ledger import Ledger
from reconciler.allocation.placing import Placed, place, still_placed
from state.change import Note
from state.machine import Machine
from state.observed import ClusterView, NodeRow, StorageRow
from tests.engine import binding, machine, node, spec, storage, template, view, vm

LOCAL = storage("local-lvm", "pve1", "pve2", "pve3")
CEPH = storage("ceph", "pve1", "pve2", "pve3", shared=True)
ON_LOCAL = machine(scsi0="local-lvm:base-9000-disk-0,size=3G")
ON_CEPH = machine(scsi0="ceph:base-9000-disk-0,size=3G", ide2="none,media=cdrom")
ONE_COPY = (template(9000, "pve1"),)
THREE_COPIES = tuple(template(9000 + n, f"pve{n + 1}") for n in range(3))


def placed(
    wanted: VMSpec,
    rows: Iterable[object] = THREE_COPIES,
    inside: Machine = ON_LOCAL,
    storages: Iterable[StorageRow] = (*LOCAL, *CEPH),
    nodes: Iterable[NodeRow] | None = None,
) -> Placed | Note:
    world = view(rows, nodes, storages=tuple(storages))  # type: ignore[arg-type]
    machines = {row: inside for row in world.vms}
    return place(wanted, (9000, 9001, 9002), world, machines, Ledger.of(world))


def note(answer: Placed | Note, condition: str) -> str:
    """What a blocking note of that condition says."""
    assert isinstance(answer, Note)
    assert (answer.handler, answer.condition, answer.blocking) == ("allocate", condition, True)
    return answer.reason


def test_a_linked_clone_lands_beside_the_copy_on_the_wanted_node() -> None:
    """DEP-13"""
    assert placed(spec(node="pve2", storage="ceph")) == Placed(9001, "pve2", "pve2")


def test_a_full_clone_names_its_storage() -> None:
    """DEP-13"""
    answer = placed(spec(clone="full", storage="local-lvm", node="pve3"))
    assert answer == Placed(9002, "pve3", "pve3", "local-lvm")


def test_a_copy_on_shared_storage_is_cloned_across_to_the_wanted_node() -> None:
    """DEP-16"""
    assert placed(spec(node="pve3"), ONE_COPY, ON_CEPH) == Placed(9000, "pve1", "pve3")


def test_a_full_clone_goes_across_only_when_its_target_storage_is_shared_too() -> None:
    wanted = spec(node="pve3", clone="full", storage="local-lvm")
    assert placed(wanted, ONE_COPY, ON_CEPH) == Placed(9000, "pve1", "pve1", "local-lvm")
    wanted = spec(node="pve3", clone="full", storage="ceph")
    assert placed(wanted, ONE_COPY, ON_CEPH) == Placed(9000, "pve1", "pve3", "ceph")


def test_a_vm_stays_beside_the_template_where_the_wanted_node_cannot_be_reached() -> None:
    """DEP-16: none found, so it stays on the template's node and goes on."""
    assert placed(spec(node="pve3"), ONE_COPY) == Placed(9000, "pve1", "pve1")


def test_a_wanted_node_that_is_down_is_no_target() -> None:
    down = [node("pve1"), node("pve2"), node("pve3", online=False)]
    assert placed(spec(node="pve3"), ONE_COPY, ON_CEPH, nodes=down) == Placed(9000, "pve1", "pve1")


def test_an_unread_template_is_cloned_only_on_its_own_node() -> None:
    assert placed(spec(node="pve2"), ONE_COPY, Machine()) == Placed(9000, "pve1", "pve1")


def test_without_a_wanted_node_the_one_with_most_free_ram_is_taken() -> None:
    """DEP-16: automatically is by free RAM."""
    nodes = [node("pve1", free=2), node("pve2", free=5), node("pve3", free=4)]
    assert placed(spec(), nodes=nodes) == Placed(9001, "pve2", "pve2")
    assert placed(spec(), ONE_COPY, ON_CEPH, nodes=nodes) == Placed(9000, "pve1", "pve2")
    assert placed(spec(), ONE_COPY, ON_LOCAL, nodes=nodes) == Placed(9000, "pve1", "pve1")


def test_equal_nodes_are_taken_by_name_and_equal_copies_by_vmid() -> None:
    twice = (template(9001, "pve1"), template(9000, "pve1"))
    assert placed(spec(), twice) == Placed(9000, "pve1", "pve1")


def test_a_node_without_the_shared_storage_is_no_target() -> None:
    """DEP-16: candidates are filtered by storage."""
    nodes = [node("pve1", free=1), node("pve2", free=8), node("pve3", free=4)]
    partly = storage("ceph", "pve1", "pve3", shared=True)
    answer = placed(spec(), ONE_COPY, ON_CEPH, partly, nodes)
    assert answer == Placed(9000, "pve1", "pve3")
    away = [*partly, *storage("ceph", "pve2", shared=True, available=False)]
    assert placed(spec(node="pve2"), ONE_COPY, ON_CEPH, away, nodes) == Placed(9000, "pve1", "pve1")


def test_a_full_clone_goes_where_its_storage_is() -> None:
    """DEP-16: candidates are filtered by storage."""
    fast = [*LOCAL, *storage("fast", "pve2")]
    answer = placed(spec(clone="full", storage="fast"), storages=fast)
    assert answer == Placed(9001, "pve2", "pve2", "fast")
    answer = placed(spec(clone="full", storage="fast", node="pve1"), storages=fast)
    assert answer == Placed(9001, "pve2", "pve2", "fast")


def test_a_storage_that_is_listed_nowhere_keeps_nobody_away() -> None:
    answer = placed(spec(clone="full", storage="hidden", node="pve2"))
    assert answer == Placed(9001, "pve2", "pve2", "hidden")
    only_far = [*LOCAL, *storage("fast", "pve9")]
    answer = placed(spec(clone="full", storage="fast", node="pve2"), storages=only_far)
    assert answer == Placed(9001, "pve2", "pve2", "fast")


def test_a_missing_template_says_where_to_look() -> None:
    reason = note(placed(spec(), ()), "TemplateMissing")
    assert "no template 9000, 9001, 9002 in cluster demo" in reason
    assert "VM.Audit" in reason


def test_a_vm_that_is_no_template_is_not_cloned() -> None:
    reason = note(placed(spec(), [vm(9000)]), "TemplateMissing")
    assert "vm 9000 is not a template" in reason


def test_a_row_too_young_to_say_that_it_is_a_template_is_believed() -> None:
    assert placed(spec(), [vm(9000, name=None)]) == Placed(9000, "pve1", "pve1")


def test_a_template_on_nodes_that_are_down_names_them() -> None:
    nodes = [node("pve1", online=False), node("pve2")]
    reason = note(placed(spec(), ONE_COPY, nodes=nodes), "TemplateUnreachable")
    assert "only on pve1" in reason
    assert "start the node" in reason


def test_an_unknown_node_lists_the_known_ones() -> None:
    reason = note(placed(spec(node="pve9")), "NodeMissing")
    assert "no node pve9 in cluster demo: it has pve1, pve2, pve3" in reason


def kept(wanted: VMSpec, world: ClusterView | None = None, **fields: object) -> Placed | None:
    old = binding(**{"template": 9001, "template_node": "pve2", "node": "pve2", **fields})
    return still_placed(wanted, old, (9000, 9001), world or view(THREE_COPIES))


def test_a_waiting_vm_keeps_the_place_that_it_was_given() -> None:
    assert kept(spec()) == Placed(9001, "pve2", "pve2")
    assert kept(spec(node="pve2")) == Placed(9001, "pve2", "pve2")
    full = spec(clone="full", storage="ceph")
    assert kept(full, clone="full", storage="ceph") == Placed(9001, "pve2", "pve2", "ceph")


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        (spec(node="pve1"), {}),
        (spec(clone="full", storage="ceph"), {}),
        (spec(), {"template": 9002, "template_node": "pve3"}),
        (spec(), {"template": None}),
        (spec(), {"node": None}),
        (spec(), {"template_node": "pve3"}),
        (spec(), {"node": "pve9"}),
    ],
)
def test_a_place_that_no_longer_holds_is_chosen_anew(
    wanted: VMSpec, fields: dict[str, str]
) -> None:
    assert kept(wanted, **fields) is None


def test_a_place_on_a_node_that_went_down_is_chosen_anew() -> None:
    down = view(THREE_COPIES, [node("pve1"), node("pve2", online=False)])
    assert kept(spec(), down) is None


def test_the_roomiest_node_counts_what_was_just_put_there() -> None:
    ledger = Ledger.of(view(nodes=[node("a", free=4), node("b", free=3)]))
    assert ledger.roomiest("ab") == "a"
    ledger.place("a", 2 * GIB)
    assert ledger.roomiest("ab") == "b"


def test_a_node_in_maintenance_takes_no_new_vm() -> None:
    nodes = [node("pve1", free=1), node("pve2", free=8, hastate="maintenance")]
    assert placed(spec(), nodes=nodes) == Placed(9000, "pve1", "pve1")
