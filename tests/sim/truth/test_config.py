"""What changing a VM's config answers beyond the recorded flows.

Every case names the place in Proxmox's sources (repository path) that it follows.
"""

import pytest

from reconciler.sim.accounts.access import Grant, User
from tests.sim.conftest import Hands

STATE = "local:100/vm-100-state-suspend.raw"
LINE_FEED = "property contains a line feed"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        # qemu-server PVE/QemuServer.pm (check_type, when the file is written)
        ({"ciuser": "a\nb"}, f"500 unable to parse value of 'ciuser' - {LINE_FEED}"),
        ({"args": "-x\r-y"}, f"500 unable to parse value of 'args' - {LINE_FEED}"),
        (
            {"cpulimit": "1e1"},
            "500 unable to parse value of 'cpulimit' - type check ('number') failed - got '1e1'",
        ),
        (
            {"cores": "+2"},
            "500 unable to parse value of 'cores' - type check ('integer') failed - got '+2'",
        ),
        # PVE/QemuServer.pm (assert_clipboard_config), PVE/QemuServer/Machine.pm
        (
            {"vga": "serial0,clipboard=vnc"},
            "500 vga type serial0 is not compatible with VNC clipboard",
        ),
        (
            {"machine": "pc,viommu=intel"},
            "500 to use Intel vIOMMU please set the machine type to q35",
        ),
        # PVE/API2/Qemu.pm ($check_drive_param)
        (
            {"efidisk0": "local:0,import-from=local:import/tiny.qcow2,efitype=4m"},
            "efidisk0: need to specify 'pre-enrolled-keys' when using 'import-from'",
        ),
        (
            {"tpmstate0": "local:0,import-from=local:import/tiny.qcow2"},
            "tpmstate0: need to specify 'version' when using 'import-from'",
        ),
        ({"scsi1": "/dev/sdz"}, "500 volume /dev/sdz does not exist"),
        (
            {"scsi1": "/var/lib/vz/template/iso/t.iso,media=disk"},
            "scsi1: unexpected media type (iso != images)",
        ),
        # pve-guest-common PVE/GuestHelpers.pm (check_hookscript)
        ({"hookscript": "local:iso/t.iso"}, "hookscript: 'local:iso/t.iso' is not in the snippets"),
        (
            {"hookscript": "local:snippets/x"},
            "hookscript: script 'local:snippets/x' does not exist",
        ),
        ({"hookscript": "nope:snippets/x"}, "hookscript: storage 'nope' does not exist"),
        # PVE/QemuServer.pm ($confdesc has no snapstate; json_config_properties leaves out meta)
        ({"delete": "snapstate"}, "delete: unknown option 'snapstate'"),
        ({"meta": "x"}, "meta: property is not defined in schema"),
        # PVE/QemuServer/Drive.pm (verify_bootdisk)
        ({"bootdisk": "net0"}, "bootdisk: invalid format - invalid boot disk 'net0'"),
        ({"bootdisk": "efidisk0"}, "bootdisk: value does not match the regex pattern"),
        # pve-common PVE/JSONSchema.pm (parse_bridge_id)
        (
            {"net0": "virtio,bridge=a/b"},
            "net0: invalid format - format error\nnet0.bridge: invalid format - invalid bridge ID",
        ),
    ],
)
def test_wrong_values_are_refused_in_proxmoxs_words(
    hands: Hands, given: dict[str, object], text: str
) -> None:
    hands.vm(100)
    assert hands.refused("PUT", "/100/config", **given).startswith(text)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        # qemu-server PVE/QemuServer.pm (parse_vm_config trims and unquotes)
        ({"ciuser": "  bob "}, "bob"),
        ({"ciuser": "   "}, " "),
        ({"searchdomain": '"a.example"'}, "a.example"),
        ({"cores": "007"}, 7),
        ({"description": "one\n\ntwo \n\n"}, "one\n\ntwo"),
        ({"description": "0"}, None),
        # parse_hotplug_features, pve_verify_ipv4_config
        ({"hotplug": "1"}, "1"),
        ({"ipconfig0": "ip=manual,ip6=manual"}, "ip=manual,ip6=manual"),
        # PVE/QemuServer/Drive.pm (parse_drive divides "is it given" by a MiB)
        ({"scsi0": "local:1,bps_rd=1048576"}, "local:100/vm-100-disk-0.raw,mbps_rd=0.000,size=1G"),
        ({"scsi0": "local:1,iops_max=9"}, "local:100/vm-100-disk-0.raw,iops_max=9,size=1G"),
        ({"efidisk0": "local:1"}, "local:100/vm-100-disk-0.raw,size=128K"),
        (
            {"efidisk0": "local:1,efitype=4m,pre-enrolled-keys=yes"},
            "local:100/vm-100-disk-0.raw,efitype=4m,pre-enrolled-keys=1,size=528K",
        ),
        ({"ide2": "/var/lib/vz/template/iso/t.iso"}, "local:iso/t.iso,media=cdrom,size=4K"),
    ],
)
def test_values_come_back_as_the_file_holds_them(
    hands: Hands, given: dict[str, object], shown: object
) -> None:
    hands.vm(100)
    answer = hands.call("PUT", "/100/config", **given)
    assert answer.ok, answer
    assert hands.config(100).get(next(iter(given))) == shown


