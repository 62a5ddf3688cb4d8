"""Which template copy is cloned, on which node, and whether the clone is then migrated."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from desired.catalog import PlacementRules
from desired.spec import VMSpec
from desired.units import GIB
from reconciler.allocation.capacity import Capacity
from reconciler.allocation.placing import Placed, place, still_placed
from reconciler.allocation.terrain import Terrain
from state.change import Note
from state.machine import Machine
from state.memory import Binding
from state.observed import ClusterView, NodeRow, StorageRow
from state.placing import Placing
from tests.engine import binding, machine, node, spec, storage, template, view, vm

LOCAL = storage("local-lvm", "pve1", "pve2", "pve3", kind="lvmthin")
CEPH = storage("ceph", "pve1", "pve2", "pve3", shared=True, kind="rbd")
ON_LOCAL = machine(scsi0="local-lvm:base-9000-disk-0,size=3G", boot="order=scsi0")
ON_CEPH = machine(scsi0="ceph:base-9000-disk-0,size=3G", ide2="none,media=cdrom")
ONE_COPY = (template(9000, "pve1"),)
THREE_COPIES = tuple(template(9000 + n, f"pve{n + 1}") for n in range(3))
SHARED_ISO = "ceph:iso/x.iso,media=cdrom"
STAYS = PlacementRules(post_clone_migration=False)


class Where(NamedTuple):
    """A placement in short: the copy, where it lands, where it ends, the storage it is given."""

    template: int | None
    node: str
    end: str
    storage: str | None = None


def terrain(
    rows: Iterable[object] = THREE_COPIES,
    inside: Machine = ON_LOCAL,
    storages: Iterable[StorageRow] = (*LOCAL, *CEPH),
    nodes: Iterable[NodeRow] | None = None,
    rules: PlacementRules = STAYS,
) -> Terrain:
    world = view(rows, nodes, storages=tuple(storages))  # type: ignore[arg-type]
    return Terrain(world, dict.fromkeys(world.vms, inside), Capacity.of(world, rules))


def chosen(wanted: VMSpec, *given: object, **fields: object) -> Placed:
    answer = place(wanted, (9000, 9001, 9002), terrain(*given, **fields))  # type: ignore[arg-type]
    assert isinstance(answer, Placed), answer
    return answer


def placed(wanted: VMSpec, *given: object, **fields: object) -> Where:
    answer = chosen(wanted, *given, **fields)
    return Where(answer.template, answer.node, answer.end, answer.storage)


def refused(wanted: VMSpec, condition: str, *given: object, **fields: object) -> str:
    """What a blocking note of that condition says."""
    answer = place(wanted, (9000, 9001, 9002), terrain(*given, **fields))  # type: ignore[arg-type]
    assert isinstance(answer, Note)
    assert (answer.handler, answer.condition, answer.blocking) == ("allocate", condition, True)
    return answer.reason


def against(answer: Placed, on: str) -> str:
    """What was said against a node."""
    assert answer.placing.choice is not None
    (verdict,) = (one for one in answer.placing.choice.verdicts if one.node == on)
    return "; ".join(verdict.against)


# ------------------------------------------------------------------ ways


def test_a_linked_clone_lands_beside_the_copy_on_the_wanted_node() -> None:
    """DEP-13"""
    assert placed(spec(node="pve2", storage="ceph")) == Where(9001, "pve2", "pve2")


def test_a_full_clone_names_its_storage() -> None:
    """DEP-13"""
    answer = placed(spec(clone="full", storage="local-lvm", node="pve3"))
    assert answer == Where(9002, "pve3", "pve3", "local-lvm")


def test_a_copy_on_shared_storage_is_cloned_across_to_the_wanted_node() -> None:
    """DEP-16"""
    assert placed(spec(node="pve3"), ONE_COPY, ON_CEPH) == Where(9000, "pve3", "pve3")


def test_a_full_clone_goes_across_only_when_its_target_storage_is_shared_too() -> None:
    wanted = spec(node="pve3", clone="full", storage="local-lvm")
    assert placed(wanted, ONE_COPY, ON_CEPH) == Where(9000, "pve1", "pve1", "local-lvm")
    wanted = spec(node="pve3", clone="full", storage="ceph")
    assert placed(wanted, ONE_COPY, ON_CEPH) == Where(9000, "pve3", "pve3", "ceph")


def test_a_clone_on_local_storage_is_migrated_to_its_node_afterwards() -> None:
    """DEP-15: only where the template is on another node, and by default."""
    on = {"rules": PlacementRules()}
    answer = chosen(spec(node="pve3"), ONE_COPY, **on)
    assert (answer.node, answer.end, answer.placing.storages) == ("pve1", "pve3", "")
    assert placed(spec(node="pve1"), ONE_COPY, **on) == Where(9000, "pve1", "pve1")
    answer = chosen(spec(node="pve3"), ONE_COPY)
    assert (answer.end, answer.placing.problem) == (
        "pve1",
        "pve3: its template is on pve1, and post_clone_migration is off",
    )


def test_what_is_carried_along_goes_to_the_storage_that_stands_in_for_its_own() -> None:
    """CI-06, DEP-15: the first that the node has."""
    rules = PlacementRules(storage_map={"local-lvm": ("fast", "tank")})
    rows = [*storage("local-lvm", "pve1", "pve2"), *storage("tank", "pve1", "pve3")]
    answer = chosen(spec(node="pve3"), ONE_COPY, storages=rows, rules=rules)
    assert (answer.end, answer.placing.storages) == ("pve3", "local-lvm:tank")
    rows += storage("fast", "pve1")
    answer = chosen(spec(node="pve3"), ONE_COPY, storages=rows, rules=rules)
    assert (answer.end, answer.placing.storages) == ("pve3", "local-lvm:tank")
    assert answer.needs == {"tank": 3 * GIB}
    answer = chosen(spec(node="pve3"), ONE_COPY, storages=rows, rules=PlacementRules())
    assert against(answer, "pve3") == (
        "storage local-lvm is not there, and `storage_map` names none there that stands in for it"
    )


@pytest.mark.parametrize("kind", ["zfspool", "dir", "btrfs"])
def test_linked_clones_that_name_their_base_are_not_migrated(kind: str) -> None:
    rows = storage("local-lvm", "pve1", "pve2", "pve3", kind=kind)
    rules = PlacementRules()
    answer = chosen(spec(node="pve3"), ONE_COPY, storages=rows, rules=rules)
    assert answer.placing.problem == (
        "pve3: a linked clone on local-lvm cannot leave pve1; `clone: full` can"
    )
    answer = chosen(spec(node="pve3", clone="full"), ONE_COPY, storages=rows, rules=rules)
    assert answer.end == "pve3"


@pytest.mark.parametrize(
    ("inside", "fields", "reason"),
    [
        (Machine(), {}, "its template on pve1 was not read yet"),
        (
            ON_LOCAL,
            {"clone": "full", "storage": "fast"},
            "its template is on pve1: storage fast is not there",
        ),
        (
            machine(scsi0="far:base,size=3G"),
            {},
            "storage far is not there",
        ),
        (
            machine(scsi0="local-lvm:base,size=3G", ide2="local:iso/x.iso,media=cdrom"),
            {},
            "the image local:iso/x.iso in its CD-ROM drive is on one node only",
        ),
    ],
)
def test_a_clone_that_cannot_be_migrated_stays_and_says_why(
    inside: Machine, fields: dict[str, Any], reason: str
) -> None:
    """DEP-16"""
    rows = (*LOCAL, *storage("fast", "pve3"), *storage("far", "pve1", "pve2", shared=True))
    wanted = spec(node="pve3", **fields)
    answer = chosen(wanted, ONE_COPY, inside, rows, rules=PlacementRules())
    assert (answer.node, answer.end) == ("pve1", "pve1")
    assert answer.placing.problem == f"pve3: {reason}"


def test_an_image_in_the_drive_of_a_template_may_be_shared() -> None:
    inside = machine(
        scsi0="local-lvm:base,size=3G", ide2="ceph:iso/x.iso,media=cdrom", scsi1="none"
    )
    answer = chosen(spec(node="pve3"), ONE_COPY, inside, rules=PlacementRules())
    assert answer.end == "pve3"


def test_a_template_on_both_kinds_of_storage_carries_only_what_is_local() -> None:
    inside = machine(scsi0="ceph:base,size=3G", scsi1="local-lvm:base,size=2G")
    answer = chosen(spec(node="pve2"), ONE_COPY, inside, rules=PlacementRules())
    assert (answer.end, answer.needs) == ("pve2", {"ceph": 3 * GIB, "local-lvm": 2 * GIB})


# ------------------------------------------------------------------ filters


def test_a_vm_stays_beside_the_template_where_the_wanted_node_cannot_be_reached() -> None:
    """DEP-16: none found, so it stays on the template's node and goes on."""
    assert placed(spec(node="pve3"), ONE_COPY) == Where(9000, "pve1", "pve1")


