"""POST /nodes/N/vzdump and its task. Words and order: pve-manager PVE/VZDump.pm,
PVE/API2/VZDump.pm, qemu-server PVE/VZDump/QemuServer.pm; pve-api.md section 8."""

from dataclasses import replace

import pytest

from reconciler.sim.cluster.inventory import Storage
from reconciler.sim.faults import Fault
from reconciler.sim.ha.book import Resource, book
from reconciler.sim.volumes import storage
from reconciler.sim.world import World
from tests.sim.backup.conftest import DISK, NODE, Keeper, said
from tests.sim.conftest import Hands

GIB = 1 << 30


def start_vm(hands: Hands) -> None:
    assert hands.task("POST", "/100/status/start") == "OK"


@pytest.mark.parametrize(
    ("params", "refused"),
    [
        ({}, "vmid: property is missing"),
        ({"vmid": "100", "all": "1"}, "all: option conflicts with option 'vmid'"),
        ({"vmid": "100", "exclude": "1"}, "exclude: invalid format - value does not look like a"),
        ({"vmid": "100", "exclude": "101"}, "exclude: option conflicts with option 'vmid'"),
        ({"vmid": "100", "pool": "p"}, "pool: option conflicts with option 'vmid'"),
        ({"vmid": "abc"}, "vmid: invalid format - value does not look like a valid VM ID"),
        ({"vmid": "100", "compress": "xz"}, "compress: value 'xz' does not have a value in the"),
        (
            {"vmid": "100", "maxfiles": "2", "prune-backups": "keep-last=1"},
            "prune-backups: option conflicts with option 'maxfiles'",
        ),
        ({"vmid": "100", "stdout": "1"}, "stdout: option is only allowed on the command line"),
        ({"vmid": "100", "ionice": "9"}, "ionice: value must have a maximum value of 8"),
        ({"vmid": "100", "mailto": "a b@"}, "mailto: invalid format - value does not look like a"),
        (
            {"vmid": "100", "prune-backups": "keep-all=1,keep-last=2"},
            "prune-backups: invalid format - keep-all cannot be set together with other options.",
        ),
        (
            {"vmid": "100", "prune-backups": "keep-last=x"},
            "prune-backups: invalid format - format error\nprune-backups.keep-last: type check",
        ),
        (
            {"vmid": "100", "protected": "1", "storage": None},
            "storage: missing property - 'protected' requires this property",
        ),
        (
            {"vmid": "100", "notes-template": "{{host}} \\t"},
            "notes-template: found unknown: escape sequence '\\t' at char 9, "
            "variable 'host' at char 4",
        ),
        ({"vmid": "100", "notes-template": "a\nb"}, "notes-template: contains a line feed"),
        ({"pool": "nope"}, "500 pool 'nope' does not exist"),
    ],
)
def test_what_the_call_refuses(keeper: Keeper, params: dict[str, object], refused: str) -> None:
    given = {key: one for key, one in ({"storage": "local"} | params).items() if one is not None}
    assert keeper.refusal("POST", f"{NODE}/vzdump", given).startswith(refused)


def test_a_stopped_vm_gets_a_paused_qemu_and_a_lock_while_it_is_copied(keeper: Keeper) -> None:
    task = keeper.begin(vmid=100, mode="snapshot", compress="zstd")
    row = keeper.hands.get("/100/status/current")
    assert (row["status"], row["qmpstatus"], row["lock"]) == ("running", "prelaunch", "backup")
    assert keeper.hands.refused("PUT", "/100/config", cores=2) == "500 VM is locked (backup)"
    assert keeper.hands.end(task.upid) == "OK"
    row = keeper.hands.get("/100/status/current")
    assert row["status"] == "stopped" and "lock" not in row
    assert "INFO: backup mode: stop" in task.lines
    disk = "'scsi1' 'local:100/vm-100-disk-1.qcow2'"
    assert f"INFO: exclude disk {disk} (backup=no)" in task.lines
    assert task.lines[-2:] == ["INFO: Backup job finished successfully", "TASK OK"]


