"""Reads of the cluster: resources with their lag, nodes, storages, options, log."""

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.sim.accounts.access import Grant, Pool, User
from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.cluster.broadcast import row_of
from reconciler.sim.cluster.inventory import GIB, Storage, Volume
from reconciler.sim.samples import demo_world
from reconciler.sim.vm.machine import Machine
from reconciler.sim.world import LOG_BYTES

Get = Callable[..., Any]
BACKUP_OF_121 = "local:backup/vzdump-qemu-121-2026_01_31-02_00_00.vma"


def rows(get: Get, kind: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in get("/cluster/resources", type=kind)}


def make_vm(demo: Simulator, vmid: int = 100, **config: str | int) -> Machine:
    demo.world.touch()
    machine = Machine(vmid, "pve1", config={"name": f"vm{vmid}", **config})
    demo.world.vms[vmid] = machine
    return machine


def test_a_young_vm_has_only_its_identity(demo: Simulator, get: Get) -> None:
    make_vm(demo, lock="clone", tags="a;b")
    assert rows(get, "vm")["qemu/100"] == {
        "id": "qemu/100",
        "lock": "clone",
        "node": "pve1",
        "status": "unknown",
        "tags": "a;b",
        "type": "qemu",
        "vmid": 100,
    }


def test_the_next_broadcast_brings_the_rest(demo: Simulator, clock: ManualClock, get: Get) -> None:
    make_vm(demo, cores=2, sockets=2, memory="4096", scsi0="local-lvm:x,size=8G")
    clock.pass_by(10)
    row = rows(get, "vm")["qemu/100"]
    assert row["name"] == "vm100" and row["status"] == "stopped" and row["template"] == 0
    assert (row["maxcpu"], row["maxmem"], row["maxdisk"]) == (4, 4096 * 1024**2, 8 * GIB)
    assert row["uptime"] == row["netin"] == 0


