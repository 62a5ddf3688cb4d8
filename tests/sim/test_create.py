"""POST /nodes/N/qemu."""

import pytest

from reconciler.sim.accounts.access import Grant, User
from reconciler.sim.faults import Fault
from tests.sim.conftest import Hands


def test_the_smallest_vm_gets_ids_and_an_empty_boot_order(hands: Hands) -> None:
    hands.vm(100)
    config = hands.config(100)
    assert set(config) == {"boot", "meta", "smbios1", "vmgenid", "digest"}
    assert config["boot"] == " "


def test_the_boot_order_takes_the_first_of_each_kind(hands: Hands) -> None:
    hands.vm(
        100,
        sata0="local:1",
        scsi1="local:1",
        ide2="local:cloudinit",
        net3="virtio,bridge=vmbr0",
    )
    assert hands.config(100)["boot"] == "order=scsi1;ide2;net3"


def test_create_keeps_tags_and_password_as_given(hands: Hands) -> None:
    hands.vm(100, tags="Prod;web;web", cipassword="secret", cpuunits=1)
    config = hands.simulator.world.vms[100].config
    assert config["tags"] == "Prod;web;web"
    assert config["cipassword"] == "secret"
    assert config["cpuunits"] == 2


def test_the_id_is_taken_with_a_lock_while_the_task_runs(hands: Hands) -> None:
    upid = hands.call("POST", "", vmid=100).data
    assert hands.config(100)["lock"] == "create"
    taken = "500 unable to create VM 100 - VM 100 already exists on node 'pve1'"
    assert hands.refused("POST", "", vmid=100) == taken
    assert hands.end(upid) == "OK"
    assert "lock" not in hands.config(100)


def test_a_failed_create_leaves_nothing(hands: Hands) -> None:
    text = hands.task("POST", "", vmid=100, scsi0="local:1", ide2="local:iso/x.iso,media=cdrom")
    assert text == "unable to create VM 100 - volume 'local:iso/x.iso' does not exist"
    hands.simulator.faults.add(Fault("storage-full", storage="local"))
    full = hands.task("POST", "", vmid=100, scsi0="local:1", scsi1="store2:1")
    assert full.endswith("No space left on device")
    world = hands.simulator.world
    assert 100 not in world.vms
    assert not [one for one in world.volumes.values() if one.vmid == 100]


def test_create_can_start_the_vm_and_join_a_pool(hands: Hands) -> None:
    assert hands.simulator.call("POST", "/pools", {"poolid": "cust"}).ok
    hands.vm(100, start=1, pool="cust")
    assert hands.simulator.world.pools["cust"].vms == [100]
    hands.clock.pass_by(5)
    assert hands.get("/100/status/current")["status"] == "running"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"pool": "nopool"}, "403 Permission check failed (pool 'nopool' does not exist)"),
        ({"sshkeys": "no%20key"}, "500 SSH public key validation error"),
        ({"archive": "garbage"}, "500 can't find file 'garbage'"),
        (
            {"archive": "local:backup/x.vma", "scsi0": "local:1"},
            "scsi0: option conflicts with option 'archive'",
        ),
        ({"archive": "local:backup/x.vma"}, "500 volume 'local:backup/x.vma' does not exist"),
    ],
)
def test_wrong_requests_fail_at_once(hands: Hands, given: dict[str, object], text: str) -> None:
    assert hands.refused("POST", "", vmid=100, **given) == text


def test_a_size_without_a_storage_is_no_volume(hands: Hands) -> None:
    """qemu-server PVE/QemuServer.pm (verify_volume_id_or_qm_path): `storage` names no default."""
    text = hands.refused("POST", "", vmid=100, storage="store2", scsi0="2")
    assert "scsi0.file: invalid format - unable to parse volume ID '2'" in text


def test_rights_are_asked_key_by_key(hands: Hands) -> None:
    access = hands.simulator.world.access
    access.users["alice@pve"] = User()
    access.roles["Few"] = ["VM.Allocate", "VM.Config.Options"]
    access.grants.append(Grant("/vms", "user", "alice@pve", "Few"))
    access.changed()

    def asked(**params: object) -> str:
        path = "/nodes/pve1/qemu"
        answer = hands.simulator.call("POST", path, {"vmid": 100, **params}, "alice@pve")
        return answer.reason

    start = "Permission check failed ("
    assert asked(cores=1) == f"{start}/vms/100, VM.Config.CPU)"
    assert asked(ciuser="x") == f"{start}/vms/100, VM.Config.Cloudinit|VM.Config.Network)"
    assert asked(startup="5") == f"{start}/, Sys.Modify)"
    assert asked(scsi0="local:1") == f"{start}/storage/local, Datastore.AllocateSpace)"
    assert asked(storage="local") == f"{start}/storage/local, Datastore.AllocateSpace)"
    assert asked(serial0="socket") == f"{start}/vms/100, VM.Config.HWType)"
    assert asked(serial0="/dev/ttyS0") == "only root can set 'serial0' config for real devices"
    assert asked(usb0="1234:5678") == f"{start}/vms/100, VM.Config.HWType)"
    assert asked(hostpci0="pcie=1") == "either 'host' or 'mapping' must be set."
    assert asked(hostpci0="00:02.0") == "only root can set 'hostpci0' config for non-mapped devices"
    assert asked(virtiofs0="share") == f"{start}/vms/100, VM.Config.Disk)"
    assert asked(args="-x") == "only root can set 'args' config"
    assert asked(name="x") == "OK"


def test_nics_need_sdn_use_on_bridge_and_vlan(hands: Hands) -> None:
    access = hands.simulator.world.access
    access.users["alice@pve"] = User()
    access.roles["Net"] = ["VM.Allocate", "VM.Config.Network"]
    access.roles["Use"] = ["SDN.Use"]
    access.grants += [
        Grant("/vms", "user", "alice@pve", "Net"),
        Grant("/sdn/zones/localnetwork/vmbr0", "user", "alice@pve", "Use", propagate=False),
    ]
    access.changed()
    path = "/nodes/pve1/qemu"
    tagged = {"vmid": 100, "net0": "virtio,bridge=vmbr0,tag=7"}
    refused = hands.simulator.call("POST", path, tagged, "alice@pve")
    assert "/sdn/zones/localnetwork/vmbr0/7, SDN.Use" in refused.reason
    trunk = {"vmid": 100, "net0": "virtio,bridge=vmbr0,trunks=3"}
    assert not hands.simulator.call("POST", path, trunk, "alice@pve").ok
    plain = {"vmid": 100, "net0": "virtio,bridge=vmbr0", "net1": "virtio"}
    assert hands.simulator.call("POST", path, plain, "alice@pve").ok