def test_smp_becomes_sockets(hands: Hands) -> None:
    """qemu-server PVE/QemuServer.pm (write_vm_config): `smp` is no longer kept."""
    hands.vm(100, smp=4, cores=2)
    assert "smp" not in hands.config(100) and "cores" not in hands.config(100)
    assert hands.config(100)["sockets"] == 4


@pytest.mark.parametrize(
    ("given", "machine"),
    [
        ({"machine": "type=q35"}, "q35"),
        ({"machine": "viommu=virtio,q35", "ostype": "win11"}, "pc-q35-7.2,viommu=virtio"),
        ({"machine": "viommu=virtio", "ostype": "win10"}, "pc-i440fx-7.2,viommu=virtio"),
        ({"ostype": "l26"}, None),
    ],
)
def test_create_prints_the_machine_anew(
    hands: Hands, given: dict[str, object], machine: str | None
) -> None:
    """qemu-server PVE/QemuServer/Machine.pm (check_and_pin_machine_string)."""
    hands.vm(100, **given)
    assert hands.config(100).get("machine") == machine


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"ciuser": "a\nb"}, f"unable to parse value of 'ciuser' - {LINE_FEED}"),
        (
            {"machine": "pc,viommu=intel"},
            "to use Intel vIOMMU please set the machine type to q35",
        ),
        ({"vga": "none,clipboard=vnc"}, "vga type none is not compatible with VNC clipboard"),
    ],
)
def test_what_cannot_be_written_fails_the_create_and_frees_its_disks(
    hands: Hands, given: dict[str, object], text: str
) -> None:
    """qemu-server PVE/API2/Qemu.pm (create_vm: the eval around create_disks and write_config)."""
    end = hands.task("POST", "", vmid=100, scsi0="local:1", **given)
    assert end == f"unable to create VM 100 - {text}"
    assert not [one for one in hands.simulator.world.volumes.values() if one.vmid == 100]
    assert 100 not in hands.simulator.world.vms


def test_a_tpm_keeps_its_version(hands: Hands) -> None:
    """qemu-server PVE/API2/Qemu.pm (prohibit_tpm_version_change)."""
    hands.vm(100, tpmstate0="local:1,version=v2.0")
    text = "500 cannot change TPM state version after creation"
    kept = "local:100/vm-100-disk-0.raw"
    assert hands.config(100)["tpmstate0"] == f"{kept},size=4M,version=v2.0"
    assert hands.refused("PUT", "/100/config", tpmstate0=kept) == text
    assert hands.call("PUT", "/100/config", tpmstate0=f"{kept},version=v2.0").ok


def test_deleting_a_saved_state_takes_what_belongs_to_it_along(hands: Hands) -> None:
    """qemu-server PVE/API2/Qemu.pm (update_vm_api, delete vmstate)."""
    hands.vm(100)
    config = hands.simulator.world.vms[100].config
    config.update(lock="suspended", vmstate=STATE, runningmachine="pc-i440fx-7.2+pve0")
    hands.call("PUT", "/100/config", delete="vmstate")
    assert not {"lock", "vmstate", "runningmachine"} & set(hands.config(100))


def test_devices_have_words_of_their_own_for_each_change(hands: Hands) -> None:
    """qemu-server PVE/API2/Qemu.pm (update_vm_api: serial, usb, hostpci)."""
    hands.vm(100, serial0="/dev/ttyS0", usb0="1234:5678")
    access = hands.simulator.world.access
    access.users["alice@pve"] = User()
    access.roles["Hw"] = ["VM.Config.HWType", "VM.Config.Options"]
    access.grants.append(Grant("/vms", "user", "alice@pve", "Hw"))
    access.changed()

    def said(**given: object) -> str:
        path = "/nodes/pve1/qemu/100/config"
        return hands.simulator.call("PUT", path, given, "alice@pve").reason

    real = "config for real devices"
    assert said(serial0="socket") == f"only root can modify 'serial0' {real}"
    assert said(serial1="/dev/ttyS1") == f"only root can modify 'serial1' {real}"
    assert said(delete="serial0") == f"only root can delete 'serial0' {real}"
    assert said(usb0="spice") == f"only root can set 'usb0' {real}"
    assert said(usb1="usb3=1") == "either 'host' or 'mapping' must be set."
    assert said(hostpci0="00:02.0") == "only root can set 'hostpci0' config for non-mapped devices"
    assert said(rng0="/dev/hwrng") == "Permission check failed (/mapping/hwrng, Mapping.Use)"
    assert said(serial1="socket", usb1="spice", rng0="/dev/urandom") == "OK"