def test_a_wanted_node_that_is_down_is_no_target() -> None:
    down = [node("pve1"), node("pve2"), node("pve3", online=False)]
    answer = chosen(spec(node="pve3"), ONE_COPY, ON_CEPH, nodes=down)
    assert (answer.end, answer.placing.problem) == ("pve1", "pve3: it is not online")


def test_an_unread_template_is_cloned_only_on_its_own_node() -> None:
    assert placed(spec(node="pve2"), ONE_COPY, Machine()) == Where(9000, "pve1", "pve1")


def test_a_node_without_the_shared_storage_is_no_target() -> None:
    """DEP-16: candidates are filtered by storage."""
    nodes = [node("pve1", free=3), node("pve2", free=8), node("pve3", free=4)]
    partly = storage("ceph", "pve1", "pve3", shared=True)
    answer = placed(spec(), ONE_COPY, ON_CEPH, partly, nodes)
    assert answer == Where(9000, "pve3", "pve3")
    away = [*partly, *storage("ceph", "pve2", shared=True, available=False)]
    assert placed(spec(node="pve2"), ONE_COPY, ON_CEPH, away, nodes) == Where(9000, "pve1", "pve1")


def test_a_full_clone_goes_where_its_storage_is() -> None:
    """DEP-16: candidates are filtered by storage."""
    fast = [*LOCAL, *storage("fast", "pve2")]
    answer = placed(spec(clone="full", storage="fast"), storages=fast)
    assert answer == Where(9001, "pve2", "pve2", "fast")
    answer = placed(spec(clone="full", storage="fast", node="pve1"), storages=fast)
    assert answer == Where(9001, "pve2", "pve2", "fast")