def test_a_vm_paused_for_the_copy_has_no_agent_to_ask(keeper: Keeper) -> None:
    keeper.hands.call("PUT", "/100/config", agent="1")
    keeper.hands.simulator.faults.add(Fault("task-hang", task="vzdump"))
    keeper.begin(vmid=100)
    keeper.pass_by(600)
    refused = keeper.hands.refused("POST", "/100/agent/ping")
    assert refused == "500 QEMU guest agent is not running"


def test_a_vm_that_somebody_let_run_meanwhile_goes_on_running(keeper: Keeper) -> None:
    task = keeper.begin(vmid=100)
    assert keeper.hands.task("POST", "/100/status/resume", skiplock=1) == "OK"
    assert keeper.hands.end(task.upid) == "OK"
    assert keeper.hands.get("/100/status/current")["qmpstatus"] == "running"
    kept = "INFO: kvm status changed after backup ('running') - keep VM running"
    assert kept in task.lines and "INFO: stopping kvm after backup task" not in task.lines


@pytest.mark.parametrize(
    ("compress", "form"),
    [("0", "vma"), ("1", "vma.lzo"), ("lzo", "vma.lzo"), ("gzip", "vma.gz"), ("zstd", "vma.zst")],
)
def test_the_name_tells_guest_moment_and_packing(keeper: Keeper, compress: str, form: str) -> None:
    keeper.back_up(vmid=100, compress=compress)
    row = keeper.archives(vmid=100)[0]
    assert row["volid"] == f"local:backup/vzdump-qemu-100-2027_01_15-08_00_01.{form}"
    assert (row["format"], row["vmid"], row["subtype"]) == (form, 100, "qemu")
    assert row["ctime"] == 1800000001


def test_the_size_is_what_was_written_and_counts_against_the_storage(keeper: Keeper) -> None:
    image = keeper.world.volume("pve1", "local:100/vm-100-disk-0.qcow2")
    assert image is not None
    image.used = 2 * GIB
    before = keeper.get(f"{NODE}/storage/local/status")["used"]
    keeper.back_up(vmid=100)
    size = keeper.archives()[0]["size"]
    assert 2 * GIB < size < 2 * GIB + (1 << 20)
    assert keeper.get(f"{NODE}/storage/local/status")["used"] - before == size


def test_time_follows_the_data_and_the_limit(keeper: Keeper) -> None:
    image = keeper.world.volume("pve1", "local:100/vm-100-disk-0.qcow2")
    assert image is not None
    image.used = GIB

    def seconds(**params: object) -> float:
        task = keeper.back_up(vmid=100, **params)
        assert task.ended_at is not None
        return task.ended_at - task.starttime

    assert seconds(bwlimit=10240) > 10 * seconds()


@pytest.mark.parametrize(
    ("mode", "pid_stays", "line"),
    [
        ("snapshot", True, "INFO: resuming VM again"),
        ("suspend", True, "INFO: suspending guest"),
        ("stop", False, "INFO: stopping virtual guest"),
    ],
)
def test_a_running_vm_runs_on_after_each_mode(
    keeper: Keeper, mode: str, pid_stays: bool, line: str
) -> None:
    start_vm(keeper.hands)
    pid = keeper.hands.get("/100/status/current")["pid"]
    task = keeper.back_up(vmid=100, mode=mode)
    assert task.status == "OK" and line in task.lines
    row = keeper.hands.get("/100/status/current")
    assert row["qmpstatus"] == "running" and (row["pid"] == pid) is pid_stays


def test_stop_mode_takes_up_what_was_pending(keeper: Keeper) -> None:
    start_vm(keeper.hands)
    keeper.hands.call("PUT", "/100/config", cores=2)
    assert "cores" in keeper.hands.waiting(100)
    keeper.back_up(vmid=100, mode="snapshot")
    assert "cores" in keeper.hands.waiting(100)
    keeper.back_up(vmid=100, mode="stop")
    assert keeper.hands.waiting(100) == {}


