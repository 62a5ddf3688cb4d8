"""Kinds of storage: names, formats, features and space, and /storage itself.

Cases follow pve-api.md sections 7 (clone, template) and 12 (storage), and pve-storage's plug-ins.
"""

from typing import Any

import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.cluster.inventory import GIB, Storage
from reconciler.sim.samples import demo_world
from tests.sim.conftest import Hands

KINDS = ("dir", "nfs", "cifs", "btrfs", "lvm", "lvmthin", "zfspool", "rbd")


@pytest.fixture
def simulator(clock: ManualClock) -> Simulator:
    world = demo_world(SOME_DAY, speed=1.0)
    for kind in KINDS:
        storage = Storage(f"on-{kind}", kind, ["images"], 10 * GIB)
        storage.shared = kind in ("nfs", "cifs", "rbd")
        if kind in ("dir", "btrfs"):
            storage.options["path"] = f"/srv/{kind}"
        world.storages[storage.name] = storage
    return Simulator(world, clock)


@pytest.fixture
def hands(simulator: Simulator, clock: ManualClock) -> Hands:
    return Hands(simulator, clock)


@pytest.mark.parametrize(
    ("kind", "volid", "linked"),
    [
        ("dir", "200/vm-200-disk-0.raw", "200/base-200-disk-0.raw/201/vm-201-disk-0.qcow2"),
        ("nfs", "200/vm-200-disk-0.raw", "200/base-200-disk-0.raw/201/vm-201-disk-0.qcow2"),
        ("lvmthin", "vm-200-disk-0", "vm-201-disk-0"),
        ("zfspool", "vm-200-disk-0", "base-200-disk-0/vm-201-disk-0"),
        ("rbd", "vm-200-disk-0", "base-200-disk-0/vm-201-disk-0"),
    ],
)
def test_names_of_volumes_and_of_linked_clones(
    hands: Hands, kind: str, volid: str, linked: str
) -> None:
    hands.vm(200, scsi0=f"on-{kind}:1")
    assert hands.config(200)["scsi0"] == f"on-{kind}:{volid},size=1G"
    assert hands.task("POST", "/200/template") == "OK"
    assert hands.task("POST", "/200/clone", newid=201) == "OK"
    assert hands.config(201)["scsi0"] == f"on-{kind}:{linked},size=1G"


def test_thick_lvm_knows_neither_templates_nor_snapshots(hands: Hands) -> None:
    hands.vm(200, scsi0="on-lvm:1")
    text = "volume 'on-lvm:vm-200-disk-0' does not support template/clone"
    assert hands.task("POST", "/200/template") == text
    assert hands.get("/200/feature", feature="snapshot")["hasFeature"] == 0
    assert hands.get("/200/feature", feature="copy")["hasFeature"] == 1


@pytest.mark.parametrize(
    ("kind", "able"),
    [("dir", 0), ("nfs", 0), ("btrfs", 1), ("lvmthin", 1), ("zfspool", 1), ("rbd", 1)],
)
def test_raw_snapshots_by_kind(hands: Hands, kind: str, able: int) -> None:
    hands.vm(200, scsi0=f"on-{kind}:1")
    assert hands.get("/200/feature", feature="snapshot")["hasFeature"] == able


def test_thin_storages_promise_more_than_they_have(hands: Hands) -> None:
    hands.vm(200, scsi0="on-lvmthin:100", scsi1="on-rbd:100", scsi2="on-dir:100")
    text = hands.task("POST", "", vmid=201, scsi0="on-lvm:11")
    group = "lvcreate 'pve/vm-201-disk-0' error:   Volume group \"pve\""
    assert text == (
        f"unable to create VM 201 - {group} has insufficient free space (0 extents): 2816 required."
    )
    text = hands.task("POST", "", vmid=201, scsi0="on-zfspool:11")
    assert text.endswith("zfs error: cannot create 'rpool/vm-201-disk-0': out of space")
    hands.simulator.world.storages["on-zfspool"].options["sparse"] = "1"
    hands.vm(202, scsi0="on-zfspool:11")


def test_thick_space_is_taken_and_grows_at_once(hands: Hands) -> None:
    hands.vm(200, scsi0="on-lvm:1")

    def used() -> int:
        path = "/nodes/pve1/storage/on-lvm/status"
        answer: dict[str, Any] = hands.simulator.call("GET", path).data
        return int(answer["used"])

    assert used() == GIB
    assert hands.task("PUT", "/200/resize", disk="scsi0", size="2G") == "OK"
    assert used() == 2 * GIB


def test_other_nodes_and_disabled_storages_are_listed_empty(hands: Hands) -> None:
    world = hands.simulator.world
    world.storages["on-dir"].nodes = ["pve2"]
    world.storages["on-lvm"].options["disable"] = "1"

    def rows(**params: object) -> dict[str, Any]:
        answer = hands.simulator.call("GET", "/nodes/pve1/storage", params)
        return {row["storage"]: row for row in answer.data}

    assert rows()["on-dir"] == {
        "storage": "on-dir",
        "type": "dir",
        "content": "images",
        "shared": 0,
        "enabled": 0,
        "active": 0,
        "total": 0,
        "used": 0,
        "avail": 0,
    }
    assert "on-lvm" in rows()
    assert "on-lvm" not in rows(enabled=1)
    assert "on-dir" in rows(enabled=1)
    assert not {"on-lvm", "on-dir"} & set(rows(content="images"))
    unknown = hands.simulator.call("GET", "/nodes/pve1/storage", {"storage": "nope"})
    assert unknown.errors == {"storage": "No such storage."}
    text = hands.task("POST", "", vmid=200, scsi0="on-lvm:1")
    assert text == "unable to create VM 200 - storage 'on-lvm' is disabled"
    text = hands.task("POST", "", vmid=201, scsi0="on-dir:1")
    assert text.endswith("storage 'on-dir' is not available on node 'pve1'")


