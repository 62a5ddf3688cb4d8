"""Migration of VMs: what it checks beforehand, what the task does and how it fails.

Cases follow pve-api.md section 7 (`Migrate`) and qemu-server PVE/QemuMigrate.pm.
"""

from typing import Any

import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.cluster.inventory import GIB, Storage
from reconciler.sim.cluster.mapped import Mapping, mappings
from reconciler.sim.samples import add_file, demo_world
from tests.sim.conftest import Hands

SHARED = "shared:4"
LOCAL = "local-lvm:4"


@pytest.fixture
def simulator(clock: ManualClock) -> Simulator:
    world = demo_world(SOME_DAY, speed=1.0)
    world.storages["files"] = Storage(
        "files", "dir", ["images", "iso"], 100 * GIB, options={"path": "/srv"}
    )
    world.storages["fast"] = Storage("fast", "zfspool", ["images"], 100 * GIB)
    world.storages["one"] = Storage(
        "one", "dir", ["images"], GIB, nodes=["pve1"], options={"path": "/one"}
    )
    add_file(world, "pve1", "local:iso/t.iso", "iso", "iso", 4096)
    return Simulator(world, clock)


@pytest.fixture
def hands(simulator: Simulator, clock: ManualClock) -> Hands:
    return Hands(simulator, clock)


def migrate(hands: Hands, vmid: int = 200, **params: object) -> str:
    given: dict[str, object] = {"target": "pve2", **params}
    return hands.task("POST", f"/{vmid}/migrate", **given)


def copies(hands: Hands) -> list[str]:
    """Volumes of the VMs under test on the target."""
    return [one for place, one in hands.simulator.world.volumes if place == "pve2" and "-20" in one]


def lines(hands: Hands) -> list[str]:
    """The log of the newest migration, without dates."""
    task = next(one for one in hands.simulator.world.tasks.newest() if one.kind == "qmigrate")
    return [line[20:] if line[:2] == "20" else line for line in task.lines]


def test_an_offline_migration_on_shared_storage_moves_only_the_config(hands: Hands) -> None:
    hands.vm(200, scsi0=SHARED, net0="virtio,bridge=vmbr0")
    hands.simulator.world.firewall["200"] = {"options": {"enable": 1}}
    before = hands.config(200)
    assert migrate(hands) == "OK"
    machine = hands.simulator.world.vms[200]
    assert machine.node == "pve2"
    assert "lock" not in machine.config
    elsewhere = Hands(hands.simulator, hands.clock, "pve2")
    after = elsewhere.config(200)
    assert after == before
    assert hands.simulator.world.firewall["200"] == {"options": {"enable": 1}}
    gone = "500 Configuration file 'nodes/pve1/qemu-server/200.conf' does not exist"
    assert hands.refused("GET", "/200/config") == gone
    assert lines(hands)[-2].startswith("migration finished successfully (duration 00:00:0")


def test_the_lock_is_migrate_while_it_runs(hands: Hands) -> None:
    hands.vm(200, scsi0=LOCAL)
    upid = hands.call("POST", "/200/migrate", target="pve2").data
    assert hands.config(200)["lock"] == "migrate"
    gone = "500 Configuration file 'nodes/pve1/qemu-server/200.conf' does not exist"
    waited = hands.refused("PUT", "/200/config", cores=4)
    assert waited == gone, "the write waits for the flock until the VM is elsewhere"
    assert hands.end(upid) == "OK"


def test_local_disks_follow_with_their_snapshots_and_unused_ones(hands: Hands) -> None:
    hands.vm(200, scsi0="files:1,format=qcow2", ide2="files:cloudinit")
    hands.task("POST", "/200/snapshot", snapname="before")
    hands.call("PUT", "/200/config", scsi1="files:1,format=qcow2")
    hands.call("PUT", "/200/config", delete="scsi1")
    assert migrate(hands) == "OK"
    volumes = hands.simulator.world.volumes
    mine = sorted(key for key, one in volumes.items() if one.vmid == 200)
    assert mine == [
        ("pve2", "files:200/vm-200-cloudinit.qcow2"),
        ("pve2", "files:200/vm-200-disk-0.qcow2"),
        ("pve2", "files:200/vm-200-disk-1.qcow2"),
    ]
    said = lines(hands)
    assert "found local disk 'files:200/vm-200-disk-0.qcow2' (attached)" in said
    assert "found local disk 'files:200/vm-200-disk-1.qcow2' (unused)" in said
    assert "found generated disk 'files:200/vm-200-cloudinit.qcow2' (in current VM config)" in said


