"""Which of the nodes is taken for a new VM, and what is done where none fits."""

from typing import Any

import pytest

from desired.catalog import PlacementRules
from desired.spec import VMSpec
from desired.units import GIB
from reconciler.allocation.capacity import Capacity
from reconciler.allocation.placing import Placed, place, still_placed
from reconciler.allocation.terrain import Terrain
from state.memory import Binding
from state.observed import ClusterView
from state.placing import Placing
from tests.engine import binding, node, spec, storage, template, view, vm
from tests.ground import (
    ON_CEPH,
    ON_LOCAL,
    ONE_COPY,
    THREE_COPIES,
    Where,
    chosen,
    placed,
    refused,
    terrain,
)


def test_without_a_wanted_node_the_one_with_most_free_ram_is_taken() -> None:
    """DEP-16: automatically is by free RAM."""
    nodes = [node("pve1", free=2), node("pve2", free=5), node("pve3", free=4)]
    assert placed(spec(), nodes=nodes) == Where(9001, "pve2", "pve2")
    assert placed(spec(), ONE_COPY, ON_CEPH, nodes=nodes) == Where(9000, "pve2", "pve2")
    assert placed(spec(), ONE_COPY, ON_LOCAL, nodes=nodes) == Where(9000, "pve1", "pve1")
    answer = placed(spec(), ONE_COPY, ON_LOCAL, nodes=nodes, rules=PlacementRules())
    assert answer == Where(9000, "pve1", "pve2")


def test_equal_nodes_are_taken_by_name_and_equal_copies_by_vmid() -> None:
    twice = (template(9001, "pve1"), template(9000, "pve1"))
    assert placed(spec(), twice) == Where(9000, "pve1", "pve1")


def test_a_set_of_nodes_is_pinned_to_its_best() -> None:
    nodes = [node("pve1", free=2), node("pve2", free=5), node("pve3", free=9)]
    assert placed(spec(node={"among": ["pve1", "pve2", "pve7"]}), nodes=nodes).end == "pve2"


@pytest.mark.parametrize(
    ("fill", "end"), [("balance", "pve3"), ("fill", "pve1"), ("round_robin", "pve2")]
)
def test_nodes_are_filled_by_the_fleets_rule(fill: str, end: str) -> None:
    """OPT-07"""
    nodes = [node("pve1", free=3), node("pve2", free=5), node("pve3", free=9)]
    here = terrain(nodes=nodes, rules=PlacementRules.model_validate({"fill": fill}))
    for number, on in enumerate(("pve1", "pve3", "pve3")):
        here.capacity.know(f"old-{number}", spec(f"old-{number}"), on)
    answer = place(spec(), (9000, 9001, 9002), here)
    assert isinstance(answer, Placed)
    assert answer.end == end


def test_a_group_is_spread_before_anything_else() -> None:
    """Never two on one node while another fits; then it says with whom it shares."""
    nodes = [node("pve1", free=9), node("pve2", free=5), node("pve3", online=False)]
    here = terrain(nodes=nodes)
    found = []
    for number in (1, 2, 3):
        wanted = spec(f"web-{number}", anti_affinity="web")
        answer = place(wanted, (9000, 9001, 9002), here)
        assert isinstance(answer, Placed)
        here.capacity.place(wanted, answer.end, answer.needs)
        found.append((answer.end, answer.placing.neighbours))
    assert found == [("pve1", ()), ("pve2", ()), ("pve1", ("web-1",))]


# ------------------------------------------------------------------ nothing fits


def test_a_node_that_a_spec_names_is_taken_though_it_is_short_of_room() -> None:
    """A person who names one node knows better what may be promised there; of several not."""
    nodes = [node("pve1"), node("pve2", free=1), node("pve3", free=1)]
    answer = chosen(spec(node="pve2", memory="2GiB"), nodes=nodes)
    assert (answer.end, answer.placing.problem) == ("pve2", "")
    assert answer.placing.choice is not None
    assert answer.placing.choice.rule == "its spec, though it is short of room"
    answer = chosen(spec(node={"among": ["pve2", "pve3"]}, memory="2GiB"), nodes=nodes)
    assert answer.end == "pve1"
    assert answer.placing.problem.startswith("pve2: it has too little RAM left")


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({"total": 9 * GIB, "used": 8 * GIB, "kind": "lvmthin"}, "pve2"),
        ({"total": 9 * GIB, "used": 9 * GIB, "kind": "lvmthin"}, "pve1"),
        ({"total": 9 * GIB, "used": 8 * GIB, "kind": "lvm"}, "pve1"),
    ],
)
def test_a_disk_that_surely_cannot_be_made_bars_a_named_node(
    fields: dict[str, Any], end: str
) -> None:
    """DEP-16: on thin storage the disk may only not grow to its size."""
    rows = [*storage("local-lvm", "pve1", "pve3"), *storage("local-lvm", "pve2", **fields)]
    wanted = spec(node="pve2", clone="full", disks={"system": {"size": "20GiB"}})
    assert chosen(wanted, storages=rows).end == end


