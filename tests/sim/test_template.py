"""Templates, destroy and what base volumes have to do with it."""

from tests.sim.conftest import Hands

DISK = "local:1,format=qcow2"


def test_disks_of_a_template_become_bases(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK, ide2="local:cloudinit")
    assert hands.task("POST", "/100/template") == "OK"
    config = hands.config(100)
    assert config["template"] == 1
    assert config["scsi0"] == "local:100/base-100-disk-0.qcow2,size=1G"
    assert config["ide2"] == "local:100/vm-100-cloudinit.qcow2,media=cdrom"


def test_what_cannot_become_a_template(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK)
    hands.task("POST", "/100/snapshot", snapname="s1")
    text = hands.refused("POST", "/100/template")
    assert text == "500 unable to create template, because VM contains snapshots"
    hands.vm(101)
    hands.task("POST", "/101/status/start")
    text = hands.refused("POST", "/101/template")
    assert text == "500 you can't convert a VM to template if VM is running"


def test_a_template_in_use_stays(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK)
    hands.task("POST", "/100/template")
    hands.task("POST", "/100/clone", newid=101)
    used = "base volume 'local:100/base-100-disk-0.qcow2' is still in use by linked cloned"
    assert hands.task("DELETE", "/100") == used
    hands.task("POST", "/101/move_disk", disk="scsi0", storage="store2", delete=1)
    assert hands.task("DELETE", "/100") == "OK"
    assert hands.config(101)["scsi0"] == "store2:101/vm-101-disk-0.qcow2,size=1G"


def test_thin_lvm_templates_can_go_while_clones_live(demo_hands: Hands) -> None:
    demo_hands.task("POST", "/9000/clone", newid=101)
    assert demo_hands.task("DELETE", "/9000") == "OK"


def test_new_disks_of_a_template_are_bases(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK)
    hands.task("POST", "/100/template")
    hands.call("PUT", "/100/config", scsi1=DISK)
    assert hands.config(100)["scsi1"] == "local:100/base-100-disk-1.qcow2,size=1G"
    said = hands.task("PUT", "/100/resize", disk="scsi1", size="2G")
    assert said.startswith("command '/usr/bin/qemu-img resize -f qcow2")


def test_destroy_takes_disks_pool_rights_and_firewall(hands: Hands) -> None:
    simulator = hands.simulator
    simulator.call("POST", "/pools", {"poolid": "cust"})
    hands.vm(100, scsi0=DISK, pool="cust")
    hands.task("POST", "/100/snapshot", snapname="s1")
    hands.call("PUT", "/100/config", delete="scsi0")
    hands.call("PUT", "/100/config", scsi1=DISK)
    hands.call("PUT", "/100/firewall/options", enable=1)
    assert hands.task("DELETE", "/100", purge=1) == "OK"
    world = simulator.world
    assert 100 not in world.vms
    assert "100" not in world.firewall
    assert world.pools["cust"].vms == []
    assert not [one for one in world.volumes.values() if one.vmid == 100]


def test_destroy_leaves_strays_unless_asked(hands: Hands) -> None:
    content = "/nodes/pve1/storage/local/content"
    given = {"vmid": 100, "filename": "vm-100-disk-9.raw", "size": "1G"}
    for strays in (0, 1):
        hands.simulator.call("POST", content, given)
        hands.vm(100)
        assert hands.task("DELETE", "/100", destroy_unreferenced_disks=strays) == "OK"
        left = [one for one in hands.simulator.world.volumes.values() if one.vmid == 100]
        assert bool(left) is not bool(strays)


def test_destroy_refuses_protected_and_running_vms(hands: Hands) -> None:
    hands.vm(100, protection=1)
    assert hands.refused("DELETE", "/100") == "500 can't remove VM 100 - protection mode enabled"
    hands.call("PUT", "/100/config", protection=0)
    hands.task("POST", "/100/status/start")
    assert hands.refused("DELETE", "/100") == "500 VM 100 is running - destroy failed"