def test_a_guest_that_does_not_shut_down_fails_its_backup_and_runs_on(keeper: Keeper) -> None:
    start_vm(keeper.hands)
    task = keeper.back_up(vmid=100, mode="stop", stopwait=0)
    assert task.status == "job errors"
    command = "command 'qm shutdown 100 --skiplock --keepActive --timeout 0'"
    assert f"ERROR: Backup of VM 100 failed - {command} failed: exit code 255" in task.lines
    row = keeper.hands.get("/100/status/current")
    assert row["qmpstatus"] == "running" and "lock" not in row
    assert keeper.archives() == []


def test_a_paused_guest_cannot_be_shut_down_for_its_backup(keeper: Keeper) -> None:
    start_vm(keeper.hands)
    keeper.hands.task("POST", "/100/status/suspend")
    assert keeper.back_up(vmid=100, mode="stop").status == "job errors"
    assert keeper.hands.get("/100/status/current")["qmpstatus"] == "paused"


def test_a_disk_that_vanishes_while_the_guest_stops_fails_it(keeper: Keeper) -> None:
    start_vm(keeper.hands)
    task = keeper.begin(vmid=100, mode="stop")
    del keeper.world.volumes[DISK]
    assert keeper.hands.end(task.upid) == "job errors"
    assert "INFO: restarting vm" in task.lines
    assert keeper.hands.get("/100/status/current")["qmpstatus"] == "running"


def test_a_guest_suspended_for_a_bad_disk_goes_on(keeper: Keeper) -> None:
    start_vm(keeper.hands)
    del keeper.world.volumes[DISK]
    assert keeper.back_up(vmid=100, mode="suspend").status == "job errors"
    assert keeper.hands.get("/100/status/current")["qmpstatus"] == "running"


def test_a_guest_destroyed_under_the_copy_leaves_nothing_to_unlock(keeper: Keeper) -> None:
    task = keeper.begin(vmid=100)
    del keeper.world.vms[100]
    assert keeper.hands.end(task.upid) == "job errors"


def test_fleecing_and_performance_are_taken_as_they_are(keeper: Keeper) -> None:
    task = keeper.back_up(
        vmid=100,
        fleecing="enabled=1,storage=store2",
        performance="max-workers=4",
        exclude_path=["/tmp", "/a b"],
        mailto="root",
        maxfiles=1,
    )
    assert task.status == "OK"
    assert "--exclude-path /tmp --exclude-path '/a b'" in task.lines[0]
    assert "--performance max-workers=4" in task.lines[0]
    assert "INFO: prune older backups with retention: keep-last=1" in task.lines


def test_special_sections_are_left_out(keeper: Keeper) -> None:
    keeper.world.vms[100].cloudinit["name"] = "old"
    task = keeper.back_up(vmid=100)
    line = "INFO: special config section found (not included into backup)"
    assert line in task.lines


def test_a_suspended_guest_stays_paused(keeper: Keeper) -> None:
    start_vm(keeper.hands)
    keeper.hands.task("POST", "/100/status/suspend")
    assert keeper.back_up(vmid=100, mode="suspend").status == "OK"
    assert keeper.hands.get("/100/status/current")["qmpstatus"] == "paused"


@pytest.mark.parametrize(
    ("agent", "mode", "patience", "line"),
    [
        ("1", "snapshot", 60, "issuing guest-agent 'fs-freeze' command"),
        ("1", "snapshot", 0, "skipping guest-agent 'fs-freeze', agent configured but not running?"),
        ("1", "suspend", 60, "skipping guest-agent 'fs-freeze', agent configured but not running?"),
        (
            "1,freeze-fs-on-backup=0",
            "snapshot",
            60,
            "skipping guest-agent 'fs-freeze', disabled in VM options",
        ),
    ],
)
def test_an_agent_that_answers_freezes_the_file_systems(
    keeper: Keeper, agent: str, mode: str, patience: int, line: str
) -> None:
    keeper.hands.call("PUT", "/100/config", agent=agent)
    start_vm(keeper.hands)
    keeper.pass_by(patience)
    task = keeper.back_up(vmid=100, mode=mode)
    assert f"INFO: {line}" in task.lines


