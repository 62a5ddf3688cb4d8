"""Drive values in Proxmox's grammar and normal form."""

import pytest

from reconciler.sim.parameters.drives import is_drive, parse_drive


@pytest.mark.parametrize(
    ("key", "given", "printed"),
    [
        ("scsi0", "file=local:1/a.qcow2,size=9G,cache=none", "local:1/a.qcow2,cache=none,size=9G"),
        ("scsi0", "volume=local-lvm:vm-1-disk-0,ssd=on", "local-lvm:vm-1-disk-0,ssd=1"),
        ("ide2", "none,media=cdrom", "none,media=cdrom"),
        ("scsi1", "local:32,iops_rd=500", "local:32,iops_rd=500"),
        ("scsi1", "a1:v,bps_rd=1048576", "a1:v,mbps_rd=0.000"),
        ("scsi1", "a1:v,size=10752M", "a1:v,size=10752M"),
        ("scsi1", "a1:v,size=10240M", "a1:v,size=10G"),
        ("scsi1", "a1:v,size=1000", "a1:v,size=1000"),
        (
            "scsi1",
            "a1:v,mbps_rd=1,mbps_rd_max=2,bps_rd_length=5",
            "a1:v,bps_rd_max_length=5,mbps_rd=1,mbps_rd_max=2",
        ),
        ("unused0", "local:110/vm-110-disk-0.raw", "local:110/vm-110-disk-0.raw"),
    ],
)
def test_values_are_printed_in_the_normal_form(key: str, given: str, printed: str) -> None:
    drive = parse_drive(key, given)
    assert drive is not None
    assert drive.print() == printed


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("scsi0", "local:4,mbps=1,mbps_rd=1"),  # total and split exclude each other
        ("scsi0", "local:4,iops=1,iops_wr=1"),
        ("scsi0", "local:4,mbps_wr_max=5"),  # a burst needs its base
        ("scsi0", "local:4,iops_max_length=5"),
        ("scsi0", "local:4,bps=1,mbps=1"),
        ("virtio0", "none,media=cdrom"),  # virtio has no CD-ROM
        ("ide2", "none,media=cdrom,format=raw"),
        ("scsi0", "local:4,nonsense=1"),
        ("floppy0", "local:4"),
    ],
)
def test_what_proxmox_cannot_parse_is_none(key: str, text: str) -> None:
    assert parse_drive(key, text) is None


def test_only_slots_that_exist_are_drives() -> None:
    assert is_drive("scsi30") and is_drive("ide3") and is_drive("efidisk0")
    assert not any(is_drive(key) for key in ("scsi31", "ide4", "virtio16", "unused0", "net0"))


@pytest.mark.parametrize(
    ("file", "cloudinit"),
    [
        ("local:110/vm-110-cloudinit.qcow2", True),
        ("local-lvm:vm-110-cloudinit", True),
        ("local:cloudinit", True),
        ("local:iso/cloudinit-tools.iso", False),
    ],
)
def test_cloud_init_drives_are_known_by_their_name(file: str, cloudinit: bool) -> None:
    drive = parse_drive("ide2", f"{file},media=cdrom")
    assert drive is not None
    assert drive.is_cloudinit is cloudinit
