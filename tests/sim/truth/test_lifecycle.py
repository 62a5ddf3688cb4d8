"""Starting, suspending, snapshots, resizing and removal beyond the recorded flows.

Every case names the place in Proxmox's sources (repository path) that it follows.
"""

import pytest

from reconciler.sim.vm.fitness import has_system
from tests.sim.conftest import TINY, Hands


@pytest.mark.parametrize(
    ("given", "text"),
    [
        # qemu-server PVE/QemuServer.pm (config_to_command)
        ({"sockets": 2, "cores": 2}, "MAX 2 vcpus allowed per VM on this node"),
        # PVE/QemuServer/Memory.pm (config)
        ({"hotplug": "memory"}, "NUMA needs to be enabled for memory hotplug"),
        ({"hotplug": "memory", "numa": 1}, "minimum memory must be 1024MB"),
        (
            {"hotplug": "memory", "numa": 1, "numa0": "cpus=0,memory=512"},
            "cannot enable memory hotplugging with custom NUMA topology",
        ),
        # PVE/QemuServer/USB.pm (assert_usb_index_is_useable)
        (
            {"usb5": "spice"},
            "using usb5 is only possible with machine type >= 7.1 and ostype l26 or windows > 7",
        ),
        # pve-guest-common PVE/GuestHelpers.pm (exec_hookscript)
        (
            {"hookscript": "local:snippets/x"},
            "hookscript error for 100 on pre-start: script 'local:snippets/x' does not exist",
        ),
    ],
)
def test_a_vm_that_cannot_start_says_why(hands: Hands, given: dict[str, object], text: str) -> None:
    hands.vm(100, **given)
    assert hands.task("POST", "/100/status/start").rstrip() == text


def test_many_usb_ports_need_a_new_guest(hands: Hands) -> None:
    """qemu-server PVE/QemuServer/USB.pm (get_usb_controllers)."""
    hands.vm(100, usb5="spice", ostype="l26")
    assert hands.task("POST", "/100/status/start") == "OK"


def test_starting_a_running_vm_under_backup_lets_it_go_on(hands: Hands) -> None:
    """qemu-server PVE/QemuServer.pm (vm_start: a backup lock and a running VM mean resume)."""
    hands.vm(100)
    hands.task("POST", "/100/status/start")
    hands.call("PUT", "/100/config", lock="backup")
    assert hands.task("POST", "/100/status/start") == "OK"


def test_a_blank_copy_has_no_system_either(hands: Hands) -> None:
    hands.vm(100, scsi0="local:1,format=qcow2")
    hands.vm(101, scsi0=f"{TINY},format=qcow2")
    for vmid in (100, 101):
        hands.task("POST", f"/{vmid}/template")
        hands.task("POST", f"/{vmid}/clone", newid=vmid + 10)
        hands.task("POST", f"/{vmid}/clone", newid=vmid + 20, full=1)
    world = hands.simulator.world
    found = {vmid: has_system(world, machine) for vmid, machine in world.vms.items()}
    assert found == {100: False, 110: False, 120: False, 101: True, 111: True, 121: True}


def test_suspending_to_disk_names_the_day_and_what_it_runs_as(hands: Hands) -> None:
    """qemu-server PVE/QemuServer.pm (vm_suspend), PVE/QemuConfig.pm (__snapshot_save_vmstate)."""
    hands.vm(100, scsi0="store2:1", memory="256")
    hands.task("POST", "/100/status/start")
    assert hands.task("POST", "/100/status/suspend", todisk=1) == "OK"
    config = hands.config(100)
    assert config["vmstate"] == "store2:100/vm-100-state-suspend-2027-01-15.raw"
    assert {"runningmachine", "runningcpu"} <= set(config)
    saved = hands.simulator.world.volume("pve1", config["vmstate"])
    assert saved is not None and saved.size == (2 * 256 + 500) << 20


def test_what_cannot_be_saved_refuses_to_be_suspended(hands: Hands) -> None:
    """qemu-server PVE/API2/Qemu.pm (vm_suspend), PVE/QemuServer.pm (check_non_migratable...)."""
    hands.vm(100)
    hands.task("POST", "/100/status/start")
    hands.simulator.world.vms[100].config["virtiofs0"] = "share"
    text = "Cannot live-migrate, snapshot (with RAM), or hibernate a VM with: virtiofs"
    assert hands.task("POST", "/100/status/suspend", todisk=1) == text
    assert hands.refused("POST", "/100/snapshot", snapname="aa", vmstate=1) == f"500 {text}"
    hands.simulator.world.vms[100].config["hostpci0"] = "0000:01:00.0"
    said = hands.refused("POST", "/100/status/suspend", todisk=1)
    assert said.startswith("500 cannot suspend VM to disk due to passed-through PCI device(s)")
    hands.call("PUT", "/100/config", lock="backup")
    hands.simulator.world.vms[100].config.pop("hostpci0")
    text = "cannot suspend to disk during backup"
    assert hands.task("POST", "/100/status/suspend", todisk=1) == text