def test_a_name_that_is_taken_on_the_target_gets_the_next_number(hands: Hands) -> None:
    world = hands.simulator.world
    hands.vm(200, scsi0=LOCAL)
    world.volumes["pve2", "local-lvm:vm-200-disk-0"] = world.volumes[
        "pve1", "local-lvm:vm-200-disk-0"
    ].__class__("local-lvm:vm-200-disk-0", "pve2", "images", "raw", GIB, 200)
    assert migrate(hands) == "OK"
    assert world.vms[200].config["scsi0"] == "local-lvm:vm-200-disk-1,size=4G"


def test_a_running_vm_needs_online_and_starts_a_new_process(hands: Hands) -> None:
    hands.vm(200, scsi0=SHARED, memory=2048)
    assert hands.task("POST", "/200/status/start") == "OK"
    machine = hands.simulator.world.vms[200]
    started, pid = machine.started_at, machine.pid
    hands.call("PUT", "/200/config", cores=4)
    refused = "500 can't migrate running VM without --online"
    assert hands.refused("POST", "/200/migrate", target="pve2") == refused
    hands.clock.pass_by(100)
    assert migrate(hands, online=1) == "OK"
    assert machine.running
    assert machine.node == "pve2"
    assert machine.started_at > started + 99, "uptime counts from the new process"
    assert machine.pid != pid
    assert machine.pending == {"cores": 4}, "a migration takes nothing up"


def test_local_disks_of_a_running_vm_need_with_local_disks(hands: Hands) -> None:
    hands.vm(200, scsi0=LOCAL)
    hands.task("POST", "/200/status/start")
    assert migrate(hands, online=1) == "migration aborted"
    said = lines(hands)
    text = "can't live migrate attached local disks without with-local-disks option"
    assert f"can't migrate local disk 'local-lvm:vm-200-disk-0': {text}" in said
    reason = "Problem found while scanning volumes - can't migrate VM - check log"
    assert f"ERROR: {reason}" in said
    assert said[-2] == f"ERROR: migration aborted (duration 00:00:00): {reason}"
    assert said[-1] == "TASK ERROR: migration aborted"
    assert "lock" not in hands.config(200)
    assert migrate(hands, online=1, with_local_disks=1, targetstorage="files") == "OK"
    config = hands.simulator.world.vms[200].config
    assert config["scsi0"] == "files:200/vm-200-disk-0.raw,size=4G"


def test_targetstorage_maps_each_storage_or_all(hands: Hands) -> None:
    hands.vm(200, scsi0=LOCAL, scsi1="files:1")
    assert migrate(hands, targetstorage="local-lvm:files,files:local-lvm") == "OK"
    config = hands.simulator.world.vms[200].config
    assert config["scsi0"] == "files:200/vm-200-disk-0.raw,size=4G"
    assert config["scsi1"] == "local-lvm:vm-200-disk-0,size=1G"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("1,files", "identity mapping cannot be combined with other mappings"),
        ("files,local-lvm", "default target ID can only be provided once"),
        ("fast:files,fast:one", "duplicate mapping for source 'fast'"),
    ],
)
def test_a_storage_map_must_make_sense(hands: Hands, given: str, complaint: str) -> None:
    hands.vm(200, scsi0=LOCAL)
    refused = hands.refused("POST", "/200/migrate", target="pve2", targetstorage=given)
    assert refused == f"targetstorage: failed to parse storage map: {complaint}"


def test_a_bad_storage_name_in_the_map_is_named(hands: Hands) -> None:
    refused = hands.refused("POST", "/9000/migrate", target="pve2", targetstorage="a b:-")
    assert "contains invalid ID - storage ID" in refused


def test_formats_that_cannot_be_sent_fail_the_task_and_leave_nothing(hands: Hands) -> None:
    hands.vm(200, scsi0="files:1,format=qcow2")
    assert migrate(hands, targetstorage="local-lvm") == "migration aborted"
    why = "cannot migrate from storage type 'dir' to 'lvmthin'"
    volid = "files:200/vm-200-disk-0.qcow2"
    text = f"ERROR: storage migration for '{volid}' to storage 'local-lvm' failed - {why}"
    assert text in lines(hands)
    hands.vm(201, scsi0="fast:1")
    assert migrate(hands, 201, targetstorage="files") == "migration aborted"
    assert hands.config(201)["scsi0"] == "fast:vm-201-disk-0,size=1G"
    assert not [
        one for place, one in hands.simulator.world.volumes if place == "pve2" and "20" in one
    ]