def test_blank_disks_hold_no_system_that_would_shut_down(keeper: Keeper) -> None:
    keeper.world.volumes[DISK].used = storage.FRESH
    start_vm(keeper.hands)
    task = keeper.back_up(vmid=100, mode="stop", stopwait=2)
    command = "command 'qm shutdown 100 --skiplock --keepActive --timeout 120'"
    assert f"ERROR: Backup of VM 100 failed - {command} failed: exit code 255" in task.lines
    assert task.ended_at is not None and task.ended_at - task.starttime >= 120


def test_one_backup_at_a_time_on_a_node(keeper: Keeper) -> None:
    first = keeper.begin(vmid=100)
    second = keeper.begin(vmid=100)
    assert second.running and second.lines == ["INFO: trying to get global lock - waiting..."]
    keeper.hands.end(second.upid)
    assert first.status == second.status == "OK"
    assert "INFO: got global lock" in second.lines
    assert len(keeper.archives()) == 2


def test_lockwait_counts_real_minutes_and_leaves_without_a_closing_line(keeper: Keeper) -> None:
    keeper.world.speed = 60.0
    keeper.hands.simulator.faults.add(Fault("task-hang", task="vzdump"))
    keeper.begin(vmid=100)
    second = keeper.begin(vmid=100, lockwait=1)
    keeper.pass_by(59)
    assert second.running
    keeper.pass_by(2)
    assert second.status == "unexpected status"
    assert second.lines[-1] == "ERROR: can't acquire lock '/var/run/vzdump.lock' - got timeout"


def test_without_patience_a_busy_node_refuses_at_once(keeper: Keeper) -> None:
    keeper.begin(vmid=100)
    second = keeper.begin(vmid=100, lockwait=0)
    assert second.lines == ["ERROR: can't acquire lock '/var/run/vzdump.lock' (wait = 0)"]


def test_stop_ends_the_backup_at_work(keeper: Keeper) -> None:
    first = keeper.begin(vmid=100)
    answer = keeper.ask("POST", f"{NODE}/vzdump", {"stop": "1"})
    assert answer.data == "OK" and first.status == "interrupted by signal"
    assert keeper.ask("POST", f"{NODE}/vzdump", {"stop": "1"}).data == "OK"


def test_a_stopped_task_leaves_the_guest_as_it_found_it(keeper: Keeper) -> None:
    task = keeper.begin(vmid=100)
    keeper.ask("DELETE", f"{NODE}/tasks/{task.upid}")
    assert task.status == "interrupted by signal"
    assert "ERROR: Backup of VM 100 failed - interrupted by signal" in task.lines
    row = keeper.hands.get("/100/status/current")
    assert row["status"] == "stopped" and "lock" not in row
    assert keeper.archives() == []
    assert keeper.back_up(vmid=100).status == "OK"


def test_a_suspended_guest_goes_on_when_the_task_is_stopped(keeper: Keeper) -> None:
    start_vm(keeper.hands)
    task = keeper.begin(vmid=100, mode="stop")
    keeper.ask("DELETE", f"{NODE}/tasks/{task.upid}")
    assert keeper.hands.get("/100/status/current")["qmpstatus"] == "running"


def test_a_guest_that_fails_does_not_stop_the_others(keeper: Keeper) -> None:
    keeper.hands.vm(101)
    keeper.hands.call("PUT", "/100/config", lock="migrate")
    task = keeper.back_up(vmid="100,101,555")
    assert task.status == "job errors" and task.id == ""
    assert "ERROR: Backup of VM 100 failed - VM is locked (migrate)" in task.lines
    assert "ERROR: Backup of VM 555 failed - unable to find VM '555'" in task.lines
    assert "INFO: Backup job finished with errors" in task.lines
    assert [row["vmid"] for row in keeper.archives()] == [101]
    assert keeper.hands.config(100)["lock"] == "migrate"


def test_a_busy_config_is_waited_for_and_then_that_guests_fault(keeper: Keeper) -> None:
    start_vm(keeper.hands)
    keeper.hands.call("PUT", "/100/config", agent="0")
    keeper.hands.call("POST", "/100/status/shutdown", timeout=14)
    task = keeper.back_up(vmid=100)
    lock = "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"
    assert f"ERROR: Backup of VM 100 failed - {lock}" in task.lines


