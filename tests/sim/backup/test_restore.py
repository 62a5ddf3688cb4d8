"""POST /nodes/N/qemu with `archive`. Sources: qemu-server PVE/API2/Qemu.pm (create_vm),
PVE/QemuServer.pm (restore_vma_archive, restore_update_config_line, rescan); pve-api.md 8, 15."""

import re

import pytest

from reconciler.sim.cluster.inventory import Storage
from reconciler.sim.vm.machine import Machine
from tests.sim.backup.conftest import NODE, Keeper, said

GIB = 1 << 30
LEFT_OUT = "scsi1: local:100/vm-100-disk-1.qcow2,backup=0,size=1G"


@pytest.fixture
def archive(keeper: Keeper) -> str:
    """A backup of VM 100 as it is at the start."""
    assert keeper.back_up(vmid=100, compress="zstd").status == "OK"
    return keeper.newest()


def test_over_the_vm_itself_later_changes_go_and_later_disks_are_kept_unused(
    keeper: Keeper, archive: str
) -> None:
    before = keeper.hands.config(100)
    keeper.hands.call(
        "PUT", "/100/config", cores=4, description="new", scsi2="local:1,format=qcow2"
    )
    assert keeper.restore(100, archive, force=1).status == "OK"
    after = keeper.hands.config(100)
    assert "cores" not in after and "scsi1" not in after and "scsi2" not in after
    assert after["unused0"] == "local:100/vm-100-disk-1.qcow2"
    assert after["unused1"] == "local:100/vm-100-disk-2.qcow2"
    assert after["description"] == f"to keep\n{LEFT_OUT}"
    for key in ("net0", "smbios1", "scsi0", "name"):
        assert after[key] == before[key]
    assert after["vmgenid"] != before["vmgenid"]


def test_a_new_vm_has_the_same_addresses_unless_it_must_be_unique(
    keeper: Keeper, archive: str
) -> None:
    old = keeper.hands.config(100)
    keeper.restore(101, archive)
    keeper.restore(102, archive, unique=1)
    same, own = keeper.hands.config(101), keeper.hands.config(102)
    assert (same["net0"], same["smbios1"]) == (old["net0"], old["smbios1"])
    assert own["net0"] != old["net0"] and own["smbios1"] != old["smbios1"]
    assert own["net0"].endswith(",bridge=vmbr0")
    assert same["scsi0"] == "local:101/vm-101-disk-0.qcow2,size=4G"


def test_keys_of_the_call_win_over_the_archive(keeper: Keeper, archive: str) -> None:
    keeper.restore(101, archive, name="two", memory=1024, description="mine")
    after = keeper.hands.config(101)
    assert (after["name"], after["memory"], after["description"]) == ("two", "1024", "mine")


def test_another_storage_takes_all_disks(keeper: Keeper, archive: str) -> None:
    keeper.hands.call("PUT", "/100/config", ide2="local:cloudinit")
    keeper.back_up(vmid=100, compress="zstd")
    keeper.restore(101, keeper.newest(), storage="store2")
    after = keeper.hands.config(101)
    assert after["scsi0"] == "store2:101/vm-101-disk-0.qcow2,size=4G"
    assert after["ide2"].startswith("store2:101/vm-101-cloudinit.qcow2,media=cdrom")


def test_a_storage_without_that_format_takes_its_own(keeper: Keeper, archive: str) -> None:
    keeper.world.storages["thin"] = Storage("thin", "lvmthin", ["images"], 100 * GIB)
    keeper.restore(101, archive, storage="thin")
    assert keeper.hands.config(101)["scsi0"] == "thin:vm-101-disk-0,size=4G"


def test_the_data_is_as_large_as_it_was(keeper: Keeper) -> None:
    image = keeper.world.volume("pve1", "local:100/vm-100-disk-0.qcow2")
    assert image is not None
    image.used = GIB
    keeper.back_up(vmid=100)
    keeper.restore(101, keeper.newest())
    copy = keeper.world.volume("pve1", "local:101/vm-101-disk-0.qcow2")
    assert copy is not None and (copy.used, copy.size) == (GIB, 4 * GIB)


def test_while_data_is_copied_the_config_is_bare_and_held(keeper: Keeper, archive: str) -> None:
    answer = keeper.hands.call("POST", "", vmid=100, archive=archive, force=1)
    config = keeper.hands.config(100)
    config.pop("digest")
    assert config == {"memory": "128"}
    running = keeper.world.tasks.get(answer.data)
    assert running is not None and running.running and running.kind == "qmrestore"
    late = keeper.hands.call("PUT", "/100/config", cores=2)
    assert late.status == 200 and not running.running


