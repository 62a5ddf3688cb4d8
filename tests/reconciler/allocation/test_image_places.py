"""Which image a VM is made from, on which node, and on which storage its copy goes."""

from collections.abc import Iterable, Mapping

import pytest

from desired.spec import VMSpec
from reconciler.allocation.addresses import Addresses
from reconciler.allocation.allocate import Ground, Vmids, allocate
from reconciler.allocation.capacity import Capacity
from reconciler.allocation.placing import Placed, place, still_placed
from reconciler.allocation.terrain import Terrain
from state.change import Note
from state.memory import Binding, Memory
from state.observed import ClusterView, NodeRow, StorageRow
from state.secret import Secret
from state.store import Store
from tests.engine import AT, absent, binding, fleet, node, spec, storage, view

IMAGE, OTHER = "local:import/d.qcow2", "nfs:import/d.qcow2"
EVERY = ("pve1", "pve2", "pve3")
STORAGES = (
    *storage("local-lvm", *EVERY, content=frozenset({"images"})),
    *storage("ceph", "pve1", "pve2", shared=True, content=frozenset({"images"})),
    *storage("local", *EVERY, content=frozenset({"import", "images"})),
    *storage("nfs", *EVERY, shared=True, content=frozenset({"import"})),
)
NODES = [node("pve1", 4), node("pve2", 6), node("pve3", 8)]
FOUND = {IMAGE: {"pve1", "pve2"}}


def world(
    nodes: Iterable[NodeRow] = NODES, storages: Iterable[StorageRow] = STORAGES
) -> ClusterView:
    return view((), nodes, storages=tuple(storages))


def terrain(here: ClusterView, found: Mapping[str, set[str]] = FOUND) -> Terrain:
    return Terrain(here, {}, Capacity.of(here), image_nodes=lambda one: found.get(one, set()))


def placed(
    wanted: VMSpec,
    images: tuple[str, ...] = (IMAGE,),
    found: Mapping[str, set[str]] = FOUND,
    seen: ClusterView | None = None,
) -> Placed | Note:
    return place(wanted, images, terrain(seen or world(), found))


def why(answer: Placed | Note, condition: str) -> str:
    assert isinstance(answer, Note)
    assert (answer.handler, answer.condition, answer.blocking) == ("allocate", condition, True)
    return answer.reason


def test_a_copy_lands_on_the_roomiest_node_that_reads_the_image() -> None:
    """DEP-16"""
    answer = placed(spec(storage="local-lvm"))
    assert isinstance(answer, Placed)
    assert (answer.template, answer.node, answer.end) == (None, "pve2", "pve2")
    assert (answer.storage, answer.image) == ("local-lvm", IMAGE)


def test_the_wanted_node_is_taken_where_it_can_make_the_copy_else_another() -> None:
    """DEP-16: a VM for which no target fits stays where it could be made."""
    on = [placed(spec(storage="local-lvm", node=name)) for name in ("pve1", "pve3")]
    assert [one.node for one in on if isinstance(one, Placed)] == ["pve1", "pve2"]
    assert [one.placing.problem for one in on if isinstance(one, Placed)] == [
        "",
        f"pve3: no image {IMAGE} is there",
    ]


def test_several_images_are_copies_of_one_and_the_first_goes_before_the_others() -> None:
    found = {IMAGE: {"pve1"}, OTHER: {*EVERY}}
    on = [placed(spec(storage="ceph", node=name), (IMAGE, OTHER), found) for name in EVERY[:2]]
    assert [one.image for one in on if isinstance(one, Placed)] == [IMAGE, OTHER]


def test_the_storage_is_the_system_disks_the_vms_or_the_images_own() -> None:
    """CI-06"""
    wanted = [
        spec(storage="ceph", disks={"system": {"storage": "local-lvm"}}),
        spec(storage="ceph", disks={"system": {"size": "9GiB"}}),
        spec(),
    ]
    answers = [placed(one) for one in wanted]
    on = [one.storage for one in answers if isinstance(one, Placed)]
    assert on == ["local-lvm", "ceph", "local"]


def test_an_image_on_a_storage_that_holds_no_disks_needs_another_for_the_copy() -> None:
    said = why(placed(spec(), (OTHER,), {OTHER: {"pve1"}}), "StorageMissing")
    assert "set storage:" in said


