"""Drives and sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.drive import Drive, format_pve_size, parse_drive, parse_pve_size

OPTIONS = st.dictionaries(
    st.sampled_from(["backup", "cache", "discard", "iops_rd", "mbps_wr", "size", "ssd"]),
    st.text("abcdefghij0123456789.", min_size=1, max_size=6),
)
VOLUMES = st.sampled_from(
    [
        "local-lvm:vm-100-disk-0",
        "local:110/vm-110-disk-0.qcow2",
        "/dev/disk/by-id/x",
        "none",
        "s:32",
    ]
)


@given(st.builds(Drive, VOLUMES, OPTIONS))
def test_drives_round_trip_under_the_normal_form(drive: Drive) -> None:
    assert parse_drive(drive.render()) == drive
    assert parse_drive(drive.render()).render() == drive.render()


@given(st.integers(0, 1 << 50))
def test_sizes_round_trip(size: int) -> None:
    assert parse_pve_size(format_pve_size(size)) == size


@pytest.mark.parametrize(
    ("text", "size"),
    [("10G", 10 << 30), ("10752M", 10752 << 20), ("4K", 4096), ("1T", 1 << 40), ("528", 528)],
)
def test_sizes_print_in_the_largest_whole_unit(text: str, size: int) -> None:
    assert parse_pve_size(text) == size
    assert format_pve_size(size) == text


def test_a_size_may_be_fractional() -> None:
    assert parse_pve_size("4.5G") == 4608 << 20


def test_a_size_without_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="10GB"):
        parse_pve_size("10GB")


def test_a_drive_reads_by_type() -> None:
    drive = parse_drive("local-lvm:vm-1-disk-0,discard=on,iops_rd=500,size=10G,ssd=1,mbps_rd=12.5")
    assert drive.storage == "local-lvm"
    assert drive.size == 10 << 30
    assert (drive.number("iops_rd"), drive.number("mbps_rd"), drive.number("iops_wr")) == (
        500,
        12.5,
        0,
    )
    assert drive.flag("ssd") and drive.flag("discard") and drive.flag("backup", True)
    assert not drive.flag("iothread")
    assert drive.option("cache") is None
    assert not drive.cdrom and not drive.cloudinit


def test_discard_ignore_is_off() -> None:
    assert parse_drive("local:1/x.raw,discard=ignore").flag("discard", True) is False


@pytest.mark.parametrize(
    ("text", "storage", "cdrom", "cloudinit"),
    [
        ("none,media=cdrom", None, True, False),
        ("cdrom", None, True, False),
        ("/dev/sda", None, False, False),
        ("/srv/a:b", None, False, False),
        ("local:iso/t.iso,media=cdrom,size=4K", "local", True, False),
        ("local:110/vm-110-cloudinit.qcow2,media=cdrom", "local", True, True),
        ("local-lvm:vm-9000-cloudinit,media=cdrom,size=4M", "local-lvm", True, True),
        ("local-lvm:cloudinit", "local-lvm", False, True),
        ("local-lvm:vm-9000-cloudinit-notes", "local-lvm", False, False),
    ],
)
def test_kinds_of_drives(text: str, storage: str | None, cdrom: bool, cloudinit: bool) -> None:
    drive = parse_drive(text)
    assert (drive.storage, drive.cdrom, drive.cloudinit) == (storage, cdrom, cloudinit)


def test_the_size_of_an_empty_drive_is_unknown() -> None:
    assert parse_drive("none,media=cdrom").size is None


def test_aliases_and_byte_limits_read_as_proxmox_prints_them() -> None:
    drive = parse_drive("volume=local:1/a.raw,iops_rd_length=5,bps=1048576,bps_wr=1572864")
    assert drive.render() == "local:1/a.raw,iops_rd_max_length=5,mbps=1,mbps_wr=1.5"


def test_options_are_set_and_removed() -> None:
    drive = Drive("local:1/a.raw", {"size": "1G", "iops_rd": "100"})
    changed = drive.with_options({"iops_rd": None, "iops_wr": "5", "cache": None})
    assert changed.render() == "local:1/a.raw,iops_wr=5,size=1G"


def test_a_drive_without_a_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a drive"):
        parse_drive("size=10G")
