"""POST .../clone: linked and full."""

import pytest

from reconciler.sim.faults import Fault
from tests.sim.conftest import Hands


def test_a_linked_clone_copies_the_config_with_new_ids(demo_hands: Hands) -> None:
    assert demo_hands.task("POST", "/9000/clone", newid=101, name="web") == "OK"
    source, made = demo_hands.config(9000), demo_hands.config(101)
    assert made["scsi0"] == "local-lvm:vm-101-disk-0,size=3G"
    assert made["ide2"] == "local-lvm:vm-101-cloudinit,media=cdrom,size=4M"
    assert made["name"] == "web"
    assert "template" not in made
    for key in ("net0", "smbios1", "vmgenid"):
        assert made[key] != source[key]
    for key in ("cores", "memory", "boot", "scsihw", "agent", "meta"):
        assert made[key] == source[key]


def test_while_it_runs_the_copy_is_a_locked_stub(demo_hands: Hands) -> None:
    upid = demo_hands.call("POST", "/9000/clone", newid=101, name="web", description="mark").data
    assert upid.split(":")[5:7] == ["qmclone", "9000"]
    stub = demo_hands.config(101)
    assert stub["lock"] == "clone"
    assert {"name", "scsi0"} & set(stub) == set()
    rows = demo_hands.simulator.call("GET", "/cluster/resources", {"type": "vm"}).data
    assert next(row for row in rows if row["vmid"] == 101)["lock"] == "clone"
    assert "lock" not in demo_hands.config(9000)
    assert demo_hands.end(upid) == "OK"
    assert demo_hands.config(101)["description"] == "mark"
    line = demo_hands.simulator.world.tasks.all[upid].lines[0]
    assert line == "create full clone of drive ide2 (local-lvm:vm-9000-cloudinit)"


def test_linked_clones_of_one_template_run_side_by_side(demo_hands: Hands) -> None:
    upids = [demo_hands.call("POST", "/9000/clone", newid=n).data for n in (101, 102, 103)]
    assert [demo_hands.end(upid) for upid in upids] == ["OK"] * 3


def test_a_full_clone_goes_to_another_storage_and_node(demo_hands: Hands) -> None:
    done = demo_hands.task(
        "POST", "/9100/clone", newid=101, full=1, storage="shared", target="pve2"
    )
    assert done == "OK"
    machine = demo_hands.simulator.world.vms[101]
    assert machine.node == "pve2"
    assert machine.config["scsi0"] == "shared:vm-101-disk-0,size=4G"
    assert machine.config["name"] == "Copy-of-VM-ubuntu-24"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"newid": 9000}, "500 unable to create VM 9000: config file already exists"),
        ({"target": "nope"}, "500 no such cluster node 'nope'"),
        ({"target": "pve2"}, "500 can't clone VM to node 'pve2' (VM uses local storage)"),
        ({"storage": "shared"}, "500 parameter 'storage' not allowed for linked clones"),
        ({"format": "raw"}, "500 parameter 'format' not allowed for linked clones"),
        ({"full": 1, "storage": "nope"}, "500 storage 'nope' does not exist"),
        (
            {"full": 1, "storage": "local"},
            "storage: storage 'local' does not support vm images",
        ),
        (
            {"full": 1, "storage": "local-lvm", "target": "pve2"},
            "500 can't clone to non-shared storage 'local-lvm'",
        ),
        ({"snapname": "aa"}, "500 snapshot 'aa' does not exist"),
        ({"pool": "nope"}, "403 Permission check failed (pool 'nope' does not exist)"),
    ],
)
def test_wrong_clones_fail_at_once(demo_hands: Hands, given: dict[str, object], text: str) -> None:
    assert demo_hands.refused("POST", "/9000/clone", **{"newid": 101, **given}) == text


def test_the_source_must_exist_and_be_unlocked(demo_hands: Hands) -> None:
    missing = demo_hands.refused("POST", "/998/clone", newid=101)
    assert missing == "500 unable to find configuration file for VM 998 on node 'pve1'"
    demo_hands.call("PUT", "/9000/config", lock="backup")
    assert demo_hands.refused("POST", "/9000/clone", newid=101) == "500 VM is locked (backup)"


def test_a_plain_vm_cannot_be_linked_to(demo_hands: Hands) -> None:
    demo_hands.vm(100, scsi0="local-lvm:1")
    text = demo_hands.refused("POST", "/100/clone", newid=101, full=0)
    wanted = "500 Linked clone feature is not supported for 'local-lvm:vm-100-disk-0' (scsi0)"
    assert text == wanted


def test_an_id_on_another_node_fails_in_the_task(demo_hands: Hands) -> None:
    text = demo_hands.task("POST", "/9000/clone", newid=9001)
    path = "/etc/pve/nodes/pve1/qemu-server/9001.conf"
    assert text == f"close (rename) atomic file '{path}' failed: File exists"
    assert demo_hands.simulator.world.vms[9001].template


def test_a_failed_or_stopped_clone_leaves_nothing(demo_hands: Hands) -> None:
    world = demo_hands.simulator.world
    before = set(world.volumes)
    demo_hands.simulator.faults.add(Fault("storage-full", storage="local-lvm"))
    text = demo_hands.task("POST", "/9000/clone", newid=101)
    assert text.startswith("clone failed: lvcreate 'pve/vm-101-cloudinit' error:")
    assert (101 in world.vms, set(world.volumes)) == (False, before)
    demo_hands.simulator.faults.clear()
    upid = demo_hands.call("POST", "/9000/clone", newid=101).data
    demo_hands.simulator.call("DELETE", f"/nodes/pve1/tasks/{upid}")
    assert demo_hands.end(upid) == "clone failed: interrupted by signal"
    assert (101 in world.vms, set(world.volumes)) == (False, before)


def test_a_hanging_clone_keeps_its_stub(demo_hands: Hands) -> None:
    demo_hands.simulator.faults.add(Fault("task-hang", task="qmclone"))
    demo_hands.call("POST", "/9000/clone", newid=101)
    demo_hands.clock.pass_by(3600)
    assert demo_hands.config(101)["lock"] == "clone"


def test_snapshots_can_be_cloned_where_the_storage_can(demo_hands: Hands) -> None:
    demo_hands.vm(100, scsi0="local-lvm:1", name="a")
    demo_hands.task("POST", "/100/snapshot", snapname="s1")
    demo_hands.call("PUT", "/100/config", name="b")
    assert demo_hands.task("POST", "/100/clone", newid=101, snapname="s1") == "OK"
    assert demo_hands.config(101)["name"] == "Copy-of-VM-a"
    assert "parent" not in demo_hands.config(101)


def test_a_running_source_is_held_alone(demo_hands: Hands) -> None:
    demo_hands.vm(100, scsi0="local-lvm:1")
    demo_hands.task("POST", "/100/status/start")
    first = demo_hands.call("POST", "/100/clone", newid=101).data
    second = demo_hands.call("POST", "/100/clone", newid=102).data
    assert demo_hands.end(first) == "OK"
    assert "can't lock file '/var/lock/qemu-server/lock-100.conf'" in demo_hands.end(second)