def test_a_full_target_storage_fails_the_task(hands: Hands) -> None:
    hands.vm(200, scsi0=LOCAL)
    hands.simulator.world.storages["files"].full = True
    assert migrate(hands, targetstorage="files") == "migration aborted"
    assert hands.config(200)["scsi0"].startswith("local-lvm:")


def test_what_the_call_itself_refuses(hands: Hands) -> None:
    hands.vm(200, scsi0="one:1")
    path = "/200/migrate"
    assert hands.refused("POST", path, target="pve1") == "target: target is local node."
    assert hands.refused("POST", path, target="pve7") == "500 no such cluster node 'pve7'"
    there = "500 storage 'one' is not available on node 'pve2'"
    assert hands.refused("POST", path, target="pve2") == there
    assert hands.refused("POST", path, target="pve2", targetstorage="1") == there
    missing = hands.refused("POST", path, target="pve2", targetstorage="nope")
    assert missing == "500 storage 'nope' does not exist"
    images = hands.refused("POST", path, target="pve2", targetstorage="local")
    assert images == "500 storage 'local' does not support vm images"
    unknown = hands.refused("POST", path, target="pve2", with_conntrack_state=1)
    assert unknown.startswith("with-conntrack-state: property is not defined in schema")
    network = hands.refused("POST", path, target="pve2", migration_network="x")
    assert network.endswith("value does not look like a valid CIDR network")
    hands.simulator.world.vms[200].config["lock"] = "backup"
    assert hands.refused("POST", path, target="pve2") == "500 VM is locked (backup)"
    assert hands.refused("GET", path) == "500 VM is locked (backup)"


def test_root_only_options_and_rights(hands: Hands) -> None:
    hands.vm(200, scsi0=LOCAL)
    path = "/nodes/pve1/qemu/200/migrate"

    def ask(who: str, **params: object) -> Any:
        return hands.simulator.call("POST", path, {"target": "pve2", **params}, who)

    fleet = "reconcile@pve!fleet"
    for key, value in (("force", 1), ("migration_type", "insecure")):
        answer = ask(fleet, **{key: value})
        assert answer.errors == {key: "Only root may use this option."}
    grants = hands.simulator.world.access.roles
    grants["Fleet"].remove("VM.Migrate")
    hands.simulator.world.access.changed()
    assert ask(fleet).reason == "Permission check failed (/vms/200, VM.Migrate)"
    grants["Fleet"] += ["VM.Migrate"]
    grants["Fleet"].remove("VM.Config.Disk")
    hands.simulator.world.access.changed()
    mapped = ask(fleet, targetstorage="files")
    assert mapped.reason == "Permission check failed (/vms/200, VM.Config.Disk)"


def test_an_iso_a_host_drive_and_a_snapshot_on_thin_lvm_stay(hands: Hands) -> None:
    hands.vm(200, scsi0=LOCAL, ide2="local:iso/t.iso,media=cdrom", ide0="cdrom,media=cdrom")
    hands.task("POST", "/200/snapshot", snapname="aa")
    assert migrate(hands) == "migration aborted"
    said = lines(hands)
    assert "can't migrate local disk 'local:iso/t.iso': local cdrom image" in said
    assert "can't migrate local cdrom drive" in said
    text = "can't migrate local disk 'local-lvm:vm-200-disk-0': non-migratable snapshot exists"
    assert text in said
    hands.task("POST", "/200/status/start")
    migrate(hands, online=1, with_local_disks=1)
    live = "online storage migration not possible if non-replicated snapshot exists"
    assert f"can't migrate local disk 'local-lvm:vm-200-disk-0': {live}" in lines(hands)