def test_a_storage_that_is_listed_nowhere_keeps_nobody_away() -> None:
    answer = placed(spec(clone="full", storage="hidden", node="pve2"))
    assert answer == Where(9001, "pve2", "pve2", "hidden")


def test_where_a_storage_is_on_no_usable_node_the_vm_is_made_beside_its_template() -> None:
    """Proxmox then says what is wrong."""
    only_far = [*LOCAL, *storage("fast", "pve9")]
    answer = placed(spec(clone="full", storage="fast", node="pve2"), storages=only_far)
    assert answer == Where(9000, "pve1", "pve1", "fast")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"available": False}, "storage fast is not available"),
        ({"content": frozenset({"iso"})}, "storage fast takes no disk images"),
        ({"total": 50 * GIB, "used": 45 * GIB, "kind": "lvm"}, "fast has 5.0 GiB left, 20.0 GiB"),
        (
            {"total": 50 * GIB, "used": 60 * GIB},
            "storage fast has 0.0 GiB left, 20.0 GiB are needed",
        ),
    ],
)
def test_a_disk_needs_its_storage_there_and_room_on_it(
    fields: dict[str, object], reason: str
) -> None:
    """DEP-16, DEP-20"""
    on_one = storage("fast", "pve1", **fields)
    rows = [*LOCAL, *on_one, *storage("fast", "pve2", content=frozenset({"images"}))]
    wanted = spec(disks={"scsi1": {"size": "20GiB", "storage": "fast"}, "system": {"size": "9GiB"}})
    answer = chosen(wanted, storages=rows)
    assert answer.end == "pve2"
    assert reason in against(answer, "pve1")
    assert against(answer, "pve3") == "storage fast is not there"
    assert answer.needs == {"local-lvm": 9 * GIB, "fast": 20 * GIB}


