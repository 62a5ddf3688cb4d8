"""Every kind of VM: UEFI, Windows, devices of the host, shares, ISOs, snippets and products."""

import time
from pathlib import Path

import msgspec
import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.clock import ManualClock
from reconciler.sim.samples import add_file, demo_world
from state.drive import parse_drive
from tests.grounds import WORLD, Grounds
from tests.handlers.stage import MAPPINGS, MAY_MAP
from tests.scenarios.conftest import Open

VMS = f"""\
linux: {{node: pve1, vga: serial0, serials: {{serial0: socket}}, rng: {{max_bytes: 1024}}}}
windows:
  node: pve1
  ostype: win11
  bios: ovmf
  machine: q35
  efi: {{pre_enrolled_keys: true}}
  tpm: {{version: v2.0}}
  cloudinit: {{user: Administrator, password: generate, type: configdrive2}}
uefi: {{node: pve2, bios: ovmf, efi: {{storage: shared}}, scsihw: virtio-scsi-pci}}
gpu:
  node: pve1
  machine: q35
  pci: {{hostpci0: {{mapping: gpu, pcie: true}}}}
  usb: {{usb0: dongle, usb1: spice}}
share: {{node: pve1, virtiofs: {{virtiofs0: {{mapping: data, cache: always}}}}}}
installer: {{node: pve1, iso: "local:iso/debian-12.iso", boot: [system]}}
snippet:
  node: pve1
  cloudinit: {{custom: {{user: {{volume: "local:snippets/web.yaml", sha256: {"a" * 64}}}}}}}
product:
  node: pve1
  nics: {{net0: {{bridge: vmbr0, vlan: 100}}}}
  options:
    {{CPU Cores: 4, RAM: 4, System Disk: 10, Additional Disk: 5, Additional Disk Read IOPS: 500,
     Network Bandwidth: 12.5, IPv4 Addresses: 1, "OS|Choice": 9000}}
"""
CONFIGS: dict[str, dict[str, object]] = {
    "linux": {"vga": "serial0", "serial0": "socket", "rng0": "/dev/urandom,max_bytes=1024"},
    "windows": {
        "ostype": "win11",
        "bios": "ovmf",
        "machine": "q35",
        "citype": "configdrive2",
        "ciuser": "Administrator",
    },
    "uefi": {"bios": "ovmf", "scsihw": "virtio-scsi-pci"},
    "gpu": {"hostpci0": "mapping=gpu,pcie=1", "usb0": "mapping=dongle", "usb1": "spice"},
    "share": {"virtiofs0": "data,cache=always"},
    "installer": {"ide3": "local:iso/debian-12.iso,media=cdrom", "boot": "order=scsi0"},
    "snippet": {"cicustom": "user=local:snippets/web.yaml"},
    "product": {"cores": 4, "memory": "4096"},
}


def prepare(folder: Path) -> None:
    """A demo cluster with host devices mapped, ISOs and a snippet, saved for the grounds."""
    now = time.time()
    world = demo_world(now, speed=600.0)
    for name in ("debian-12", "debian-13"):
        add_file(world, "pve1", f"local:iso/{name}.iso", "iso", "iso", 629_145_600)
    add_file(world, "pve1", "local:snippets/web.yaml", "snippets", "snippet", 120)
    simulator = Simulator(world, ManualClock(now))
    for kind, (name, place) in MAPPINGS.items():
        answer = simulator.call("POST", f"/cluster/mapping/{kind}", {"id": name, "map": [place]})
        assert answer.ok, answer
    assert simulator.call("PUT", "/access/acl", MAY_MAP).ok
    (folder / WORLD).write_bytes(msgspec.json.encode(world.dump()))


@pytest.fixture
def mixed(tmp_path: Path, scene: Open) -> Grounds:
    prepare(tmp_path)
    return scene(VMS)


def machines(grounds: Grounds) -> dict[str, dict[str, object]]:
    """The config of each of our VMs by its key."""
    with grounds.store() as store:
        bound = store.bindings.all()
    world = grounds.world()
    return {key: dict(world.vms[binding.vmid].config) for key, binding in bound.items()}


def test_every_kind_of_vm_converges_and_is_then_silent(mixed: Grounds) -> None:
    """CI-05, CI-07, OPT-01, OPT-02: one mixed fleet; the run after it writes nothing."""
    summary = mixed.settle()
    assert (summary.vms, summary.ready, summary.failed) == (8, 8, 0)
    found = machines(mixed)
    for key, wanted in CONFIGS.items():
        seen = {name: str(found[key].get(name, "")).split(",size=")[0] for name in wanted}
        assert seen == {name: str(value) for name, value in wanted.items()}, key
    quiet = mixed.run()
    assert (quiet.writes, quiet.ready) == (0, 8)
    assert not any(vm.pending for vm in mixed.world().vms.values())
    assert {vm.status for id, vm in mixed.world().vms.items() if id < 9000} == {"running"}


def test_state_disks_are_made_once_where_they_belong(mixed: Grounds) -> None:
    mixed.settle()
    found = machines(mixed)
    efi = parse_drive(str(found["windows"]["efidisk0"]))
    assert (efi.storage, efi.options["efitype"], efi.options["pre-enrolled-keys"]) == (
        "local-lvm",
        "4m",
        "1",
    )
    assert parse_drive(str(found["windows"]["tpmstate0"])).options["version"] == "v2.0"
    assert parse_drive(str(found["uefi"]["efidisk0"])).storage == "shared"
    volumes = [volid for _, volid in mixed.world().volumes]
    mine = [one for one in volumes if one.startswith(("local-lvm:vm-1", "shared:vm-1"))]
    attached = [str(text) for config in found.values() for text in config.values()]
    assert len(mine) > 10 and all(any(one in text for text in attached) for one in mine)


def test_a_medium_is_changed_and_ejected_while_the_guest_runs_ci_07(mixed: Grounds) -> None:
    mixed.settle()
    for iso, volume in (("local:iso/debian-13.iso", "local:iso/debian-13.iso"), ("none", "none")):
        mixed.write({"vms/vms.yaml": VMS.replace('"local:iso/debian-12.iso"', f'"{iso}"')})
        mixed.settle()
        config = machines(mixed)["installer"]
        assert parse_drive(str(config["ide3"])).volume == volume
        assert config["boot"] == "order=scsi0"


def test_a_new_checksum_rebuilds_the_drive_once(mixed: Grounds) -> None:
    """Proxmox shows no content, so the run that takes a new one on trust says so."""
    mixed.settle()
    mixed.write({"vms/vms.yaml": VMS.replace("a" * 64, "b" * 64)})
    shown = mixed.dry()
    assert any("sha256" in str(plan) for plan in shown.vms), shown
    mixed.sim("DELETE", "calls")
    assert mixed.run().writes == 1
    assert mixed.run().writes == 0


def test_a_raw_device_is_refused_before_anything_is_asked_of_proxmox(mixed: Grounds) -> None:
    raw = VMS.replace("{mapping: gpu, pcie: true}", '{host: "0000:01:00.0"}')
    mixed.write({"vms/vms.yaml": raw})
    done = mixed.cli("validate")
    assert done.returncode == 1
    assert "only the login root@pam may name a host's device, not the token" in done.stdout