def test_snapshots_and_pending_values_are_gone(keeper: Keeper) -> None:
    keeper.hands.call("PUT", "/100/config", delete="scsi1")
    keeper.hands.call("PUT", "/100/config", delete="unused0")
    keeper.back_up(vmid=100)
    assert keeper.hands.task("POST", "/100/status/start") == "OK"
    assert keeper.hands.task("POST", "/100/snapshot", snapname="s0", vmstate=1) == "OK"
    state = [one.volid for one in keeper.world.volumes.values() if "-state-" in one.volid]
    assert len(state) == 1
    keeper.hands.task("POST", "/100/status/stop")
    keeper.restore(100, keeper.newest(), force=1)
    assert [row["name"] for row in keeper.hands.get("/100/snapshot")] == ["current"]
    assert keeper.world.volume("pve1", state[0]) is None
    assert not [key for key in keeper.hands.config(100) if key.startswith("unused")]


def test_the_firewall_comes_back_with_it(keeper: Keeper) -> None:
    keeper.hands.call("PUT", "/100/firewall/options", enable=1)
    keeper.back_up(vmid=100)
    keeper.hands.call("PUT", "/100/firewall/options", enable=0)
    keeper.restore(100, keeper.newest(), force=1)
    assert keeper.hands.get("/100/firewall/options")["enable"] == 1


def test_a_template_is_one_again(keeper: Keeper) -> None:
    assert keeper.hands.task("POST", "/100/template") == "OK"
    keeper.back_up(vmid=100)
    task = keeper.restore(101, keeper.newest())
    assert "Convert to template." in task.lines
    after = keeper.hands.config(101)
    assert after["template"] == 1
    assert after["scsi0"].startswith("local:101/base-101-disk-0.qcow2")


def test_a_linked_clone_is_restored_whole(keeper: Keeper) -> None:
    base = keeper.world.volume("pve1", "local:100/vm-100-disk-0.qcow2")
    assert base is not None
    base.used = GIB
    keeper.hands.task("POST", "/100/template")
    assert keeper.hands.task("POST", "/100/clone", newid=110) == "OK"
    keeper.back_up(vmid=110)
    keeper.restore(111, keeper.newest())
    copy = keeper.world.volume("pve1", "local:111/vm-111-disk-0.qcow2")
    assert copy is not None and copy.parent is None and copy.used > GIB


def test_pool_and_start_come_last(keeper: Keeper, archive: str) -> None:
    keeper.ask("POST", "/pools", {"poolid": "p"})
    task = keeper.restore(101, archive, pool="p", start=1)
    assert "Execute autostart" in task.lines
    keeper.pass_by(30)
    assert keeper.hands.get("/101/status/current")["status"] == "running"
    assert keeper.world.pool_of(101) == "p"


def test_sizes_are_trued_after_the_restore(keeper: Keeper) -> None:
    keeper.back_up(vmid=100)
    inside = keeper.world.rooms["backup"].archives
    next(iter(inside.values())).disks[0].size = 5 * GIB
    task = keeper.restore(101, keeper.newest())
    disk = "local:101/vm-101-disk-0.qcow2"
    assert f"VM 101 (scsi0): size of disk '{disk}' updated from 4G to 5G" in task.lines
    assert keeper.hands.config(101)["scsi0"].endswith("size=5G")


def test_an_efi_disk_without_its_bios_is_left_out_and_still_named(keeper: Keeper) -> None:
    keeper.hands.call("PUT", "/100/config", efidisk0="local:1,format=raw")
    task = keeper.back_up(vmid=100)
    assert any("efidisk but no OMVF BIOS" in line for line in task.lines)
    keeper.restore(101, keeper.newest())
    assert keeper.hands.config(101)["efidisk0"].startswith("local:100/vm-100-disk-2.raw")


@pytest.mark.parametrize(
    ("params", "refused"),
    [
        ({}, "500 unable to restore VM 100 - VM 100 already exists on node 'pve1'"),
        ({"scsi0": "local:1"}, "scsi0: option conflicts with option 'archive'"),
        ({"archive": "-"}, "500 pipe requires cli environment"),
        ({"archive": "/no/such"}, "500 can't find file '/no/such'"),
        (
            {"archive": "local:iso/t.iso"},
            "500 unable to use volume local:iso/t.iso - content type needs to be 'backup'",
        ),
        (
            {"archive": "local:backup/vzdump-qemu-1-2020_01_01-00_00_00.vma"},
            "500 volume 'local:backup/vzdump-qemu-1-2020_01_01-00_00_00.vma' does not exist",
        ),
        ({"archive": "nope:backup/x.vma"}, "500 storage 'nope' does not exist"),
        ({"archive": None, "force": 1}, "archive: missing property - 'force' requires this"),
        ({"pool": "nope"}, "403 Permission check failed (pool 'nope' does not exist)"),
    ],
)
def test_what_the_call_refuses(
    keeper: Keeper, archive: str, params: dict[str, object], refused: str
) -> None:
    whole: dict[str, object] = {"vmid": 100, "archive": archive} | params
    given = {key: one for key, one in whole.items() if one is not None}
    assert keeper.refusal("POST", f"{NODE}/qemu", given).startswith(refused)