def test_thin_storage_is_promised_so_many_times() -> None:
    """Five disks of 40 GiB on 50 GiB that are free."""
    rows = storage("local-lvm", "pve1", kind="lvmthin", total=50 * GIB)
    here = terrain(ONE_COPY, ON_LOCAL, rows, rules=PlacementRules(thin_overcommit=4))
    found = []
    for number in range(6):
        wanted = spec(f"web-{number}", disks={"system": {"size": "40GiB"}})
        answer = place(wanted, (9000,), here)
        assert isinstance(answer, Placed)
        here.capacity.place(wanted, answer.end, answer.needs, here.view)
        found.append("left" in answer.placing.problem)
    assert found == [False] * 5 + [True]


def test_state_disks_and_disks_without_a_storage_go_to_the_vms() -> None:
    wanted = spec(
        storage="ceph", efi={}, tpm={"storage": "fast"}, disks={"scsi1": {"size": "1GiB"}}
    )
    assert chosen(wanted).needs == {"local-lvm": 3 * GIB, "ceph": GIB, "fast": 0}


def test_ram_is_kept_free_and_cpus_are_not_promised_without_limit() -> None:
    """DEP-16: the node with the most RAM has none to spare."""
    nodes = [node("pve1", free=5, maxcpu=2), node("pve2", free=4), node("pve3", free=3)]
    answer = chosen(spec(memory="3GiB", cpu={"cores": 9}), nodes=nodes)
    assert answer.end == "pve2" or answer.placing.problem
    assert against(answer, "pve1") == (
        "9 virtual CPUs would stand against 2, 4 times as many are allowed"
    )
    assert "it has too little RAM left, 1.6 GiB are to stay free" in against(answer, "pve3")
    assert "1.0 GiB of RAM would be left, 1.6 GiB are to stay free" in against(answer, "pve2")
    assert (answer.end, answer.placing.node) == ("pve1", "pve1")


def test_the_templates_memory_and_cpus_count_where_the_spec_names_none() -> None:
    inside = machine(scsi0="local-lvm:base", memory="8192", cores=3, sockets=2)
    nodes = [node("pve1", free=8, maxcpu=1), node("pve2", free=9, maxcpu=1)]
    answer = chosen(spec(), THREE_COPIES[:2], inside, nodes=nodes)
    assert "too little RAM left" in against(answer, "pve1")
    assert "6 virtual CPUs would stand against 1" in against(answer, "pve2")


def test_a_node_in_maintenance_takes_no_new_vm() -> None:
    nodes = [node("pve1", free=2), node("pve2", free=8, hastate="maintenance")]
    answer = chosen(spec(), nodes=nodes)
    assert (answer.end, against(answer, "pve2")) == (
        "pve1",
        "it is in maintenance; its template is on pve1, and post_clone_migration is off",
    )


def test_a_node_needs_the_bridges_of_the_vm() -> None:
    here = terrain()
    here.bridges = {"pve1": frozenset({"vmbr0"}), "pve2": frozenset({"vmbr0", "vmbr7"})}
    answer = place(spec(nics={"net0": {"bridge": "vmbr7"}}, node=None), (9000, 9001), here)
    assert isinstance(answer, Placed)
    assert (answer.end, against(answer, "pve1")) == ("pve2", "bridge vmbr7 is not there")
    answer = place(spec(nics={"net0": {"bridge": "vmbr9"}}), (9000,), here)
    assert isinstance(answer, Placed)
    assert answer.placing.problem == ""


# ------------------------------------------------------------------ ranks


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
        here.capacity.place(wanted, answer.end, answer.needs, here.view)
        found.append((answer.end, answer.placing.neighbours))
    assert found == [("pve1", ()), ("pve2", ()), ("pve1", ("web-1",))]


# ------------------------------------------------------------------ nothing fits


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