@pytest.mark.parametrize(
    ("config", "cpus", "size"),
    [
        ({"vcpus": 3, "cores": 8}, 3, 0),
        ({"boot": "order=ide2;net0;virtio0", "ide2": "x,media=cdrom", "virtio0": "y"}, 1, 0),
        ({"boot": "order=scsi1", "scsi0": "a,size=1G", "scsi1": "b,size=512M"}, 1, GIB // 2),
        ({"ide2": "none,media=cdrom", "sata0": "local:x,size=1.5T"}, 1, 3 * 512 * GIB),
    ],
)
def test_sizes_in_a_broadcast(
    demo: Simulator, config: dict[str, str | int], cpus: int, size: int
) -> None:
    row = row_of(make_vm(demo, 100, **config))
    assert (row["maxcpu"], row["maxdisk"]) == (cpus, size)


def test_a_change_shows_only_after_the_next_broadcast(
    demo: Simulator, clock: ManualClock, get: Get
) -> None:
    machine = make_vm(demo)
    clock.pass_by(10)
    assert rows(get, "vm")["qemu/100"]["name"] == "vm100"
    demo.world.touch()
    machine = demo.world.vms[machine.vmid]
    machine.config |= {"name": "new", "tags": "x"}
    machine.status, machine.started_at = "running", clock.now
    clock.pass_by(9)
    row = rows(get, "vm")["qemu/100"]
    assert (row["name"], row["status"], row["tags"]) == ("vm100", "stopped", "x")
    clock.pass_by(1)
    row = rows(get, "vm")["qemu/100"]
    assert (row["name"], row["status"], row["uptime"]) == ("new", "running", 10)


def test_what_a_broadcast_shows_is_of_its_own_time(
    demo: Simulator, clock: ManualClock, get: Get
) -> None:
    machine = make_vm(demo)
    clock.pass_by(15)
    demo.world.advance(clock.now)
    demo.world.touch()
    machine.config["name"] = "late"
    assert rows(get, "vm")["qemu/100"]["name"] == "vm100"


def test_speed_divides_the_lag(demo: Simulator, clock: ManualClock, get: Get) -> None:
    demo.world.speed = 10.0
    make_vm(demo)
    clock.pass_by(1)
    assert "name" in rows(get, "vm")["qemu/100"]


def test_a_removed_vm_is_gone_at_once(demo: Simulator, get: Get) -> None:
    demo.world.touch()
    del demo.world.vms[9000]
    assert "qemu/9000" not in rows(get, "vm")


def test_vms_show_with_the_right_to_audit_them_and_with_their_pool(demo: Simulator) -> None:
    world = demo.world
    world.access.users["bob@pve"] = User()
    world.access.grants.append(Grant("/vms/9001", "user", "bob@pve", "PVETemplateUser"))
    world.pools["web"] = Pool(vms=[9001])
    world.access.changed()
    answer = demo.call("GET", "/cluster/resources", identity="bob@pve")
    assert [row["id"] for row in answer.data if row["type"] == "qemu"] == ["qemu/9001"]
    assert [row["pool"] for row in answer.data if row["type"] == "qemu"] == ["web"]
    kinds = {row["type"] for row in answer.data}
    assert kinds == {"qemu", "node"}
    assert all("uptime" not in row for row in answer.data if row["type"] == "node")


def test_all_kinds_come_without_a_type(demo: Simulator, get: Get) -> None:
    demo.world.pools["web"] = Pool()
    kinds = [row["type"] for row in get("/cluster/resources")]
    assert sorted(set(kinds)) == ["node", "pool", "qemu", "sdn", "storage"]
    assert kinds.count("storage") == 9


def test_a_dead_node_and_its_vms(demo: Simulator, get: Get) -> None:
    demo.world.nodes["pve2"].online = False
    assert rows(get, "node")["node/pve2"] == {
        "id": "node/pve2",
        "node": "pve2",
        "type": "node",
        "status": "offline",
    }
    assert rows(get, "vm")["qemu/9001"]["status"] == "unknown"
    assert rows(get, "storage")["storage/pve2/local"]["status"] == "unknown"
    online = {row["name"]: row["online"] for row in get("/cluster/status") if "ip" in row}
    assert online == {"pve1": 1, "pve2": 0, "pve3": 1}


def test_running_vms_count_up_with_the_broadcasts(clock: ManualClock) -> None:
    busy = Simulator(demo_world(SOME_DAY, vms=2, speed=1.0), clock)
    seen = {
        row["vmid"]: row for row in busy.call("GET", "/cluster/resources").data if "vmid" in row
    }
    assert seen[10000]["uptime"] == 3600 and seen[10001]["uptime"] == 0
    traffic = busy.call("GET", "/nodes/pve1/netstat").data
    [tap] = traffic
    assert (tap["vmid"], tap["dev"]) == ("10000", "net0")
    assert int(tap["in"]) >= seen[10000]["netin"] > 0
    assert busy.call("GET", "/nodes/pve2/netstat").data == []


def test_cluster_status_names_cluster_and_nodes(get: Get, recorded: Simulator) -> None:
    assert get("/cluster/status")[0] == {
        "id": "cluster",
        "type": "cluster",
        "name": "demo",
        "nodes": 3,
        "quorate": 1,
        "version": 3,
    }
    [alone] = recorded.call("GET", "/cluster/status").data
    assert (alone["nodeid"], alone["local"], alone["ip"]) == (0, 1, "10.99.99.1")


def test_next_id_is_a_string(demo: Simulator, get: Get) -> None:
    assert get("/cluster/nextid") == "100"
    demo.world.vms[100] = Machine(100, "pve1")
    assert get("/cluster/nextid") == "101"
    assert get("/cluster/nextid", vmid="150") == "150"
    answer = demo.call("GET", "/cluster/nextid", {"vmid": "100"})
    assert answer.errors == {"vmid": "VM 100 already exists"}
    demo.world.options["next-id"] = {"lower": 100, "upper": 101}
    answer = demo.call("GET", "/cluster/nextid")
    assert answer.reason == "unable to get any free VMID in range [100, 101]"


def test_options_without_audit_are_the_ones_of_tags(demo: Simulator, get: Get) -> None:
    assert get("/cluster/options")["mac_prefix"] == "BC:24:11"
    demo.world.access.users["bob@pve"] = User()
    answer = demo.call("GET", "/cluster/options", identity="bob@pve")
    assert answer.data == {"allowed-tags": []}


def test_the_log_is_newest_first_and_ones_own(demo: Simulator, get: Get) -> None:
    for number in range(60):
        demo.world.log("pve1", "alice@pve" if number % 2 else "root@pam", "x", str(number))
    assert [row["msg"] for row in get("/cluster/log", max="2")] == ["59", "58"]
    assert len(get("/cluster/log")) == 50
    own = demo.call("GET", "/cluster/log", {"max": "3"}, identity="alice@pve").data
    assert [row["msg"] for row in own] == ["59", "57", "55"]
    assert own[0]["id"] == f"{own[0]['uid']}:pve1"


def test_the_log_forgets(demo: Simulator) -> None:
    for number in range(2000):
        demo.world.log("pve1", "root@pam", "pvedaemon", f"line {number}")
    held = sum(entry.size for entry in demo.world.logbook)
    assert LOG_BYTES - 200 < held <= LOG_BYTES
    assert demo.world.log_bytes == held
    assert 800 < len(demo.world.logbook) < 2000


def test_nodes_and_their_facts(demo: Simulator, get: Get) -> None:
    assert [row["node"] for row in get("/nodes")] == ["pve1", "pve2", "pve3"]
    assert get("/version")["version"] == get("/nodes/pve1/version")["version"] == "8.4.1"
    assert get("/nodes/pve1/status")["uptime"] == 86400
    assert get("/nodes/pve1/time") == {
        "time": int(SOME_DAY),
        "localtime": int(SOME_DAY),
        "timezone": "UTC",
    }


def test_bridges_show_to_those_who_may_use_them(demo: Simulator, get: Get) -> None:
    fleet = demo.call(
        "GET", "/nodes/pve1/network", {"type": "bridge"}, identity="reconcile@pve!fleet"
    )
    assert [row["iface"] for row in fleet.data] == ["vmbr0", "vmbr1"]
    assert fleet.data[1]["bridge_vlan_aware"] == 1
    assert demo.call("GET", "/nodes/pve1/network", identity="alice@pve").data == []
    assert get("/nodes/pve1/network", type="bond") == []
    assert len(get("/nodes/pve1/network", type="any_bridge")) == 2
    assert get("/nodes/pve1/network/vmbr0")["gateway"] == "192.0.2.1"
    answer = demo.call("GET", "/nodes/pve1/network/nope")
    assert answer.errors == {"iface": "interface does not exist"}


def test_storages_of_a_node_by_content(get: Get) -> None:
    names = [row["storage"] for row in get("/nodes/pve1/storage", content="images", enabled="1")]
    assert names == ["local-lvm", "shared"]
    [row] = get("/nodes/pve1/storage", storage="shared", format="1")
    assert row["shared"] == 1 and row["format"] == [{"raw": 1}, "raw"]
    [row] = get("/nodes/pve1/storage", storage="local", format="1")
    assert row["format"][0]["qcow2"] == 1
    assert row["used"] + row["avail"] == row["total"]
    there = [row["storage"] for row in get("/nodes/pve1/storage", target="pve2")]
    assert there == ["shared"]


def test_storage_definitions(demo: Simulator, get: Get) -> None:
    demo.world.storages["fast"] = Storage("fast", "lvm", ["images"], GIB, nodes=["pve2"])
    found = {row["storage"]: row for row in get("/storage")}
    nodes = [row["node"] for row in rows(get, "storage").values() if row["storage"] == "fast"]
    assert nodes == ["pve2"]
    assert found["fast"]["nodes"] == "pve2" and found["shared"]["shared"] == 1
    assert get("/storage/local")["path"] == "/var/lib/vz"
    assert [row["storage"] for row in get("/storage", type="rbd")] == ["shared"]
    answer = demo.call("GET", "/nodes/pve1/storage/fast/content")
    assert answer.reason == "storage 'fast' is not available on node 'pve1'"
    [fast] = [row for row in get("/nodes/pve1/storage") if row["storage"] == "fast"]
    assert (fast["enabled"], fast["active"], fast["total"]) == (0, 0, 0)
    assert {"subdir": "content"} in get("/nodes/pve1/storage/local")


def test_missing_storages_are_worded_by_call(demo: Simulator) -> None:
    text = "storage 'nope' does not exist"
    assert demo.call("GET", "/storage/nope").reason == text
    assert demo.call("GET", "/nodes/pve1/storage/nope/content").reason == text
    answer = demo.call("GET", "/nodes/pve1/storage/nope/status")
    assert answer.errors == {"storage": "No such storage."}


def test_a_full_storage_has_no_space_left(demo: Simulator, get: Get) -> None:
    demo.world.storages["local-lvm"].full = True
    row = get("/nodes/pve1/storage/local-lvm/status")
    assert row["avail"] == 0 and row["used"] == row["total"]


def add_volume(demo: Simulator, volid: str, content: str, **more: Any) -> None:
    fields: dict[str, Any] = {"format": "raw", "size": GIB, "used": 10, "ctime": 5} | more
    demo.world.volumes["pve1", volid] = Volume(volid, "pve1", content, **fields)


def test_content_by_kind_and_vm(recorded: Simulator) -> None:
    base = "local:110/base-110-disk-0.qcow2"
    add_volume(recorded, base, "images", vmid=110, format="qcow2")
    clone = f"{base}/121/vm-121-disk-0.qcow2"
    add_volume(recorded, clone, "images", vmid=121, parent=base, format="qcow2")
    add_volume(recorded, BACKUP_OF_121, "backup", vmid=121, notes="a\nb", protected=True)
    path = "/nodes/pve1/storage/local/content"
    listed = recorded.call("GET", path, {"vmid": "121"}).data
    assert [row["volid"] for row in listed] == [
        clone,
        BACKUP_OF_121,
        "local:import/tiny.qcow2",
    ]
    assert listed[0]["parent"] == "../110/base-110-disk-0.qcow2"
    assert (listed[1]["notes"], listed[1]["protected"], listed[1]["subtype"]) == ("a", 1, "qemu")
    isos = recorded.call("GET", path, {"content": "iso"}).data
    assert [row["volid"] for row in isos] == ["local:iso/t.iso"]


@pytest.mark.parametrize(
    ("volume", "path"),
    [
        ("local:iso/t.iso", "/var/lib/vz/template/iso/t.iso"),
        ("import/tiny.qcow2", "/var/lib/vz/import/tiny.qcow2"),
        ("local:110/vm.qcow2", "/var/lib/vz/images/110/vm.qcow2"),
    ],
)
def test_one_volume(recorded: Simulator, volume: str, path: str) -> None:
    add_volume(recorded, "local:110/vm.qcow2", "images", vmid=110)
    answer = recorded.call("GET", f"/nodes/pve1/storage/local/content/{volume}")
    assert answer.data["path"] == path


def test_block_volumes_and_backups(demo: Simulator, get: Get) -> None:
    path = "/nodes/pve1/storage/local-lvm/content/local-lvm:base-9000-disk-0"
    assert get(path)["path"] == "/dev/pve/base-9000-disk-0"
    add_volume(demo, "local:backup/b.vma", "backup", vmid=100, notes="n")
    found = get("/nodes/pve1/storage/local/content/local:backup/b.vma")
    assert (found["protected"], found["notes"]) == (0, "n")
    answer = demo.call("GET", "/nodes/pve1/storage/local/content/local:1/x.raw")
    assert answer.reason == "volume_size_info on 'local:1/x.raw' failed - no format"


@pytest.mark.parametrize(
    ("volid", "role", "answered"),
    [
        (
            "local:iso/y.iso",
            "PVETemplateUser",
            "403 (/storage/local, Datastore.AllocateSpace|Datastore.Audit)",
        ),
        ("local:100/vm-100-disk-0.raw", "PVEDatastoreUser", "403 (/vms/100, VM.Config.Disk)"),
        (BACKUP_OF_121, "PVEDatastoreUser", "403 (/vms/121, VM.Backup)"),
        (
            "local:snippets/y",
            "PVEDatastoreUser",
            "500 missing privileges to access local:snippets/y",
        ),
        ("local:snippets/y", "PVEDatastoreAdmin", "200 OK"),
        ("local:iso/y.iso", "PVEDatastoreUser", "200 OK"),
    ],
)
def test_who_may_read_a_volume(demo: Simulator, volid: str, role: str, answered: str) -> None:
    demo.world.access.users["bob@pve"] = User()
    demo.world.access.grants.append(Grant("/", "user", "bob@pve", role))
    add_volume(demo, volid, volid.partition(":")[2].partition("/")[0])
    answer = demo.call("GET", f"/nodes/pve1/storage/local/content/{volid}", identity="bob@pve")
    seen = f"{answer.status} {answer.reason}".replace("Permission check failed ", "")
    assert seen == answered


def test_backups_show_to_those_who_may_make_them(demo: Simulator) -> None:
    world = demo.world
    world.access.users["bob@pve"] = User()
    world.access.grants.append(Grant("/", "user", "bob@pve", "PVEDatastoreUser"))
    add_volume(demo, BACKUP_OF_121, "backup", vmid=121)
    path = "/nodes/pve1/storage/local/content"
    assert demo.call("GET", path, identity="bob@pve").data == []
    world.access.grants.append(Grant("/vms", "user", "bob@pve", "PVEVMUser"))
    world.access.changed()
    assert len(demo.call("GET", path, identity="bob@pve").data) == 1


def test_ha_manages_nothing(get: Get) -> None:
    assert get("/cluster/ha/resources") == []
    assert get("/cluster/ha/status/current")[0]["quorate"] == 1


def test_linked_clones_on_block_storages_name_their_base(demo: Simulator, get: Get) -> None:
    base = "local-lvm:base-9000-disk-0"
    add_volume(demo, "local-lvm:vm-100-disk-0", "images", vmid=100, parent=base)
    [row] = get("/nodes/pve1/storage/local-lvm/content", vmid="100")
    assert row["parent"] == "base-9000-disk-0" and "used" not in row


def test_a_vm_is_found_on_its_node(demo: Simulator) -> None:
    world = demo.world
    assert world.vm(9000, "pve1") is world.vm(9000) is world.vms[9000]
    assert world.vm(9000, "pve2") is None
    assert world.vm(1) is None


def test_a_node_says_where_it_asks_for_names(get: Get) -> None:
    """What an inventory takes along, so that a copy of a simulated cluster lacks nothing."""
    assert get("/nodes/pve1/dns") == {"search": "example.invalid", "dns1": "192.0.2.53"}