def test_a_path_names_an_archive_too(keeper: Keeper, archive: str) -> None:
    file = archive.removeprefix("local:backup/")
    assert keeper.restore(101, f"/var/lib/vz/dump/{file}").status == "OK"


def test_a_locked_vm_refuses_at_once(keeper: Keeper, archive: str) -> None:
    keeper.hands.call("PUT", "/100/config", lock="migrate")
    refused = keeper.hands.refused("POST", "", vmid=100, archive=archive, force=1)
    assert refused == "500 unable to restore VM 100 - VM is locked (migrate)"


def test_a_vm_on_another_node_keeps_its_id(keeper: Keeper, archive: str) -> None:
    keeper.world.vms[101] = Machine(101, "pve9")
    refused = keeper.hands.refused("POST", "", vmid=101, archive=archive, force=1)
    path = "/etc/pve/nodes/pve1/qemu-server/101.conf"
    assert refused == (
        f"500 unable to restore VM 101 - close (rename) atomic file '{path}' failed: File exists"
    )


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("running", "unable to restore VM 100 - vm is running"),
        ("protected", "unable to restore VM 100 - - protection mode enabled"),
    ],
)
def test_a_running_or_protected_vm_fails_in_the_task_and_keeps_all(
    keeper: Keeper, archive: str, state: str, status: str
) -> None:
    if state == "running":
        keeper.hands.task("POST", "/100/status/start")
    else:
        keeper.hands.call("PUT", "/100/config", protection=1)
    before = keeper.hands.config(100)
    assert keeper.restore(100, archive, force=1).status == status
    assert keeper.hands.config(100) == before


def test_live_restore_wants_a_backup_server(keeper: Keeper, archive: str) -> None:
    task = keeper.restore(101, archive, live_restore=1)
    assert task.status == (
        "live-restore is only compatible with backup images from a Proxmox Backup Server"
    )


@pytest.mark.parametrize(
    ("compress", "command"),
    [
        ("0", r"vma extract -v -r \S+\.fifo /var/lib/vz/dump/\S+\.vma \S+"),
        ("gzip", r"set -o pipefail && zcat \S+\.vma\.gz \| vma extract -v -r \S+\.fifo - \S+"),
        ("lzo", r"set -o pipefail && lzop -d -c \S+\.vma\.lzo \| vma extract .*"),
        ("zstd", r"set -o pipefail && zstd -q -d -c \S+\.vma\.zst \| vma extract .*"),
    ],
)
def test_a_fault_of_the_target_is_worded_as_the_unpackers(
    keeper: Keeper, compress: str, command: str
) -> None:
    keeper.back_up(vmid=100, compress=compress)
    task = keeper.restore(101, keeper.newest(), storage="nope")
    text = "storage 'nope' does not exist"
    assert task.status is not None
    assert re.fullmatch(rf"command '{command}' failed: {text}", task.status)
    left = keeper.hands.config(101)
    assert list(left) == ["digest"]


def test_no_room_leaves_a_bare_vm_without_its_old_disk(keeper: Keeper, archive: str) -> None:
    store = keeper.world.storages["store2"]
    store.full = True
    task = keeper.restore(100, archive, force=1, storage="store2")
    assert task.status is not None and task.status.endswith("No space left on device")
    left = keeper.hands.config(100)
    assert {key: left[key] for key in left if key != "digest"} == {"memory": "128"}
    assert keeper.world.volume("pve1", "local:100/vm-100-disk-0.qcow2") is None
    assert keeper.world.volume("pve1", "local:100/vm-100-disk-1.qcow2") is not None


def test_what_was_laid_out_before_the_room_ran_out_is_removed(keeper: Keeper) -> None:
    keeper.hands.call("PUT", "/100/config", scsi2="local:1,format=qcow2")
    keeper.back_up(vmid=100)
    store = keeper.world.storages["store2"]
    store.size = store.used + 1_300_000
    task = keeper.restore(101, keeper.newest(), storage="store2")
    assert "temporary volume 'store2:101/vm-101-disk-0.qcow2' successfully removed" in task.lines
    assert not [one for one in keeper.world.volumes.values() if one.vmid == 101]


def test_a_storage_for_no_images_is_refused(keeper: Keeper, archive: str) -> None:
    keeper.world.storages["store2"].content.remove("images")
    task = keeper.restore(101, archive, storage="store2")
    assert task.status is not None
    assert task.status.endswith("Content type 'images' is not available on storage 'store2'")