def test_storages_are_added_changed_and_removed(hands: Hands) -> None:
    call = hands.simulator.call
    given = {"storage": "nas", "type": "nfs", "server": "192.0.2.9", "export": "/tank"}
    made = call("POST", "/storage", {**given, "content": "images,backup,iso", "nodes": "pve1"})
    assert made.data == {"storage": "nas", "type": "nfs"}
    shown = call("GET", "/storage/nas").data
    digest = shown.pop("digest")
    assert shown == {
        "storage": "nas",
        "type": "nfs",
        "server": "192.0.2.9",
        "export": "/tank",
        "path": "/mnt/pve/nas",
        "content": "images,backup,iso",
        "shared": 1,
        "nodes": "pve1",
    }
    hands.vm(200, scsi0="nas:1")
    changed = {
        "digest": digest,
        "content": "images",
        "delete": "nodes",
        "prune-backups": "keep-last=3",
    }
    assert call("PUT", "/storage/nas", changed).data == {"storage": "nas", "type": "nfs"}
    shown = call("GET", "/storage/nas").data
    assert (shown["content"], shown["prune-backups"]) == ("images", "keep-last=3")
    assert "nodes" not in shown
    stale = call("PUT", "/storage/nas", changed)
    assert stale.reason.startswith("update storage failed: detected modified configuration")
    assert call("DELETE", "/storage/nas").status == 200
    gone = call("DELETE", "/storage/nas")
    assert gone.reason == "delete storage failed: storage 'nas' does not exist"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"type": "dir"}, "missing value for required option 'path'"),
        ({"type": "dir", "path": "/a", "pool": "x"}, "unexpected property 'pool'"),
        (
            {"type": "dir", "path": "/a", "content": "none,iso"},
            "unable to combine 'none' with other content types",
        ),
        ({"type": "zfspool", "pool": "tank", "storage": "local"}, "already defined"),
    ],
)
def test_what_makes_no_storage(hands: Hands, given: dict[str, str], complaint: str) -> None:
    answer = hands.simulator.call("POST", "/storage", {"storage": "aa", **given})
    assert answer.status == 500
    assert answer.reason.endswith(complaint) or complaint in answer.reason


def test_what_cannot_be_changed(hands: Hands) -> None:
    def put(name: str, **params: str) -> str:
        return hands.simulator.call("PUT", f"/storage/{name}", params).reason

    head = "update storage failed: "
    assert put("nope", content="iso") == f"{head}storage 'nope' does not exist"
    assert put("on-lvm", delete="vgname") == f"{head}unable to delete required option 'vgname'"
    assert put("on-lvm", delete="path") == f"{head}no such option 'path'"
    assert put("on-lvm", sparse="1") == f"{head}unexpected property 'sparse'"
    both = put("on-lvm", content="images", delete="content")
    assert both == f"{head}cannot set and delete property 'content' at the same time!"


def test_only_storage_admins_define_storages(hands: Hands) -> None:
    given = {"storage": "aa", "type": "dir", "path": "/a"}
    answer = hands.simulator.call("POST", "/storage", given, "alice@pve")
    assert answer.reason == "Permission check failed (/storage, Datastore.Allocate)"


def test_a_clone_to_another_node_needs_shared_storage(hands: Hands) -> None:
    hands.vm(200, scsi0="on-dir:1")
    hands.vm(201, scsi0="on-rbd:1")
    local = hands.refused("POST", "/200/clone", newid=300, target="pve2")
    assert local == "500 can't clone VM to node 'pve2' (VM uses local storage)"
    wanted = hands.refused("POST", "/201/clone", newid=300, target="pve2", storage="on-dir")
    assert wanted == "500 can't clone to non-shared storage 'on-dir'"
    unknown = hands.refused("POST", "/201/clone", newid=300, target="pve9")
    assert unknown == "500 no such cluster node 'pve9'"
    assert hands.task("POST", "/201/clone", newid=300, target="pve2") == "OK"
    there = hands.simulator.call("GET", "/nodes/pve2/qemu/300/config")
    assert there.data["scsi0"] == "on-rbd:vm-300-disk-0,size=1G"
    hands.simulator.world.storages["on-rbd"].nodes = ["pve1"]
    away = hands.refused("POST", "/201/clone", newid=301, target="pve2", storage="on-rbd")
    assert away == "500 storage 'on-rbd' is not available on node 'pve2'"


def test_a_storage_can_be_disabled_shared_and_set_back(hands: Hands) -> None:
    def put(**params: object) -> dict[str, Any]:
        assert hands.simulator.call("PUT", "/storage/on-dir", params).status == 200
        shown: dict[str, Any] = hands.simulator.call("GET", "/storage/on-dir").data
        return shown

    assert put(disable=1)["disable"] == 1
    assert put(shared=1, content="iso")["shared"] == 1
    shown = put(delete="disable,shared,content")
    assert shown["content"] == "images,rootdir"
    assert "shared" not in shown and "disable" not in shown