def test_an_image_that_nobody_sees_is_missing() -> None:
    said = why(placed(spec(storage="ceph"), found={}), "TemplateMissing")
    assert IMAGE in said
    assert "Datastore.Audit" in said


def test_a_node_that_the_cluster_has_not_is_said() -> None:
    assert "no node pve9" in why(placed(spec(node="pve9", storage="ceph")), "NodeMissing")


@pytest.mark.parametrize(
    ("storage", "nodes"),
    [("ceph", ["pve3"]), ("local-lvm", ["pve1"])],
)
def test_an_image_that_no_online_node_can_copy_is_out_of_reach(
    storage: str, nodes: list[str]
) -> None:
    down = [node("pve1", online=False), node("pve2"), node("pve3")]
    said = why(
        placed(spec(storage=storage), (IMAGE,), {IMAGE: set(nodes)}, world(down)),
        "TemplateUnreachable",
    )
    assert nodes[0] in said
    assert storage in said


def test_a_storage_that_is_not_listed_keeps_nobody_away() -> None:
    answer = placed(spec(storage="hidden"))
    assert isinstance(answer, Placed)
    assert answer.storage == "hidden"


def test_room_is_counted_where_the_copy_goes() -> None:
    """DEP-16: a full storage rules its node out."""
    full = storage("local-lvm", "pve2", content=frozenset({"images"}), total=9, used=9)
    rows = [one for one in STORAGES if (one.storage, one.node) != ("local-lvm", "pve2")]
    wanted = spec(storage="local-lvm", disks={"system": {"size": "20GiB"}})
    answer = placed(wanted, seen=world(storages=[*rows, *full]))
    assert isinstance(answer, Placed)
    assert answer.node == "pve1"


def chosen(**fields: object) -> Binding:
    plain = {"template": None, "image": IMAGE, "node": "pve1", "storage": "local-lvm"}
    return binding(**plain | fields)  # type: ignore[arg-type]


def test_a_vm_that_waits_for_its_creation_stays_where_it_was_put() -> None:
    here = terrain(world())
    kept = still_placed(spec(storage="local-lvm"), chosen(), None, (IMAGE,), here)
    assert kept == Placed(None, None, "pve1", "local-lvm", IMAGE)


@pytest.mark.parametrize(
    ("wanted", "old", "nodes"),
    [
        ({}, {"image": OTHER}, NODES),
        ({}, {"node": None}, NODES),
        ({}, {"node": "pve9"}, NODES),
        ({}, {}, [node("pve1", online=False)]),
        ({"storage": "ceph"}, {}, NODES),
        ({"node": "pve2"}, {}, NODES),
        ({"storage": "ceph"}, {"storage": "ceph", "node": "pve3"}, NODES),
    ],
)
def test_it_is_put_elsewhere_when_what_its_place_rests_on_has_changed(
    wanted: dict[str, object], old: dict[str, object], nodes: list[NodeRow]
) -> None:
    asked = spec("web-1", **{"storage": "local-lvm", **wanted})
    assert still_placed(asked, chosen(**old), None, (IMAGE,), terrain(world(nodes))) is None


def ground(store: Store, found: Mapping[str, set[str]] = FOUND) -> Ground:
    here = world()
    source = fleet(images={"debian-13": {"demo": (IMAGE,)}, "debian": {"demo": (OTHER,)}})
    free = Vmids(set(), 100, lambda vmid: True)
    return Ground(source, store, here, {}, terrain(here, found), Addresses(set()), free, Secret)


def test_image_and_place_are_kept_before_anything_is_asked_of_proxmox() -> None:
    wanted = spec(template="debian-13", storage="local-lvm")
    with Store.temporary(at=AT) as store:
        given = allocate(wanted, absent(), ground(store))
        kept = store.bindings.of("web-1")
        assert kept is not None
        assert kept == given.seen.memory.binding
        assert (kept.image, kept.template, kept.node) == (IMAGE, None, "pve2")
        later = allocate(wanted, absent(memory=Memory(kept)), ground(store))
        assert later.seen.memory.binding == kept


def test_an_image_is_sought_nowhere_unless_the_ground_knows_where() -> None:
    wanted = spec(template="debian-13", storage="ceph")
    with Store.temporary(at=AT) as store:
        given = allocate(wanted, absent(), ground(store, found={}))
    assert [one.condition for one in given.notes] == ["TemplateMissing"]