def test_local_devices_block_unless_root_forces(hands: Hands) -> None:
    hands.vm(200, scsi0=SHARED, hostpci0="0000:01:00.0", serial0="/dev/ttyS0", serial1="socket")
    assert migrate(hands) == "migration aborted"
    text = "can't migrate VM which uses local devices: hostpci0, serial0"
    assert lines(hands)[0] == f"ERROR: migration aborted (duration 00:00:00): {text}"
    assert migrate(hands, force=1) == "OK"
    assert lines(hands)[0] == "migrating VM which uses local devices"


def test_mapped_devices_must_exist_on_the_target(hands: Hands) -> None:
    place = "node={},path=0000:01:00.0,id=10de:1234"
    pci = mappings(hands.simulator.world).pci
    pci["gpu"] = Mapping([place.format("pve1"), place.format("pve3")])
    hands.vm(200, scsi0=SHARED, hostpci0="mapping=gpu")
    found = hands.get("/200/migrate")
    assert found["not_allowed_nodes"] == {
        "pve2": {"unavailable-resources": ["hostpci0"]},
        "pve3": {},
    }
    assert found["allowed_nodes"] == ["pve3"]
    assert found["mapped-resources"] == ["hostpci0"]
    assert found["mapped-resource-info"] == {"hostpci0": {"name": "gpu"}}
    assert migrate(hands) == "migration aborted"
    assert lines(hands)[0].endswith("can't migrate to 'pve2': missing mapped devices hostpci0")
    hands.simulator.world.vms[200].status = "running"
    assert migrate(hands, target="pve3", online=1) == "migration aborted"
    live = "can't live migrate running VM which uses following mapped devices: hostpci0:gpu"
    assert lines(hands)[0].endswith(live)
    pci["gpu"].live = 1
    assert migrate(hands, target="pve3", online=1) == "OK"


def test_a_dead_target_is_found_by_the_task(hands: Hands) -> None:
    hands.vm(200, scsi0=SHARED)
    hands.simulator.world.nodes["pve2"].online = False
    assert migrate(hands) == "migration aborted"
    assert lines(hands)[-2].endswith("Can't connect to destination address using public key")


def test_a_target_that_dies_meanwhile_leaves_the_vm_where_it_was(hands: Hands) -> None:
    hands.vm(200, scsi0=LOCAL)
    upid = hands.call("POST", "/200/migrate", target="pve2").data
    hands.simulator.world.nodes["pve2"].online = False
    assert hands.end(upid) == "migration aborted"
    assert "lock" not in hands.config(200)
    assert not [
        place for place, one in hands.simulator.world.volumes if "vm-200" in one and place == "pve2"
    ]


def test_a_bridge_that_the_target_lacks_is_a_problem(hands: Hands) -> None:
    hands.vm(200, scsi0=LOCAL, net0="virtio,bridge=vmbr1")
    hands.task("POST", "/200/status/start")
    bridges = hands.simulator.world.nodes["pve2"].bridges
    bridges[:] = [one for one in bridges if one.name != "vmbr1"]
    assert migrate(hands, online=1, with_local_disks=1) == "migration problems"
    assert "[pve2] bridge 'vmbr1' does not exist" in lines(hands)
    machine = hands.simulator.world.vms[200]
    assert (machine.node, machine.status, machine.lock) == ("pve1", "running", None)


def test_a_stopped_migration_is_tidied_up(hands: Hands) -> None:
    hands.vm(200, scsi0=LOCAL)
    upid = hands.call("POST", "/200/migrate", target="pve2").data
    hands.simulator.call("DELETE", f"/nodes/pve1/tasks/{upid}")
    assert hands.end(upid) == "migration aborted"
    assert "lock" not in hands.config(200)
    assert ("pve2", "local-lvm:vm-200-disk-0") not in hands.simulator.world.volumes


def test_a_slow_line_takes_longer(hands: Hands, clock: ManualClock) -> None:
    hands.vm(200, scsi0="files:1")
    hands.simulator.world.volumes["pve1", "files:200/vm-200-disk-0.raw"].used = GIB
    begun = clock.now
    assert migrate(hands, bwlimit=10 * 1024) == "OK"
    assert 100 <= clock.now - begun <= 110


def test_a_dedicated_network_is_said(hands: Hands) -> None:
    hands.vm(200, scsi0=SHARED)
    given = {"target": "pve2", "migration_network": "192.0.2.0/24"}
    path = "/nodes/pve1/qemu/200/migrate"
    assert hands.end(hands.simulator.call("POST", path, given).data) == "OK"
    assert "use dedicated network address" in lines(hands)[0]


