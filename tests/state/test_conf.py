"""A VM's config by type, and its two views."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.conf import VMConfig, encode_ssh_keys, split_pending
from state.drive import Drive
from state.net import IpConfig, Net

RECORDED = Path(__file__).parents[3] / "shared" / "pve-transcripts" / "10-value-types.json"
CONFIG = VMConfig(
    {
        "boot": "order=scsi0;ide2;net0",
        "scsi0": "local-lvm:vm-1-disk-0,size=10G",
        "scsi10": "local-lvm:vm-1-disk-2,size=1G",
        "scsi2": "local-lvm:vm-1-disk-1,size=1G",
        "virtio0": "local-lvm:vm-1-disk-3,size=1G",
        "scsihw": "virtio-scsi-single",
        "ide2": "local-lvm:vm-1-cloudinit,media=cdrom,size=4M",
        "ide0": "none,media=cdrom",
        "efidisk0": "local-lvm:vm-1-disk-9,size=4M",
        "tpmstate0": "local-lvm:vm-1-disk-8,size=4M",
        "unused0": "local-lvm:vm-1-disk-7",
        "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
        "ipconfig0": "ip=10.0.0.5/24,gw=10.0.0.1",
        "memory": "2048",
        "cores": "2",
        "cpulimit": 1.5,
        "onboot": 1,
        "ciuser": " ",
        "description": "line1\nline2\n",
        "smbios1": "uuid=1605B8E8-029E-41B8-8A29-112308E7C9C8,serial=YWJj==",
    }
)


def test_numbers_and_texts_drift_and_are_coerced() -> None:
    assert CONFIG.integer("cores", 1) == CONFIG.number("cores", 1) == 2
    assert CONFIG.text("cores") == "2"
    assert CONFIG.text("cpulimit") == "1.5"
    assert CONFIG.boolean("onboot", False) is True
    assert VMConfig({"onboot": True}).text("onboot") == "1"
    assert CONFIG.integer("sockets", 1) == 1
    assert CONFIG.boolean("numa", False) is False


def test_an_empty_text_is_stored_as_one_blank() -> None:
    assert CONFIG.text("ciuser") == ""
    assert CONFIG.text("cipassword") is None
    assert VMConfig({"tags": " "}).tags == ()
    assert VMConfig({"boot": " "}).boot_order == ()
    assert VMConfig({"ipconfig0": " "}).ipconfigs == {0: IpConfig()}


def test_a_value_that_is_no_number_names_its_key() -> None:
    with pytest.raises(ValueError, match="cores: expected a number, seen 'x'"):
        VMConfig({"cores": "x"}).integer("cores", 1)


def test_drives_come_by_bus_and_number() -> None:
    assert list(CONFIG.drives) == [
        "scsi0", "scsi2", "scsi10", "virtio0", "ide0", "ide2", "efidisk0", "tpmstate0",
    ]  # fmt: skip
    assert list(CONFIG.disks) == ["scsi0", "scsi2", "scsi10", "virtio0"]
    assert CONFIG.unused == {"unused0": "local-lvm:vm-1-disk-7"}
    assert CONFIG.disks["scsi0"] == Drive("local-lvm:vm-1-disk-0", {"size": "10G"})


@pytest.mark.parametrize(
    ("raw", "slot"),
    [
        ({"boot": "order=ide2;virtio0;scsi0"}, "virtio0"),
        ({"boot": "order=net0"}, "scsi0"),
        ({"boot": "c", "bootdisk": "virtio0"}, "virtio0"),
        ({"bootdisk": "ide2"}, "scsi0"),
        ({}, "scsi0"),
    ],
)
def test_the_boot_disk_is_the_first_disk_to_boot_from(raw: dict[str, str], slot: str) -> None:
    drives = {key: CONFIG.raw[key] for key in ("scsi0", "virtio0", "ide2")}
    assert VMConfig({**drives, **raw}).boot_disk == slot


def test_a_vm_without_disks_has_no_boot_disk() -> None:
    assert VMConfig({"boot": "order=ide2", "ide2": "none,media=cdrom"}).boot_disk is None


def test_nics_and_addresses_come_by_number() -> None:
    assert CONFIG.nics == {"net0": Net("virtio", "BC:24:11:00:00:01", "vmbr0")}
    assert CONFIG.ipconfigs == {0: IpConfig("10.0.0.5/24", "10.0.0.1")}


def test_memory_is_a_property_string_of_mib() -> None:
    assert CONFIG.memory == 2048
    assert VMConfig({"memory": "current=1024"}).memory == 1024
    assert VMConfig({}).memory == 512


def test_an_unset_balloon_is_not_a_balloon_of_zero() -> None:
    assert VMConfig({}).balloon is None
    assert VMConfig({"balloon": 0}).balloon == 0
    assert VMConfig({"balloon": "512"}).balloon == 512


def test_proxmox_defaults_are_filled_in() -> None:
    empty = VMConfig({})
    assert (empty.cpu_type, empty.agent, empty.startup) == ("kvm64", False, (None, None, None))
    assert (empty.description, empty.tags, empty.ssh_keys) == ("", (), ())
    assert (empty.name, empty.lock, empty.uuid, empty.template) == (None, None, None, False)


@pytest.mark.parametrize(
    ("raw", "agent"),
    [("1", True), (1, True), ("enabled=1,type=virtio", True), ("0", False), ("enabled=0", False)],
)
def test_the_agent_is_on_in_many_ways(raw: str | int, agent: bool) -> None:
    assert VMConfig({"agent": raw}).agent is agent


def test_identity_and_texts() -> None:
    assert CONFIG.uuid == "1605b8e8-029e-41b8-8a29-112308e7c9c8"
    assert VMConfig({"smbios1": "base64=1"}).uuid is None
    assert CONFIG.description == "line1\nline2"
    seen = VMConfig({"name": "web-1", "lock": "clone", "template": 1, "cpu": "cputype=qemu64"})
    assert (seen.name, seen.lock, seen.template, seen.cpu_type) == (
        "web-1",
        "clone",
        True,
        "qemu64",
    )
    assert VMConfig({"tags": "b;a, c"}).tags == ("b", "a", "c")


def test_startup_has_three_parts() -> None:
    assert VMConfig({"startup": "order=2,up=30"}).startup == (2, 30, None)
    assert VMConfig({"startup": "up=3,down=0"}).startup == (None, 3, 0)
    assert VMConfig({"startup": "7"}).startup == (7, None, None)


@given(st.lists(st.text("abAB01+/= @.ü-", min_size=1).map(str.strip).filter(bool)))
def test_ssh_keys_round_trip(keys: list[str]) -> None:
    assert VMConfig({"sshkeys": encode_ssh_keys(keys)}).ssh_keys == tuple(keys)


def test_ssh_keys_are_percent_encoded_as_proxmox_prints_them() -> None:
    assert encode_ssh_keys(["ssh-ed25519 AAAA+G a@b", "k"]) == "ssh-ed25519%20AAAA%2BG%20a%40b%0Ak"


def test_pending_rows_give_two_views() -> None:
    rows: list[dict[str, object]] = [
        {"key": "memory", "value": "256", "pending": "512"},
        {"key": "cores", "value": 1},
        {"key": "serial0", "value": "socket", "delete": 1},
        {"key": "net1", "pending": "virtio,bridge=vmbr0"},
        {"key": "odd", "value": None},
        {"key": "digest", "value": "ab12"},
    ]
    wanted, live, pending, digest = split_pending(rows)
    assert wanted == {"memory": "512", "cores": 1, "net1": "virtio,bridge=vmbr0"}
    assert live == {"memory": "256", "cores": 1, "serial0": "socket"}
    assert pending == {"memory", "serial0", "net1"}
    assert digest == "ab12"


def _configs() -> list[dict[str, str | int]]:
    calls = json.loads(RECORDED.read_text())["calls"]
    bodies = [call["response"]["body"] for call in calls if call["request"]["method"] == "GET"]
    rows = [body.get("data") for body in bodies if isinstance(body, dict)]
    return [row for row in rows if isinstance(row, dict) and "smbios1" in row and "digest" in row]


@pytest.mark.skipif(not RECORDED.exists(), reason="../shared is not there")
def test_every_recorded_config_reads() -> None:
    assert len(_configs()) > 10
    for raw in _configs():
        config = VMConfig(raw)
        for slot, drive in config.drives.items():
            assert drive.render() == raw[slot]
            assert drive.size is None or drive.size >= 0
        for slot, net in config.nics.items():
            assert net.render() == str(raw[slot]).replace(",firewall=0", "")
        for index, addresses in config.ipconfigs.items():
            assert sorted(addresses.render().split(",")) == sorted(
                str(raw[f"ipconfig{index}"]).strip().split(",")
            )
        assert config.memory >= 16
        assert config.boot_disk in config.disks or not config.disks
        assert (config.uuid is None) is ("uuid=" not in str(raw["smbios1"]))
        assert encode_ssh_keys(config.ssh_keys) == raw.get("sshkeys", "")
        assert (config.balloon, config.agent, config.startup) is not None
        for key in ("cores", "sockets", "cpulimit", "cpuunits", "vcpus", "shares"):
            assert config.number(key, 1) > 0
        for key in ("onboot", "protection", "numa", "kvm", "acpi", "tablet", "freeze"):
            assert config.boolean(key, False) in (False, True)
