"""PUT and POST config, GET config and pending, unlink."""

import pytest

from tests.sim.conftest import Hands

DISK = "local:1,format=qcow2"


def test_a_pending_change_shows_in_config_but_not_in_current(hands: Hands) -> None:
    hands.vm(100, cores=1)
    hands.task("POST", "/100/status/start")
    assert hands.call("PUT", "/100/config", cores=2).data is None
    assert hands.config(100)["cores"] == 2
    assert hands.get("/100/config", current=1)["cores"] == 1
    assert hands.waiting(100) == {"cores": {"key": "cores", "value": 1, "pending": 2}}


def test_revert_drops_what_waits(hands: Hands) -> None:
    hands.vm(100, cores=1, serial0="socket")
    hands.task("POST", "/100/status/start")
    hands.call("PUT", "/100/config", cores=2, agent="1", delete="serial0")
    assert hands.waiting(100)["serial0"]["delete"] == 1
    hands.call("PUT", "/100/config", revert="cores,serial0,agent")
    assert hands.waiting(100) == {}


def test_a_digest_covers_every_section_and_depends_on_content_only(hands: Hands) -> None:
    hands.vm(100)
    first = hands.config(100)["digest"]
    hands.call("PUT", "/100/config", lock="backup")
    assert hands.config(100)["digest"] != first
    hands.call("PUT", "/100/config", delete="lock", skiplock=1)
    assert hands.config(100)["digest"] == first
    stale = "500 checksum mismatch (file change by other user?)"
    assert hands.refused("PUT", "/100/config", cores=1, digest="0" * 40) == stale
    assert hands.refused("POST", "/100/config", cores=1, digest="0" * 40) == stale
    assert hands.call("PUT", "/100/config", cores=1, digest="").ok


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "500 no options specified"),
        ({"delete": "nonsense"}, "delete: unknown option 'nonsense'"),
        ({"revert": "nonsense"}, "revert: unknown option 'nonsense'"),
        (
            {"delete": "cores", "cores": 1},
            "delete: you can't use '-cores' and -delete cores' at the same time",
        ),
        (
            {"revert": "cores", "cores": 1},
            "delete: you can't use '-cores' and -revert cores' at the same time",
        ),
        (
            {"revert": "cores", "delete": "cores"},
            "revert: you can't use '-delete cores' and -revert cores' at the same time",
        ),
        ({"force": 1}, "delete: missing property - 'force' requires this property"),
        ({"scsi3": "local:10G"}, "500 unable to parse directory volume name '10G'"),
        ({"scsi3": "nope:10"}, "500 storage 'nope' does not exist"),
        ({"scsi3": "local:iso/t.iso"}, "scsi3: explicit 'media=cdrom' is required for iso images"),
        ({"scsi3": "/x.raw"}, "scsi3: unable to associate path '/x.raw' to any storage"),
        (
            {"memory": "16", "balloon": 32},
            "500 balloon value too large (must be smaller than assigned memory)",
        ),
        ({"boot": "order=scsi9"}, "500 invalid bootorder: device 'scsi9' does not exist'"),
    ],
)
def test_wrong_changes_are_refused(hands: Hands, given: dict[str, object], text: str) -> None:
    hands.vm(100)
    assert hands.refused("PUT", "/100/config", **given) == text


def test_allocating_again_keeps_the_old_disk_as_unused(hands: Hands) -> None:
    hands.vm(100, scsi1=DISK)
    hands.call("PUT", "/100/config", scsi1=DISK)
    config = hands.config(100)
    assert config["scsi1"] == "local:100/vm-100-disk-1.qcow2,size=1G"
    assert config["unused0"] == "local:100/vm-100-disk-0.qcow2"


def test_attaching_an_unused_disk_takes_it_off_the_unused_list(hands: Hands) -> None:
    hands.vm(100, scsi1=DISK)
    hands.call("PUT", "/100/config", delete="scsi1")
    assert hands.config(100)["unused0"] == "local:100/vm-100-disk-0.qcow2"
    hands.call("PUT", "/100/config", scsi2="local:100/vm-100-disk-0.qcow2")
    config = hands.config(100)
    assert config["scsi2"] == "local:100/vm-100-disk-0.qcow2,size=1G"
    assert "unused0" not in config