def test_preconditions_list_what_is_local(hands: Hands) -> None:
    hands.vm(200, scsi0="one:1", ide2="none,media=cdrom", scsi1=SHARED)
    found = hands.get("/200/migrate", target="pve2")
    assert found["running"] == 0
    assert found["allowed_nodes"] == []
    assert found["not_allowed_nodes"]["pve3"] == {"unavailable_storages": ["one"]}
    assert [one["volid"] for one in found["local_disks"]] == ["one:200/vm-200-disk-0.raw"]
    assert found["local_disks"][0] == {
        "volid": "one:200/vm-200-disk-0.raw",
        "cdrom": 0,
        "replicate": 1,
        "shared": 0,
        "is_unused": 0,
        "is_attached": 1,
        "is_vmstate": 0,
        "is_tpmstate": 0,
        "size": GIB,
        "drivename": "scsi0",
    }


def test_a_base_with_linked_clones_stays_on_its_files(hands: Hands) -> None:
    hands.vm(200, scsi0="files:1,format=qcow2")
    hands.task("POST", "/200/template")
    hands.task("POST", "/200/clone", newid=201)
    assert migrate(hands) == "migration aborted"
    base = "files:200/base-200-disk-0.qcow2"
    assert f"can't migrate local disk '{base}': referenced by linked clone(s)" in lines(hands)
    assert migrate(hands, 201) == "migration aborted"
    assert "as it's a clone of 'base-200-disk-0.qcow2'" in lines(hands)[-2]


def test_what_else_is_local(hands: Hands) -> None:
    hands.vm(200, scsi0=SHARED, ivshmem="size=1", usb0="spice", virtiofs0="share")
    machine = hands.simulator.world.vms[200]
    machine.config["amd-sev"] = "std"
    assert hands.get("/200/migrate")["local_resources"] == ["ivshmem", "virtiofs0"]
    machine.status = "running"
    found = hands.get("/200/migrate")
    assert found["local_resources"] == ["amd-sev", "virtiofs", "ivshmem", "virtiofs0"]
    assert found["mapped-resource-info"] == {"virtiofs0": {"name": "share"}}
    assert migrate(hands, online=1) == "migration aborted"
    text = "can't migrate VM which uses local devices: amd-sev, virtiofs, ivshmem"
    assert lines(hands)[0].endswith(text)


def test_volumes_of_others_and_paths_stay(hands: Hands) -> None:
    hands.vm(200, scsi0=SHARED)
    hands.vm(201, scsi0=LOCAL)
    config = hands.simulator.world.vms[200].config
    config["scsi1"] = "local-lvm:vm-201-disk-0,size=4G"
    config["scsi2"] = "/dev/sdb"
    config["scsi3"] = "/dev/sdc,shared=1"
    assert migrate(hands) == "migration aborted"
    said = lines(hands)
    owner = "can't migrate local disk 'local-lvm:vm-201-disk-0': owned by other VM (owner = VM 201)"
    assert owner in said
    assert "can't migrate local disk '/dev/sdb': local file/device" in said
    assert not [line for line in said if "/dev/sdc" in line]


def test_pending_and_saved_volumes_go_along(hands: Hands) -> None:
    hands.vm(200, scsi0="files:1,format=qcow2", agent=1)
    hands.task("POST", "/200/status/start")
    assert hands.task("POST", "/200/snapshot", snapname="live", vmstate=1) == "OK"
    rows = {row["volid"]: row for row in hands.get("/200/migrate")["local_disks"]}
    [state] = [row for row in rows.values() if row["is_vmstate"]]
    assert state["referenced_in_snapshot"] == {"live": 1}
    hands.task("POST", "/200/status/stop")
    assert migrate(hands) == "OK"
    saved = hands.simulator.world.vms[200].snapshots["live"]
    assert ("pve2", saved["vmstate"]) in hands.simulator.world.volumes


def test_a_kind_of_storage_that_cannot_be_copied(hands: Hands) -> None:
    world = hands.simulator.world
    world.storages["far"] = Storage("far", "rbd", ["images"], 10 * GIB)
    hands.vm(200, scsi0="far:1")
    assert migrate(hands) == "migration aborted"
    text = "can't migrate 'far:vm-200-disk-0' - storage type 'rbd' not supported"
    assert lines(hands)[-2].endswith(text)
