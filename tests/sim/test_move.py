"""move_disk to storages and VMs, and volumes without a VM."""

from tests.sim.conftest import Hands

DISK = "local:1,format=qcow2"


def test_a_move_keeps_the_old_volume_unless_told(hands: Hands) -> None:
    hands.vm(100, scsi0=f"{DISK},discard=on")
    assert hands.task("POST", "/100/move_disk", disk="scsi0", storage="store2") == "OK"
    config = hands.config(100)
    assert config["scsi0"] == "store2:100/vm-100-disk-0.qcow2,discard=on,size=1G"
    assert config["unused0"] == "local:100/vm-100-disk-0.qcow2"
    done = hands.task(
        "POST", "/100/move_disk", disk="scsi0", storage="store2", format="raw", delete=1
    )
    assert done == "OK"
    assert hands.config(100)["scsi0"].startswith("store2:100/vm-100-disk-1.raw,")


def test_what_cannot_be_moved(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK, ide2="local:iso/t.iso,media=cdrom")
    path = "/100/move_disk"
    same = hands.refused("POST", path, disk="scsi0", storage="local")
    assert same == "500 you can't move to the same storage with same format"
    gone = hands.refused("POST", path, disk="scsi9", storage="store2")
    assert gone == "500 disk 'scsi9' does not exist"
    cdrom = hands.refused("POST", path, disk="ide2", storage="store2")
    assert cdrom == "500 you can't move a cdrom"
    stale = hands.refused("POST", path, disk="scsi0", storage="store2", digest="0" * 40)
    assert stale.startswith("500 detected modified configuration")
    both = hands.refused("POST", path, disk="scsi0", storage="store2", target_vmid=101)
    assert "either set 'storage' or 'target-vmid', but not both" in both
    hands.task("POST", "/100/snapshot", snapname="aa")
    kept = hands.refused("POST", path, disk="scsi0", storage="store2", delete=1)
    assert kept == "500 you can't move a disk with snapshots and delete the source"


def test_a_full_target_fails_the_move(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK)
    hands.simulator.world.storages["store2"].full = True
    text = hands.task("POST", "/100/move_disk", disk="scsi0", storage="store2")
    assert text.startswith("storage migration failed: unable to create image")
    assert hands.config(100)["scsi0"].startswith("local:100/vm-100-disk-0.qcow2")


def test_a_disk_can_be_given_to_another_vm(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK, scsi1=DISK)
    hands.vm(101)
    given = {"disk": "scsi0", "target_vmid": 101, "target_disk": "scsi2"}
    assert hands.task("POST", "/100/move_disk", **given) == "OK"
    assert hands.config(101)["scsi2"] == "local:101/vm-101-disk-0.qcow2,size=1G"
    assert "scsi0" not in hands.config(100)
    assert hands.config(100)["boot"] == " "
    given = {"disk": "scsi1", "target_vmid": 101, "target_disk": "unused5"}
    assert hands.task("POST", "/100/move_disk", **given) == "OK"
    assert hands.config(101)["unused5"] == "local:101/vm-101-disk-1.qcow2"


def test_what_cannot_be_given_away(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK, ide2="none")
    hands.vm(101, scsi0=DISK)
    path = "/100/move_disk"

    def refused(disk: str, target: int, **more: object) -> str:
        return hands.refused("POST", path, disk=disk, target_vmid=target, **more)

    assert refused("scsi0", 100).startswith("target-vmid: must be different")
    assert refused("scsi0", 999) == "500 could not find target VM 999"
    assert refused("scsi4", 101) == "500 Disk 'scsi4' for VM '100' does not exist"
    taken = "500 Target disk key 'scsi0' is already in use for VM '101'"
    assert refused("scsi0", 101) == taken
    assert refused("ide2", 101) == "500 CD drive contents can't be moved to another VM"
    stale = refused("scsi0", 101, target_disk="scsi1", target_digest="0" * 40)
    assert stale.startswith("500 VM 101: detected modified configuration")
    hands.task("POST", "/100/status/start")
    running = refused("scsi0", 101, target_disk="scsi1")
    assert running.startswith("500 Cannot move disk to another VM while the source VM is running")


def test_volumes_can_be_made_and_erased_alone(hands: Hands) -> None:
    content = "/nodes/pve1/storage/local/content"
    call = hands.simulator.call
    made = call("POST", content, {"vmid": 100, "filename": "vm-100-a.raw", "size": "1M"})
    assert made.data == "local:100/vm-100-a.raw"
    erased = call("DELETE", f"{content}/{made.data}")
    assert hands.end(erased.data) == "OK"
    again = call("DELETE", f"{content}/{made.data}")
    assert hands.end(again.data) == "OK", "a volume that is gone is no error"
    assert not [one for one in hands.simulator.world.volumes.values() if one.vmid == 100]