def test_a_config_that_gets_free_in_time_is_backed_up(keeper: Keeper) -> None:
    keeper.hands.call("POST", "/100/config", cores=2)
    assert keeper.back_up(vmid=100).status == "OK"
    assert "cores: 2" in keeper.get(f"{NODE}/vzdump/extractconfig", {"volume": keeper.newest()})


def test_a_missing_disk_is_that_guests_fault(keeper: Keeper) -> None:
    del keeper.world.volumes[DISK]
    task = keeper.back_up(vmid=100)
    text = "volume 'local:100/vm-100-disk-0.qcow2' does not exist"
    assert f"ERROR: Backup of VM 100 failed - {text}" in task.lines
    assert "lock" not in keeper.hands.config(100)


def test_a_guest_killed_under_the_copy_fails(keeper: Keeper) -> None:
    start_vm(keeper.hands)
    task = keeper.begin(vmid=100)
    keeper.world.vms[100].status = "stopped"
    keeper.hands.end(task.upid)
    assert "ERROR: Backup of VM 100 failed - VM 100 not running" in task.lines


def test_ha_forbids_to_stop_a_started_service(keeper: Keeper) -> None:
    book(keeper.world).resources["vm:100"] = Resource()
    task = keeper.back_up(vmid=100, mode="stop")
    assert task.status == "job errors"
    assert any("stop mode on a HA managed and enabled Service" in line for line in task.lines)
    book(keeper.world).resources["vm:100"] = Resource(state="disabled")
    assert keeper.back_up(vmid=100, mode="stop").status == "OK"


def test_all_but_some_and_those_of_a_pool(keeper: Keeper) -> None:
    for vmid in (101, 102):
        keeper.hands.vm(vmid)
    keeper.ask("POST", "/pools", {"poolid": "p"})
    keeper.ask("PUT", "/pools", {"poolid": "p", "vms": "102"})

    def taken(**params: object) -> list[int]:
        for row in keeper.archives():
            keeper.ask("DELETE", f"{NODE}/storage/local/content/{row['volid']}")
        assert keeper.back_up(**params).status == "OK"
        return [row["vmid"] for row in keeper.archives()]

    assert taken(all=1) == [100, 101, 102]
    assert taken(exclude="101") == [100, 102]
    assert taken(pool="p") == [102]


def test_a_disk_less_guest_is_only_its_config(keeper: Keeper) -> None:
    keeper.hands.vm(101)
    task = keeper.back_up(vmid=101)
    assert "INFO: starting diskless backup" in task.lines
    assert keeper.hands.get("/101/status/current")["status"] == "stopped"


def test_what_is_left_out_is_said(keeper: Keeper) -> None:
    keeper.hands.call("PUT", "/100/config", delete="scsi1")
    keeper.hands.task("POST", "/100/snapshot", snapname="s0")
    start_vm(keeper.hands)
    keeper.hands.call("PUT", "/100/config", cores=2)
    task = keeper.back_up(vmid=100)
    assert "INFO: snapshots found (not included into backup)" in task.lines
    skipped = "skip unused drive 'local:100/vm-100-disk-1.qcow2'"
    assert f"INFO: {skipped} (not included into backup)" in task.lines
    pending = "pending configuration changes found"
    assert f"INFO: {pending} (not included into backup)" in task.lines
    text = keeper.get(f"{NODE}/vzdump/extractconfig", {"volume": keeper.newest()})
    assert "cores" not in text and "unused" not in text and "[s0]" not in text


def test_notes_are_made_from_the_template(keeper: Keeper) -> None:
    keeper.back_up(vmid=100, notes_template="{{guestname}} on {{node}}\\n{{cluster}} \\\\{{vmid}}")
    path = f"{NODE}/storage/local/content/{keeper.newest()}"
    assert keeper.get(path)["notes"] == "one on pve1\nstandalone node \\100"
    assert keeper.archives()[0]["notes"] == "one on pve1"


