"""Volume names of file, thin LVM and RBD storages."""

import pytest

from reconciler.sim.cluster.inventory import Storage
from reconciler.sim.errors import Refusal
from reconciler.sim.parameters.volnames import (
    VolumeName,
    disk_number,
    file_path,
    parse_name,
    split_volid,
)

FILES = Storage("local", "dir", ["images"], 1, options={"path": "/var/lib/vz"})
MOUNT = Storage("nas", "nfs", ["images"], 1, shared=True)
THIN = Storage("thin", "lvmthin", ["images"], 1)
RBD = Storage("ceph", "rbd", ["images"], 1, shared=True)


@pytest.mark.parametrize(
    ("storage", "name", "parsed"),
    [
        (FILES, "110/vm-110-disk-0.qcow2", VolumeName("images", 110, None, False, "qcow2")),
        (FILES, "110/base-110-disk-0.raw", VolumeName("images", 110, None, True, "raw")),
        (
            FILES,
            "110/base-110-disk-0.qcow2/121/vm-121-disk-0.qcow2",
            VolumeName("images", 121, "110/base-110-disk-0.qcow2", False, "qcow2"),
        ),
        (FILES, "iso/t.iso", VolumeName("iso")),
        (FILES, "snippets/x.yml", VolumeName("snippets")),
        (FILES, "import/tiny.qcow2", VolumeName("import", format="qcow2")),
        (THIN, "base-9000-disk-0", VolumeName("images", 9000, None, True)),
        (RBD, "base-1-disk-0/vm-2-disk-0", VolumeName("images", 2, "base-1-disk-0")),
    ],
)
def test_names_say_what_they_hold(storage: Storage, name: str, parsed: VolumeName) -> None:
    assert parse_name(storage, name) == parsed


@pytest.mark.parametrize(
    ("storage", "name", "text"),
    [
        (FILES, "10G", "unable to parse directory volume name '10G'"),
        (FILES, "110/disk.txt", "unable to parse volume filename 'disk.txt'"),
        (THIN, "10G", "unable to parse lvm volume name '10G'"),
        (RBD, "x/vm-2-disk-0", "unable to parse rbd volume name"),
    ],
)
def test_other_names_are_refused(storage: Storage, name: str, text: str) -> None:
    with pytest.raises(Refusal, match=text):
        parse_name(storage, name)


def test_paths_follow_the_storage() -> None:
    linked = "110/base-110-disk-0.qcow2/121/vm-121-disk-0.qcow2"
    assert file_path(FILES, linked) == "/var/lib/vz/images/121/vm-121-disk-0.qcow2"
    assert file_path(FILES, "iso/t.iso") == "/var/lib/vz/template/iso/t.iso"
    assert file_path(MOUNT, "1/vm-1-disk-0.raw") == "/mnt/pve/nas/images/1/vm-1-disk-0.raw"
    assert file_path(THIN, "vm-1-disk-0") == "/dev/pve/vm-1-disk-0"


def test_disk_numbers_belong_to_their_vm() -> None:
    assert disk_number("110/vm-110-disk-3.qcow2", 110) == 3
    assert disk_number("base-110-disk-0", 110) == 0
    assert disk_number("vm-110-disk-3", 11) is None
    assert disk_number("vm-110-cloudinit", 110) is None


def test_volume_ids_have_a_storage() -> None:
    assert split_volid("local:a/b") == ("local", "a/b")
    assert split_volid("/dev/sda") is None and split_volid("none") is None
