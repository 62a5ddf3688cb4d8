"""What a running VM takes up at once, what waits, what fails (pve-api.md section 5)."""

import pytest

from tests.sim.conftest import Hands

NET = "virtio=BC:24:11:00:00:01,bridge=vmbr0"


@pytest.fixture
def running(hands: Hands) -> Hands:
    """VM 100: two disks, a NIC, running."""
    hands.vm(
        100,
        ostype="l26",
        memory="1024",
        numa=1,
        agent="1",
        boot="order=scsi0;ide2",
        scsihw="virtio-scsi-single",
        scsi0="local:1,format=qcow2",
        scsi1="local:1,format=qcow2",
        sata0="local:1",
        net0=NET,
        ide2="none,media=cdrom",
        serial0="socket",
    )
    assert hands.task("POST", "/100/status/start") == "OK"
    return hands


@pytest.mark.parametrize(
    "given",
    [
        {"name": "new"},
        {"description": "x"},
        {"tags": "x"},
        {"onboot": 1},
        {"protection": 1},
        {"cpulimit": "0.5"},
        {"cpuunits": 50},
        {"balloon": 128},
        {"ciuser": "x"},
        {"ipconfig0": "ip=dhcp"},
        {"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,rate=5,tag=7"},
        {"net0": "e1000=BC:24:11:00:00:01,bridge=vmbr0"},
        {"net0": "virtio=BC:24:11:00:00:02,bridge=vmbr0"},
        {"net1": "virtio,bridge=vmbr0"},
        {"scsi2": "local:1"},
        {"scsi1": "local:100/vm-100-disk-2.qcow2,mbps_rd=50,iops_wr=100,backup=0"},
        {"ide2": "local:iso/t.iso,media=cdrom"},
        {"agent": "1,fstrim_cloned_disks=1"},
        {"usb0": "host=spice"},
        {"tablet": 0},
        {"hotplug": "disk"},
    ],
)
def test_taken_up_at_once(running: Hands, given: dict[str, object]) -> None:
    assert running.call("PUT", "/100/config", **given).ok
    assert running.waiting(100) == {}


@pytest.mark.parametrize(
    "given",
    [
        {"cores": 2},
        {"sockets": 2},
        {"cpu": "host"},
        {"numa": 0},
        {"memory": "2048"},
        {"balloon": 0},
        {"vcpus": 1},
        {"agent": "0"},
        {"boot": "order=scsi0;net0"},
        {"ostype": "other"},
        {"bios": "ovmf"},
        {"machine": "q35"},
        {"scsihw": "lsi"},
        {"vga": "qxl"},
        {"kvm": 0},
        {"serial1": "socket"},
        {"delete": "serial0"},
        {"delete": "agent"},
        {"sata1": "local:1"},
        {"delete": "sata0"},
        {"ide3": "local:iso/t.iso,media=cdrom"},
        {"scsi1": "local:100/vm-100-disk-2.qcow2,cache=writeback"},
        {"scsi1": "local:100/vm-100-disk-2.qcow2,ssd=1,iothread=1"},
        {"hotplug": "disk,memory"},
    ],
)
def test_waits_for_a_restart(running: Hands, given: dict[str, object]) -> None:
    assert running.call("PUT", "/100/config", **given).ok
    assert running.waiting(100)
    running.task("POST", "/100/status/stop")
    assert running.waiting(100) == {}


def test_nothing_is_plugged_with_hotplug_off_but_taps_change(running: Hands) -> None:
    running.call("PUT", "/100/config", hotplug="0")
    running.call("PUT", "/100/config", net1="virtio,bridge=vmbr0", scsi2="local:1", delete="scsi1")
    assert set(running.waiting(100)) == {"net1", "scsi2", "scsi1"}
    running.call("PUT", "/100/config", net0=f"{NET},link_down=1")
    assert "net0" not in running.waiting(100)


def test_memory_and_cpus_are_plugged_when_allowed(running: Hands) -> None:
    running.call("PUT", "/100/config", hotplug="network,disk,usb,memory,cpu", cores=2)
    for verb in ("stop", "start"):
        running.task("POST", f"/100/status/{verb}")
    running.call("PUT", "/100/config", memory="2048", vcpus=2)
    assert running.waiting(100) == {}
    text = running.refused("PUT", "/100/config", vcpus=9)
    assert text == "vcpus: hotplug problem - you can't add more vcpus than maxcpus"
    running.simulator.world.vms[100].stubborn = True
    text = running.refused("PUT", "/100/config", memory="1024")
    assert text == "memory: hotplug problem - error unplug memory module"


def test_a_guest_that_ignores_unplugging_leaves_it_pending(running: Hands) -> None:
    running.simulator.world.vms[100].stubborn = True
    text = running.refused("PUT", "/100/config", delete="net0", cores=2, cpulimit="1")
    assert text == "net0: hotplug problem - error on hot-unplugging device 'net0'"
    assert set(running.waiting(100)) == {"net0", "cores"}, "the others were applied"
    assert running.config(100)["cpulimit"] == "1"