@pytest.mark.parametrize(
    ("compress", "reason"), [("zstd", "Broken pipe"), ("0", "No space left on device")]
)
def test_a_full_storage_fails_the_guest_and_keeps_nothing(
    keeper: Keeper, compress: str, reason: str
) -> None:
    store = keeper.world.storages["local"]
    store.size = store.used + (1 << 19)
    image = keeper.world.volume("pve1", "local:100/vm-100-disk-0.qcow2")
    assert image is not None
    keeper.world.volumes.clear()
    image.used = GIB
    keeper.world.volumes["pve1", image.volid] = image
    store.size += GIB
    task = keeper.back_up(vmid=100, compress="0")
    store.full = True
    task = keeper.back_up(vmid=100, compress=compress)
    assert task.status == "job errors"
    assert f"ERROR: vma_queue_write: write error - {reason}" in task.lines
    assert keeper.archives() == [] and "lock" not in keeper.hands.config(100)


@pytest.mark.parametrize(
    ("params", "status"),
    [
        (
            {"storage": "store2"},
            "could not get storage information for 'store2': can't use storage 'store2' for "
            "backups - wrong content type",
        ),
        (
            {"storage": "far"},
            "could not activate storage 'far': storage 'far' is not available on node 'pve1'",
        ),
        ({"storage": "", "dumpdir": "/no/"}, "dumpdir '/no' does not exist"),
        ({"dumpdir": "/no"}, "cannot use options 'storage' and 'dumpdir' at the same time"),
        (
            {"script": "/x", "tmpdir": "/t"},
            "Error: The hook script '/x' does not exist. tmpdir '/t' does not exist",
        ),
    ],
)
def test_a_bad_target_shows_in_the_task(
    keeper: Keeper, params: dict[str, object], status: str
) -> None:
    keeper.world.storages["far"] = Storage("far", "dir", ["backup"], GIB, nodes=["pve9"])
    given = {key: one for key, one in ({"storage": "local"} | params).items() if one}
    answer = keeper.ask("POST", f"{NODE}/vzdump", {"vmid": "100", **given})
    assert keeper.task(answer.data).status == status


def test_two_nodes_back_up_at_the_same_time(demo_hands: Hands) -> None:
    world = demo_hands.simulator.world
    world.storages["nas"] = Storage("nas", "nfs", ["backup"], 100 * GIB, shared=True)
    upids = []
    for node, vmid in (("pve1", 9000), ("pve2", 9001)):
        params = {"all": 1, "storage": "nas"}
        answer = demo_hands.simulator.call("POST", f"/nodes/{node}/vzdump", params)
        task = world.tasks.get(answer.data)
        assert task is not None and task.running
        assert world.vms[vmid].lock == "backup"
        upids.append(answer.data)
    assert {demo_hands.end(upid) for upid in upids} == {"OK"}
    path = "/nodes/pve3/storage/nas/content"
    owners = [row["vmid"] for row in demo_hands.simulator.call("GET", path).data]
    assert owners == [9000, 9001, 9100]


def test_guests_of_other_nodes_are_answered_ok(demo_hands: Hands) -> None:
    answer = demo_hands.simulator.call("POST", "/nodes/pve2/vzdump", {"vmid": "9000"})
    assert answer.data == "OK"


class TestRights:
    """VM.Backup, Datastore.AllocateSpace and the options of few (pve-manager PVE/API2/Backup.pm,
    assert_param_permission_common)."""

    @pytest.mark.parametrize(
        ("params", "refused"),
        [
            ({}, ""),
            ({"tmpdir": "/t"}, "tmpdir: Only root may set this option."),
            ({"job-id": "j"}, "job-id: Only root may set this option."),
            ({"bwlimit": "1"}, "403 Permission check failed (/, Sys.Modify)"),
            ({"performance": "max-workers=1"}, "403 Permission check failed (/, Sys.Modify)"),
            (
                {"prune-backups": "keep-last=1"},
                "403 Permission check failed (/storage/local, Datastore.Allocate)",
            ),
            (
                {"fleecing": "1,storage=store2"},
                "403 Permission check failed (/storage/store2, Datastore.AllocateSpace)",
            ),
        ],
    )
    def test_who_may_set_what(
        self, keeper: Keeper, params: dict[str, object], refused: str
    ) -> None:
        bob = keeper.user("bob@pve", ("/vms", "PVEVMUser"), ("/storage/local", "PVEDatastoreUser"))
        answer = keeper.ask("POST", f"{NODE}/vzdump", {"vmid": "100", **params}, bob)
        if refused:
            assert said(answer) == refused
        else:
            assert keeper.hands.end(answer.data) == "OK"

    def test_a_guest_of_others_fails_the_task_but_all_leaves_it_out(self, keeper: Keeper) -> None:
        bob = keeper.user("bob@pve", ("/storage/local", "PVEDatastoreUser"))
        answer = keeper.ask("POST", f"{NODE}/vzdump", {"vmid": "100"}, bob)
        assert keeper.hands.end(answer.data) == "403 Permission check failed (/vms/100, VM.Backup)"
        answer = keeper.ask("POST", f"{NODE}/vzdump", {"all": "1"}, bob)
        assert keeper.hands.end(answer.data) == "OK"
        assert keeper.archives() == []