def test_where_none_fits_the_reasons_of_the_first_are_told() -> None:
    nodes = [node(f"pve{n}", free=1, maxcpu=1) for n in range(1, 6)]
    answer = chosen(spec(memory="8GiB"), nodes=nodes)
    assert answer.placing.choice is not None
    assert answer.placing.choice.node == ""
    assert answer.placing.problem.count("too little RAM") == 3
    assert answer.placing.problem.endswith("; 2 more")


def test_a_missing_template_says_where_to_look() -> None:
    reason = refused(spec(), "TemplateMissing", ())
    assert "no template 9000, 9001, 9002 in cluster demo" in reason
    assert "VM.Audit" in reason


def test_a_vm_that_is_no_template_is_not_cloned() -> None:
    assert "vm 9000 is not a template" in refused(spec(), "TemplateMissing", [vm(9000)])


def test_a_row_too_young_to_say_that_it_is_a_template_is_believed() -> None:
    assert placed(spec(), [vm(9000, name=None)]) == Where(9000, "pve1", "pve1")


def test_a_template_on_nodes_that_are_down_names_them() -> None:
    nodes = [node("pve1", online=False), node("pve2")]
    reason = refused(spec(), "TemplateUnreachable", ONE_COPY, nodes=nodes)
    assert "only on pve1" in reason
    assert "start the node" in reason


def test_an_unknown_node_lists_the_known_ones() -> None:
    reason = refused(spec(node="pve9"), "NodeMissing")
    assert "no node pve9 in cluster demo: it has pve1, pve2, pve3" in reason
    reason = refused(spec(node={"among": ["pve8", "pve9"]}), "NodeMissing")
    assert "no node pve8 or pve9" in reason


# ------------------------------------------------------------------ waiting


def kept(
    wanted: VMSpec,
    world: ClusterView | None = None,
    placing: Placing | None = None,
    **fields: object,
) -> Where | None:
    plain: dict[str, object] = {"template": 9001, "template_node": "pve2", "node": "pve2"}
    old: Binding = binding(**plain | fields)  # type: ignore[arg-type]
    here = terrain(THREE_COPIES)
    if world:
        here = Terrain(world, {}, Capacity.of(world))
    found = still_placed(wanted, old, placing, (9000, 9001), here)
    return Where(found.template, found.node, found.end, found.storage) if found else None


def test_a_waiting_vm_keeps_the_place_that_it_was_given() -> None:
    assert kept(spec()) == Where(9001, "pve2", "pve2")
    assert kept(spec(node="pve2")) == Where(9001, "pve2", "pve2")
    full = spec(clone="full", storage="ceph")
    assert kept(full, clone="full", storage="ceph") == Where(9001, "pve2", "pve2", "ceph")


def test_a_waiting_vm_keeps_the_node_that_it_is_to_be_migrated_to() -> None:
    going = Placing("pve2", "pve3")
    assert kept(spec(), placing=going) == Where(9001, "pve2", "pve3")
    assert kept(spec(node="pve3"), placing=going) == Where(9001, "pve2", "pve3")
    assert kept(spec(node="pve2"), placing=going) is None
    down = view(THREE_COPIES, [node("pve2"), node("pve3", online=False)])
    assert kept(spec(), down, going) is None


def test_a_vm_that_nothing_fitted_keeps_its_place_too() -> None:
    assert kept(spec(node="pve3"), placing=Placing("pve2", problem="no")) is not None


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        (spec(node="pve1"), {}),
        (spec(clone="full", storage="ceph"), {}),
        (spec(clone="full", storage="ceph"), {"clone": "full"}),
        (spec(), {"template": 9002, "template_node": "pve3"}),
        (spec(), {"template": None}),
        (spec(), {"node": None}),
        (spec(), {"template_node": "pve3"}),
        (spec(), {"template_node": None}),
        (spec(), {"node": "pve9"}),
    ],
)
def test_a_place_that_no_longer_holds_is_chosen_anew(
    wanted: VMSpec, fields: dict[str, Any]
) -> None:
    assert kept(wanted, **fields) is None


def test_a_place_on_a_node_that_went_down_is_chosen_anew() -> None:
    down = view(THREE_COPIES, [node("pve1"), node("pve2", online=False)])
    assert kept(spec(), down) is None