def test_the_boot_disk_cannot_be_unplugged_but_goes_at_the_next_stop(running: Hands) -> None:
    text = running.refused("PUT", "/100/config", delete="scsi0")
    assert text == "scsi0: hotplug problem - can't unplug bootdisk 'scsi0'"
    assert running.waiting(100)["scsi0"]["delete"] == 1
    running.task("POST", "/100/status/stop")
    config = running.config(100)
    assert "scsi0" not in config
    assert config["unused0"] == "local:100/vm-100-disk-1.qcow2"


def test_an_unplugged_disk_becomes_unused(running: Hands) -> None:
    running.call("PUT", "/100/config", delete="scsi1")
    assert running.config(100)["unused0"] == "local:100/vm-100-disk-2.qcow2"
    running.call("PUT", "/100/config", scsi3="local:1")
    running.call("PUT", "/100/config", delete="scsi3", force=1)
    assert "unused1" not in running.config(100)


def test_media_types_do_not_change_live(running: Hands) -> None:
    text = running.refused("PUT", "/100/config", ide2="local:1")
    assert text == "ide2: hotplug problem - unable to change media type"


def test_a_nic_change_is_noted_for_the_cloud_init_drive(hands: Hands) -> None:
    hands.vm(101, net0=NET, ide2="local:cloudinit")
    hands.task("POST", "/101/status/start")
    hands.call("PUT", "/101/config", name="b", net1="virtio=BC:24:11:00:00:09,bridge=vmbr0")
    section = hands.simulator.world.vms[101].cloudinit
    assert section == {"added": "name,net1"}
    hands.call("PUT", "/101/config", net0=f"{NET},tag=5")
    assert section["net0"] == NET
    hands.call("PUT", "/101/config", net0=NET, delete="net1")
    assert section == {"added": "name"}
    hands.call("PUT", "/101/cloudinit")
    assert section == {}


def test_nothing_is_noted_for_a_drive_that_is_not_there(running: Hands) -> None:
    """qemu-server PVE/QemuServer.pm (write_vm_config) drops the section without a drive."""
    running.call("PUT", "/100/config", name="b")
    assert running.simulator.world.vms[100].cloudinit == {}


def test_a_running_vm_cannot_join_a_bridge_that_is_not_there(running: Hands) -> None:
    text = running.refused("PUT", "/100/config", net0=NET.replace("vmbr0", "vmbr77"))
    assert text == "net0: hotplug problem - bridge 'vmbr77' does not exist"
    text = running.refused("PUT", "/100/config", net1="virtio,bridge=vmbr77")
    assert "pve-bridge-hotplug failed with status 512" in text
    assert running.call("PUT", "/100/config", net2="virtio").ok


@pytest.mark.parametrize(
    "key", ["tablet", "usb0", "vcpus", "balloon", "memory", "cpulimit", "hotplug", "name"]
)
def test_deletes_that_need_no_restart(running: Hands, key: str) -> None:
    given = {
        "tablet": 1,
        "usb0": "host=spice",
        "vcpus": 1,
        "balloon": 64,
        "memory": "1024",
        "cpulimit": 1,
        "hotplug": "network,disk,usb",
        "name": "a",
    }
    running.task("POST", "/100/status/stop")
    features = "network,disk,usb,cpu,memory" if key in ("vcpus", "memory") else "1"
    running.call("PUT", "/100/config", **{"hotplug": features, key: given[key]})
    running.task("POST", "/100/status/start")
    assert running.call("PUT", "/100/config", delete=key).ok
    assert running.waiting(100) == {}
    assert key not in running.config(100)


def test_deletes_that_wait(running: Hands) -> None:
    running.task("POST", "/100/status/stop")
    running.call("PUT", "/100/config", balloon=0, hotplug="cpu", vcpus=1, usb0="host=spice")
    running.task("POST", "/100/status/start")
    running.call("PUT", "/100/config", delete="balloon,hotplug,usb0,net0,scsi1,tablet")
    assert set(running.waiting(100)) == {"balloon", "hotplug", "usb0", "net0", "scsi1"}


def test_replacing_a_disk_registers_the_old_one(running: Hands) -> None:
    running.call("PUT", "/100/config", scsi1="local:2")
    config = running.config(100)
    assert config["scsi1"] == "local:100/vm-100-disk-3.raw,size=2G"
    assert config["unused0"] == "local:100/vm-100-disk-2.qcow2"


def test_a_cloudinit_feature_builds_the_drive_at_once(running: Hands) -> None:
    running.call("PUT", "/100/config", hotplug="network,disk,cloudinit")
    running.call("PUT", "/100/config", ciuser="x")
    assert running.simulator.world.vms[100].cloudinit == {}