def test_defaults_name_the_storages_own(keeper: Keeper) -> None:
    keeper.world.storages["local"].options["prune-backups"] = "keep-last=3"
    found = keeper.get(f"{NODE}/vzdump/defaults")
    assert (found["storage"], found["dumpdir"]) == ("local", "/var/lib/vz/dump")
    assert (found["prune-backups"], found["mode"], found["remove"]) == (
        "keep-last=3",
        "snapshot",
        1,
    )
    refused = keeper.refusal("GET", f"{NODE}/vzdump/defaults", {"storage": "store2"})
    assert refused == "500 can't use storage 'store2' for backups - wrong content type"
    bob = keeper.user("bob@pve", ("/storage/local", "PVEDatastoreUser"))
    seen = keeper.ask("GET", f"{NODE}/vzdump/defaults", who=bob).data
    assert "dumpdir" not in seen and "ionice" not in seen and seen["zstd"] == 1


@pytest.mark.parametrize(
    ("volume", "refused"),
    [
        ("garbage", "500 unable to parse volume ID 'garbage'"),
        (
            "local:iso/t.iso",
            "500 unable to use volume local:iso/t.iso - content type needs to be 'backup'",
        ),
        (
            "local:backup/vzdump-qemu-1-2020_01_01-00_00_00.vma",
            "500 volume 'local:backup/vzdump-qemu-1-2020_01_01-00_00_00.vma' does not exist",
        ),
    ],
)
def test_only_an_archive_gives_a_config(keeper: Keeper, volume: str, refused: str) -> None:
    assert keeper.refusal("GET", f"{NODE}/vzdump/extractconfig", {"volume": volume}) == refused


def test_a_name_without_an_archive_behind_it_gives_none(keeper: Keeper) -> None:
    keeper.back_up(vmid=100)
    volume = keeper.world.volumes["pve1", keeper.newest()]
    volid = "local:backup/vzdump-qemu-100-2020_01_01-00_00_00.vma"
    keeper.world.volumes["pve1", volid] = replace(volume, volid=volid)
    refused = keeper.refusal("GET", f"{NODE}/vzdump/extractconfig", {"volume": volid})
    assert refused.startswith("500 cannot determine backup guest type for backup archive")


def test_a_backup_goes_on_in_a_saved_world(keeper: Keeper) -> None:
    task = keeper.begin(vmid=100, compress="zstd")
    waiting = keeper.begin(vmid=100)
    world = World.load(keeper.world.dump())
    world.advance(world.now + 60)
    assert [world.tasks.all[one.upid].status for one in (task, waiting)] == ["OK", "OK"]
    names = [one.volid for one in world.volumes.values() if one.content == "backup"]
    assert len(names) == 2


def test_a_sped_up_cluster_does_not_overwrite_the_backup_of_the_same_second(
    keeper: Keeper,
) -> None:
    keeper.world.speed = 1000.0
    first = keeper.begin(vmid=100)
    second = keeper.begin(vmid=100)
    keeper.pass_by(5)
    assert first.status == second.status == "OK"
    assert len({row["ctime"] for row in keeper.archives()}) == 2