def test_a_forced_delete_erases_the_disk(hands: Hands) -> None:
    hands.vm(100, scsi1=DISK)
    hands.call("PUT", "/100/unlink", idlist="scsi1", force=1)
    assert not [key for key in hands.config(100) if key.startswith(("scsi", "unused"))]
    assert all(volume.vmid != 100 for volume in hands.simulator.world.volumes.values())


def test_protection_keeps_disks(hands: Hands) -> None:
    hands.vm(100, scsi1=DISK, protection=1)
    text = hands.refused("PUT", "/100/config", delete="scsi1")
    assert text == "500 can't remove drive 'scsi1' - protection mode enabled"


def test_there_is_one_cloud_init_drive(hands: Hands) -> None:
    hands.vm(100, ide2="local:cloudinit")
    text = hands.refused("PUT", "/100/config", ide0="local:cloudinit")
    assert text == "500 ide0 - cloud-init drive is already attached at 'ide2'"


def test_a_cd_joins_and_leaves_the_boot_order(hands: Hands) -> None:
    hands.vm(100, scsi0=DISK)
    hands.call("PUT", "/100/config", cdrom="local:iso/t.iso")
    assert hands.config(100)["ide2"] == "local:iso/t.iso,media=cdrom,size=4K"
    assert hands.config(100)["boot"] == "order=scsi0;ide2"
    hands.call("PUT", "/100/config", delete="cdrom")
    assert hands.config(100)["boot"] == "order=scsi0"


def test_passwords_are_hashed_and_never_shown(hands: Hands) -> None:
    hands.vm(100)
    hands.call("PUT", "/100/config", cipassword="secret")
    kept = str(hands.simulator.world.vms[100].config["cipassword"])
    assert kept.startswith("$5$") and "secret" not in kept
    assert hands.config(100)["cipassword"] == "*" * 10
    hands.call("PUT", "/100/config", cipassword=kept)
    assert hands.simulator.world.vms[100].config["cipassword"] == kept
    log = [entry.msg for entry in hands.simulator.world.logbook]
    assert "update VM 100: -cipassword <hidden>" in log


def test_each_write_is_in_the_cluster_log(hands: Hands) -> None:
    hands.vm(100)
    hands.call("PUT", "/100/config", cores=4, tags="b;a")
    log = [entry.msg for entry in hands.simulator.world.logbook]
    assert "update VM 100: -cores 4 -tags b;a" in log


def test_post_works_as_a_task_that_holds_the_vm(hands: Hands) -> None:
    hands.vm(100)
    upid = hands.call("POST", "/100/config", scsi1=DISK).data
    assert hands.call("PUT", "/100/config", cores=2).ok, "it waits for the task"
    assert hands.end(upid) == "OK"
    assert {"scsi1", "cores"} <= set(hands.config(100))


def test_a_failed_hot_plug_in_a_post_fails_the_task(hands: Hands) -> None:
    hands.vm(100, net0="virtio,bridge=vmbr0")
    hands.task("POST", "/100/status/start")
    hands.simulator.world.vms[100].stubborn = True
    text = hands.task("POST", "/100/config", delete="net0")
    assert "net0: hotplug problem - error on hot-unplugging device 'net0'" in text


def test_a_config_cannot_be_current_and_of_a_snapshot(hands: Hands) -> None:
    hands.vm(100)
    text = hands.refused("GET", "/100/config", current=1, snapshot="aa")
    assert text.startswith("current: cannot use 'snapshot' parameter with 'current'")


def test_windows_pins_the_machine_unless_it_is_named(hands: Hands) -> None:
    hands.vm(100)
    hands.call("PUT", "/100/config", ostype="win11")
    assert hands.config(100)["machine"] == "pc-i440fx-7.2"
    hands.vm(101)
    hands.call("PUT", "/101/config", ostype="win11", machine="q35")
    assert hands.config(101)["machine"] == "q35"


