"""Rights on config changes, value by value."""

import pytest

from reconciler.sim.accounts.access import Grant, Token, User
from tests.sim.conftest import Hands

START = "Permission check failed ("


class Alice:
    """A user with chosen privileges on VM 100 and on storages."""

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        hands.vm(100, scsi0="local:1", net0="virtio,bridge=vmbr0", ide2="local:cloudinit")
        self.access = hands.simulator.world.access
        self.access.users["alice@pve"] = User()

    def may(self, path: str, *privileges: str) -> None:
        role = f"Role{len(self.access.roles)}"
        self.access.roles[role] = list(privileges)
        self.access.grants.append(Grant(path, "user", "alice@pve", role))
        self.access.changed()

    def says(self, **params: object) -> str:
        path = "/nodes/pve1/qemu/100/config"
        return self.hands.simulator.call("PUT", path, params, "alice@pve").reason


@pytest.fixture
def alice(hands: Hands) -> Alice:
    return Alice(hands)


@pytest.mark.parametrize(
    ("key", "value", "needed"),
    [
        ("cores", 2, "VM.Config.CPU"),
        ("memory", "64", "VM.Config.Memory"),
        ("hotplug", "0", "VM.Config.HWType"),
        ("agent", "1", "VM.Config.Options"),
        ("tags", "x", "VM.Config.Options"),
        ("freeze", 1, "VM.PowerMgmt"),
        ("boot", "order=scsi0", "VM.Config.Disk"),
        ("net0", "virtio,bridge=vmbr0", "VM.Config.Network"),
        ("rng0", "/dev/urandom", "VM.Config.HWType"),
        ("serial0", "socket", "VM.Config.HWType"),
    ],
)
def test_each_key_has_its_privilege(alice: Alice, key: str, value: object, needed: str) -> None:
    alice.may("/vms/100", "VM.Config.CDROM")
    assert alice.says(**{key: value}) == f"{START}/vms/100, {needed})"
    alice.may("/vms/100", needed)
    alice.may("/sdn", "SDN.Use")
    alice.access.grants.pop(0)
    alice.may("/vms/100", needed, "VM.Config.CDROM")
    assert alice.says(**{key: value}) == "OK"


def test_drives_need_rights_by_their_kind(alice: Alice) -> None:
    alice.may("/vms/100", "VM.Config.Options")
    alice.may("/storage", "Datastore.AllocateSpace", "Datastore.Audit")
    assert alice.says(ide3="none") == f"{START}/vms/100, VM.Config.CDROM)"
    assert alice.says(scsi1="local:1") == f"{START}/vms/100, VM.Config.Disk)"
    assert alice.says(delete="scsi0") == f"{START}/vms/100, VM.Config.Disk)"
    assert alice.says(delete="ide2") == f"{START}/vms/100, VM.Config.Cloudinit)"


def test_other_peoples_volumes_are_guarded(alice: Alice) -> None:
    alice.hands.vm(101, scsi0="store2:1")
    alice.may("/vms/100", "VM.Config.Disk", "VM.Config.CDROM")
    theirs = "store2:101/vm-101-disk-0.raw"
    assert alice.says(scsi1=theirs) == f"{START}/storage/store2, Datastore.Audit)"
    alice.may("/storage", "Datastore.Audit", "Datastore.AllocateSpace")
    assert alice.says(scsi1=theirs) == f"{START}/vms/101, VM.Config.Disk)"
    assert alice.says(scsi1=f"local:0,import-from={theirs}") == f"{START}/vms/101, VM.Clone)"
    assert alice.says(scsi1="local:0,import-from=/x.raw").startswith("Only root can pass")
    assert alice.says(scsi1="local:0,import-from=local:import/tiny.qcow2") == "OK"
    assert alice.says(ide3="cdrom") == f"{START}/, Sys.Console)"
    assert alice.says(scsi2="/dev/sda").startswith("Only root can pass arbitrary")
    assert alice.says(scsi2="local:snippets/x.yml") == f"{START}/storage/local, Datastore.Allocate)"
    wrong = alice.says(scsi2="local:0,import-from=local:iso/t.iso")
    assert wrong == "Parameter verification failed."


def test_mapped_devices_need_their_mapping(alice: Alice) -> None:
    alice.may("/vms/100", "VM.Config.HWType", "VM.Config.Disk")
    for key, value, path in (
        ("usb0", "mapping=key", "usb/key"),
        ("hostpci0", "mapping=gpu", "pci/gpu"),
        ("virtiofs0", "share", "dir/share"),
        ("rng0", "/dev/hwrng", "hwrng"),
    ):
        assert alice.says(**{key: value}) == f"{START}/mapping/{path}, Mapping.Use)"
        alice.may(f"/mapping/{path}", "Mapping.Use")
        assert alice.says(**{key: value}) == "OK"


def test_a_token_of_root_is_not_root(hands: Hands) -> None:
    hands.simulator.world.access.users["root@pam"].tokens["flow"] = Token("s", privsep=False)
    hands.vm(100)
    for key, value in (("lock", "backup"), ("args", "-x"), ("affinity", "0")):
        path = "/nodes/pve1/qemu/100/config"
        answer = hands.simulator.call("PUT", path, {key: value}, "root@pam!flow")
        assert (answer.status, answer.reason) == (500, f"only root can set '{key}' config")


def test_removing_a_nic_needs_its_bridge(alice: Alice) -> None:
    alice.may("/vms/100", "VM.Config.Network")
    assert alice.says(delete="net0") == f"{START}/sdn/zones/localnetwork/vmbr0, SDN.Use)"