def test_a_suspended_vm_can_be_removed(hands: Hands) -> None:
    """qemu-server PVE/QemuServer.pm (destroy_vm: `suspended` is no lock for it)."""
    hands.vm(100, scsi0="local:1")
    hands.task("POST", "/100/status/start")
    hands.task("POST", "/100/status/suspend", todisk=1)
    assert hands.task("DELETE", "/100") == "OK"
    assert not [one for one in hands.simulator.world.volumes.values() if one.vmid == 100]


@pytest.mark.parametrize("name", ["current", "pending", "Pending", "PENDING"])
def test_some_snapshot_names_are_reserved(hands: Hands, name: str) -> None:
    """qemu-server PVE/API2/Qemu.pm (snapshot)."""
    hands.vm(100)
    text = f"500 unable to use snapshot name '{name.lower()}' (reserved name)"
    assert hands.refused("POST", "/100/snapshot", snapname=name) == text


def test_a_disk_of_a_removed_snapshot_is_kept_as_unused(hands: Hands) -> None:
    """pve-guest-common PVE/AbstractConfig.pm (snapshot_delete collects the volumes)."""
    hands.vm(100, scsi1="local:1,format=qcow2")
    hands.task("POST", "/100/snapshot", snapname="aa", description=" one \n")
    hands.simulator.world.vms[100].config.pop("scsi1")
    assert hands.get("/100/snapshot/aa/config")["description"] == " one"
    assert hands.task("DELETE", "/100/snapshot/aa") == "OK"
    assert hands.config(100)["unused0"] == "local:100/vm-100-disk-0.qcow2"


def test_rolling_back_forgets_what_waited(hands: Hands) -> None:
    """pve-guest-common PVE/AbstractConfig.pm (__snapshot_apply_config)."""
    hands.vm(100, scsi0="local:1,format=qcow2", cores=1)
    hands.task("POST", "/100/snapshot", snapname="aa")
    hands.simulator.world.vms[100].pending["cores"] = 2
    assert hands.task("POST", "/100/snapshot/aa/rollback") == "OK"
    assert hands.waiting(100) == {}


def test_an_empty_drive_has_no_volume_to_resize(hands: Hands) -> None:
    """qemu-server PVE/API2/Qemu.pm (resize_vm: parse_volname comes before the CD-ROM check)."""
    hands.vm(100, ide2="none", ide3="local:iso/t.iso,media=cdrom")
    text = "unable to parse volume ID 'none'"
    assert hands.task("PUT", "/100/resize", disk="ide2", size="+1G") == text
    text = "you can't resize a cdrom"
    assert hands.task("PUT", "/100/resize", disk="ide3", size="+1G") == text


def test_ejecting_a_cloud_init_drive_erases_it(hands: Hands) -> None:
    """qemu-server PVE/QemuServer.pm (vmconfig_update_disk)."""
    hands.vm(100, ide2="local:cloudinit")
    hands.task("POST", "/100/status/start")
    assert hands.call("PUT", "/100/config", ide2="none,media=cdrom").ok
    assert hands.simulator.world.volume("pve1", "local:100/vm-100-cloudinit.qcow2") is None


def test_displays_that_speak_spice_say_so(hands: Hands) -> None:
    """qemu-server PVE/API2/Qemu.pm (vm_status)."""
    hands.vm(100, vga="virtio")
    hands.vm(101, vga="type=qxl2")
    hands.vm(102, vga="std")
    found = [hands.get(f"/{vmid}/status/current").get("spice") for vmid in (100, 101, 102)]
    assert found == [1, 1, None]


def test_a_false_value_that_is_to_be_deleted_still_shows(hands: Hands) -> None:
    """pve-guest-common PVE/AbstractConfig.pm (load_current_config: `if $conf->{$opt}`)."""
    hands.vm(100, acpi=0, kvm=1)
    hands.task("POST", "/100/status/start")
    hands.call("PUT", "/100/config", delete="acpi,kvm")
    assert hands.config(100)["acpi"] == 0 and "kvm" not in hands.config(100)