def test_imports_copy_the_image(hands: Hands) -> None:
    hands.vm(100)
    source = "local:0,import-from=local:import/tiny.qcow2"
    assert hands.task("POST", "/100/config", scsi0=source) == "OK"
    assert hands.config(100)["scsi0"] == "local:100/vm-100-disk-0.qcow2,size=64M"
    special = "scsi1: 'import-from' requires special syntax"
    wrong = "local:1,import-from=local:import/tiny.qcow2"
    assert hands.refused("PUT", "/100/config", scsi1=wrong).startswith(special)
    gone = "local:0,import-from=local:import/nope.qcow2"
    said = "500 failed to stat '/var/lib/vz/import/nope.qcow2'"
    assert hands.refused("PUT", "/100/config", scsi1=gone) == said


def test_a_background_delay_waits_for_the_task(hands: Hands) -> None:
    hands.vm(100, net0="virtio,bridge=vmbr0")
    assert hands.call("POST", "/100/config", cores=2, background_delay=5).data is None
    assert hands.config(100)["cores"] == 2
    hands.task("POST", "/100/status/start")
    hands.simulator.world.vms[100].stubborn = True
    text = hands.refused("POST", "/100/config", delete="net0", background_delay=5)
    assert text.startswith("500 failed to update VM 100: Parameter verification failed.")


def test_a_drive_that_only_waits_is_dropped_with_its_volume(hands: Hands) -> None:
    hands.vm(100)
    hands.task("POST", "/100/status/start")
    hands.call("PUT", "/100/config", sata1="local:1")
    hands.call("PUT", "/100/config", sata1="local:2")
    assert hands.config(100)["unused0"] == "local:100/vm-100-disk-0.raw"
    hands.call("PUT", "/100/config", delete="sata1")
    assert hands.config(100)["unused1"] == "local:100/vm-100-disk-1.raw"
    assert hands.waiting(100) == {}


def test_deleting_twice_only_warns(hands: Hands) -> None:
    hands.vm(100, cores=2)
    assert hands.call("PUT", "/100/config", delete="cores,bootdisk").ok
    assert hands.task("POST", "/100/config", delete="cores") == "OK"
    task = next(hands.simulator.world.tasks.newest())
    assert "cannot delete 'cores' - not set in current configuration!" in task.lines


def test_the_old_boot_key_goes_when_an_order_is_set(hands: Hands) -> None:
    hands.vm(100, scsi0="local:1", boot="c", bootdisk="scsi0")
    hands.call("PUT", "/100/config", boot="order=scsi0")
    config = hands.config(100)
    assert config["boot"] == "order=scsi0" and "bootdisk" not in config


def test_a_suspended_vm_can_drop_its_memory(hands: Hands) -> None:
    hands.vm(100, scsi0="local:1")
    hands.task("POST", "/100/status/start")
    hands.task("POST", "/100/status/suspend", todisk=1)
    assert hands.call("PUT", "/100/config", delete="vmstate").ok
    assert {"lock", "vmstate", "runningmachine"} & set(hands.config(100)) == set()
    assert not [volid for _node, volid in hands.simulator.world.volumes if "-state-" in volid]


def test_vmgenid_1_asks_for_a_new_one(hands: Hands) -> None:
    hands.vm(100)
    before = hands.config(100)["vmgenid"]
    hands.call("PUT", "/100/config", vmgenid="1")
    assert hands.config(100)["vmgenid"] not in ("1", before)


def test_efi_and_tpm_disks_have_their_own_sizes(hands: Hands) -> None:
    hands.vm(100, bios="ovmf", efidisk0="local:1,efitype=4m", tpmstate0="local:1,version=v2.0")
    config = hands.config(100)
    assert config["efidisk0"] == "local:100/vm-100-disk-0.raw,efitype=4m,size=528K"
    assert config["tpmstate0"] == "local:100/vm-100-disk-1.raw,size=4M,version=v2.0"


def test_a_format_must_fit_the_volume(hands: Hands) -> None:
    hands.vm(100, scsi0="local:1,format=qcow2")
    text = hands.refused("PUT", "/100/config", scsi1="local:100/vm-100-disk-0.qcow2,format=raw")
    assert "'format=raw' option different from storage format 'qcow2'" in text