def test_an_archive_that_vanishes_meanwhile_fails_the_restore(keeper: Keeper, archive: str) -> None:
    answer = keeper.hands.call("POST", "", vmid=101, archive=archive)
    del keeper.world.volumes["pve1", archive]
    assert keeper.hands.end(answer.data) == f"volume '{archive}' does not exist"


def test_a_file_that_only_looks_like_a_backup_restores_nothing(
    keeper: Keeper, archive: str
) -> None:
    keeper.world.rooms["backup"].archives.clear()
    task = keeper.restore(101, archive)
    assert task.status == "ERROR: archive contains no configuration file"


class TestRights:
    """VM.Allocate, or VM.Backup over an existing VM; the archive; the target storage; bridges."""

    def test_backup_rights_are_enough_over_the_vm_itself(
        self, keeper: Keeper, archive: str
    ) -> None:
        bob = keeper.user(
            "bob@pve", ("/vms/100", "PVEVMUser"), ("/storage/local", "PVEDatastoreUser")
        )
        keeper.user("bob@pve", ("/sdn/zones", "PVESDNUser"))
        params = {"vmid": "100", "archive": archive, "force": "1"}
        answer = keeper.ask("POST", f"{NODE}/qemu", params, bob)
        assert keeper.hands.end(answer.data) == "OK"
        answer = keeper.ask("POST", f"{NODE}/qemu", params | {"vmid": "101"}, bob)
        assert said(answer) == "403 Permission check failed"

    def test_bridges_are_checked_before_anything_is_touched(
        self, keeper: Keeper, archive: str
    ) -> None:
        bob = keeper.user("bob@pve", ("/vms", "PVEVMAdmin"), ("/storage/local", "PVEDatastoreUser"))
        params = {"vmid": "100", "archive": archive, "force": "1"}
        before = keeper.hands.config(100)
        answer = keeper.ask("POST", f"{NODE}/qemu", params, bob)
        status = keeper.hands.end(answer.data)
        assert status == ("403 Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)")
        assert keeper.hands.config(100) == before

    def test_the_storages_that_disks_come_from_need_a_right(
        self, keeper: Keeper, archive: str
    ) -> None:
        keeper.world.storages["nas"] = Storage("nas", "nfs", ["backup"], 10 * GIB, shared=True)
        keeper.back_up(vmid=100, storage="nas")
        volid = keeper.get(f"{NODE}/storage/nas/content")[0]["volid"]
        bob = keeper.user(
            "bob@pve",
            ("/vms", "PVEVMAdmin"),
            ("/storage/nas", "PVEDatastoreUser"),
            ("/sdn/zones", "PVESDNUser"),
        )
        answer = keeper.ask("POST", f"{NODE}/qemu", {"vmid": "101", "archive": volid}, bob)
        status = keeper.hands.end(answer.data)
        text = "403 Permission check failed (/storage/local, Datastore.AllocateSpace)"
        assert status.endswith(f"failed: {text}")

    def test_somebody_elses_archive_and_paths_are_refused(
        self, keeper: Keeper, archive: str
    ) -> None:
        bob = keeper.user(
            "bob@pve", ("/vms/101", "PVEVMAdmin"), ("/storage/local", "PVEDatastoreUser")
        )
        params = {"vmid": "101", "archive": archive}
        answer = keeper.ask("POST", f"{NODE}/qemu", params, bob)
        assert said(answer) == "403 Permission check failed (/vms/100, VM.Backup)"
        answer = keeper.ask("POST", f"{NODE}/qemu", params | {"archive": "/x"}, bob)
        assert said(answer) == "500 Only root can pass arbitrary filesystem paths."


def test_a_backup_server_keeps_snapshots_and_restores_live(keeper: Keeper) -> None:
    options = {"server": "pbs.example", "datastore": "main"}
    keeper.world.storages["pbs"] = Storage(
        "pbs", "pbs", ["backup"], 99 * GIB, True, None, 0, options
    )
    task = keeper.back_up(vmid=100, storage="pbs", notes_template="{{vmid}}")
    target = "vm/100/2027-01-15T08:00:01Z"
    assert f"INFO: creating Proxmox Backup Server archive '{target}'" in task.lines
    row = keeper.get(f"{NODE}/storage/pbs/content")[0]
    assert row["volid"] == f"pbs:backup/{target}"
    assert (row["format"], row["subtype"], row["vmid"], row["notes"]) == (
        "pbs-vm",
        "qemu",
        100,
        "100",
    )
    one = keeper.get(f"{NODE}/storage/pbs/content/{row['volid']}")
    assert (one["format"], one["path"]) == ("pbs-vm", f"pbs://root@pam@pbs.example:main/{target}")
    assert keeper.restore(101, row["volid"], live_restore=1).status == "OK"
    keeper.pass_by(30)
    assert keeper.hands.get("/101/status/current")["status"] == "running"
    task = keeper.restore(102, row["volid"], storage="nope")
    assert task.status == "storage 'nope' does not exist"
