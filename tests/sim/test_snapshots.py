"""Snapshots: what they keep, the chain of parents, rollback, locks."""

from tests.sim.conftest import Hands

DISK = "local:1,format=qcow2"


def chain(hands: Hands) -> dict[str, str | None]:
    return {row["name"]: row.get("parent") for row in hands.get("/100/snapshot")}


def test_deleting_one_closes_the_chain(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK)
    for name in ("aa", "bb", "cc"):
        assert hands.task("POST", "/100/snapshot", snapname=name) == "OK"
    assert chain(hands) == {"aa": None, "bb": "aa", "cc": "bb", "current": "cc"}
    assert hands.task("DELETE", "/100/snapshot/bb") == "OK"
    assert chain(hands) == {"aa": None, "cc": "aa", "current": "cc"}


def test_rollback_restores_the_config_but_not_the_description(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK, memory="256", description="old")
    hands.task("POST", "/100/snapshot", snapname="aa", description="first")
    hands.call("PUT", "/100/config", memory="512", description="new", scsi1=DISK)
    assert hands.task("POST", "/100/snapshot/aa/rollback") == "OK"
    config = hands.config(100)
    assert (config["memory"], config["description"], config["parent"]) == ("256", "new", "aa")
    assert config["unused0"] == "local:100/vm-100-disk-1.qcow2", "not in the snapshot"


def test_rollback_stops_and_memory_starts_again(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK)
    hands.task("POST", "/100/status/start")
    hands.task("POST", "/100/snapshot", snapname="cold")
    hands.task("POST", "/100/snapshot", snapname="warm", vmstate=1)
    assert [row["vmstate"] for row in hands.get("/100/snapshot")[:2]] == [0, 1]
    hands.task("POST", "/100/snapshot/cold/rollback")
    assert hands.get("/100/status/current")["status"] == "stopped"
    hands.task("POST", "/100/snapshot/warm/rollback")
    assert hands.get("/100/status/current")["status"] == "running"
    hands.task("POST", "/100/status/stop")
    upid = hands.call("POST", "/100/snapshot/cold/rollback", start=1).data
    assert hands.end(upid) == "OK"
    hands.clock.pass_by(10)
    assert hands.get("/100/status/current")["status"] == "running"
    assert hands.task("DELETE", "/100/snapshot/warm") == "OK"
    assert not [one for one in hands.simulator.world.volumes if "-state-" in one[1]]


def test_the_lock_is_there_while_the_task_runs(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK)
    upid = hands.call("POST", "/100/snapshot", snapname="aa").data
    assert hands.config(100)["lock"] == "snapshot"
    assert hands.get("/100/snapshot")[0]["snapstate"] == "prepare"
    assert hands.refused("PUT", "/100/config", cores=2) == "500 VM is locked (snapshot)"
    hands.end(upid)
    upid = hands.call("DELETE", "/100/snapshot/aa").data
    assert hands.config(100)["lock"] == "snapshot-delete"
    hands.end(upid)
    assert "lock" not in hands.config(100)


def test_a_stopped_snapshot_task_leaves_no_trace(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK)
    upid = hands.call("POST", "/100/snapshot", snapname="aa").data
    hands.simulator.call("DELETE", f"/nodes/pve1/tasks/{upid}")
    assert chain(hands) == {"current": None}
    assert "lock" not in hands.config(100)


def test_raw_files_have_no_snapshots(hands: Hands) -> None:
    hands.vm(100, scsi0="local:1,format=raw")
    text = hands.task("POST", "/100/snapshot", snapname="aa")
    assert text == "snapshot feature is not available"
    feature = hands.get("/100/feature", feature="snapshot")
    assert feature == {"hasFeature": 0, "nodes": ["pve1"]}
    assert hands.get("/100/feature", feature="copy")["hasFeature"] == 1


def test_a_disk_of_a_snapshot_cannot_be_erased(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK)
    hands.task("POST", "/100/snapshot", snapname="aa")
    hands.call("PUT", "/100/config", delete="scsi0")
    text = hands.refused("PUT", "/100/config", delete="unused0")
    volid = "local:100/vm-100-disk-0.qcow2"
    assert text == f"500 unable to delete '{volid}' - volume is still in use (snapshot?)"


def test_names_and_descriptions(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK, cipassword="plain")
    reserved = hands.refused("POST", "/100/snapshot", snapname="current")
    assert reserved == "500 unable to use snapshot name 'current' (reserved name)"
    hands.task("POST", "/100/snapshot", snapname="aa")
    used = hands.task("POST", "/100/snapshot", snapname="aa")
    assert used == "snapshot name 'aa' already used"
    hands.call("PUT", "/100/snapshot/aa/config", description="told")
    saved = hands.get("/100/snapshot/aa/config")
    assert (saved["description"], saved["cipassword"]) == ("told", "plain")
    assert hands.get("/100/config", snapshot="aa")["cipassword"] == "*" * 10
    gone = hands.refused("GET", "/100/snapshot/bb/config")
    assert gone == "500 snapshot 'bb' does not exist"
    assert hands.task("POST", "/100/snapshot/bb/rollback") == "snapshot 'bb' does not exist"
