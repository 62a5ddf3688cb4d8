"""Volumes on file, thin LVM and RBD storages."""

import pytest

from reconciler.sim.errors import Refusal
from reconciler.sim.volumes import storage
from reconciler.sim.world import World
from tests.sim.conftest import Hands


@pytest.fixture
def world(demo_hands: Hands) -> World:
    return demo_hands.simulator.world


def test_numbers_are_per_storage_and_reused(world: World) -> None:
    def make(place: str) -> str:
        return storage.allocate(world, "pve1", place, 100, "raw", 1 << 30).volid

    assert [make("local-lvm"), make("local-lvm"), make("shared")] == [
        "local-lvm:vm-100-disk-0",
        "local-lvm:vm-100-disk-1",
        "shared:vm-100-disk-0",
    ]
    storage.free(world, "pve1", "local-lvm:vm-100-disk-0")
    assert make("local-lvm") == "local-lvm:vm-100-disk-0"


def test_local_volumes_are_seen_on_their_node_only(world: World) -> None:
    local = storage.allocate(world, "pve1", "local-lvm", 100, "raw", 1)
    shared = storage.allocate(world, "pve1", "shared", 100, "raw", 1)
    assert world.volume("pve2", local.volid) is None
    assert world.volume("pve2", shared.volid) is shared
    with pytest.raises(Refusal, match="does not exist"):
        storage.existing(world, "pve2", local.volid)


def test_an_rbd_child_names_its_base(world: World) -> None:
    child = storage.link(world, "pve1", "shared:base-9100-disk-0", 100)
    assert child.volid == "shared:base-9100-disk-0/vm-100-disk-0"
    assert child.parent == "shared:base-9100-disk-0"
    with pytest.raises(Refusal, match="still in use by linked cloned"):
        storage.free(world, "pve1", "shared:base-9100-disk-0")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("local-lvm", "free space in thin pool pve/data reached threshold"),
        ("shared", "No space left on device"),
    ],
)
def test_a_full_storage_refuses_in_its_own_words(world: World, place: str, words: str) -> None:
    world.storages[place].size = 1 << 20
    with pytest.raises(Refusal, match=words):
        storage.allocate(world, "pve1", place, 100, "raw", 1 << 30, used=2 << 20)


@pytest.mark.parametrize(
    ("place", "form", "words"),
    [
        ("local-lvm", "qcow2", "unsupported format 'qcow2'"),
        ("local", "raw", "does not support content-type 'images'"),
        ("nope", "raw", "storage 'nope' does not exist"),
    ],
)
def test_what_a_storage_cannot_hold(world: World, place: str, form: str, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        storage.allocate(world, "pve1", place, 100, form, 1)


def test_bases_do_not_grow(world: World) -> None:
    with pytest.raises(Refusal, match="error resizing volume"):
        storage.resize(world, "pve1", "local-lvm:base-9000-disk-0", 9 << 30)


def test_storages_may_be_missing_on_a_node(world: World) -> None:
    world.storages["local-lvm"].nodes = ["pve1"]
    with pytest.raises(Refusal, match="storage 'local-lvm' is not available on node 'pve2'"):
        storage.enabled_storage(world, "local-lvm", "pve2")


def test_paths_and_garbage_have_no_owner(world: World) -> None:
    assert storage.owner(world, "/dev/sda") is None
    assert storage.owner(world, "nope:vm-1-disk-0") is None
    with pytest.raises(Refusal, match="unable to parse volume ID 'garbage'"):
        storage.read_volid(world, "garbage")
