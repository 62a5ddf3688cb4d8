"""Rows of the VM list and status/current."""

from tests.sim.conftest import Hands


def test_counts_come_from_the_config(hands: Hands) -> None:
    hands.vm(100, sockets=2, cores=8, memory="1024", balloon=512, vga="qxl", tags="a")
    row = hands.get("/100/status/current")
    assert (row["cpus"], row["maxmem"], row["balloon_min"]) == (2, 1 << 30, 512 << 20)
    assert (row["spice"], row["clipboard"], row["shares"], row["tags"]) == (1, None, 1000, "a")
    hands.call("PUT", "/100/config", vcpus=12)
    assert hands.get("/100/status/current")["cpus"] == 12


def test_running_vms_tell_what_qmp_knows(hands: Hands) -> None:
    hands.vm(100, agent="1", balloon=0, net0="virtio,bridge=vmbr0", scsi0="local:1")
    hands.vm(101)
    for vmid in (100, 101):
        hands.task("POST", f"/{vmid}/status/start")
    row = hands.get("/100/status/current")
    assert set(row["nics"]) == {"tap100i0"} and set(row["blockstat"]) == {"scsi0"}
    assert "balloon" not in row, "no balloon device"
    other = hands.get("/101/status/current")
    assert {"nics", "blockstat"} & set(other) == set() and "ballooninfo" in other
    hands.clock.pass_by(30)
    rows = hands.get("", full=1)
    assert rows[0]["uptime"] >= 30 and rows[0]["qmpstatus"] == "running"
    assert "qmpstatus" not in hands.get("")[0]


def test_only_visible_vms_are_listed(hands: Hands) -> None:
    hands.vm(100)
    assert hands.simulator.call("GET", "/nodes/pve1/qemu", {}, "nobody@pve").data == []


def test_features_follow_the_storages(demo_hands: Hands) -> None:
    shared = demo_hands.get("/9100/feature", feature="clone")
    assert shared == {"hasFeature": 1, "nodes": ["pve1", "pve2", "pve3"]}
    local = demo_hands.get("/9000/feature", feature="clone")
    assert local == {"hasFeature": 1, "nodes": ["pve1"]}
    gone = demo_hands.refused("GET", "/9000/feature", feature="copy", snapname="aa")
    assert gone == "500 snapshot 'aa' does not exist"
