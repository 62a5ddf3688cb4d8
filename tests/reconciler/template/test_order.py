"""What an order says to Proxmox, and how its VM is known again."""

from dataclasses import replace

import pytest

from reconciler.template.order import (
    BadOrder,
    Mark,
    Order,
    fetched_name,
    read_mark,
    storage_for_images,
)

ORDER = Order("demo", "debian 13", "pve1", "local-lvm", "local:import/d.qcow2")


def test_a_mark_is_read_as_it_was_written_and_a_copys_is_another() -> None:
    mark = ORDER.mark(9000)
    assert str(mark) == (
        "reconcile-template: fleet=demo alias=debian%2013 image=local:import/d.qcow2 "
        "storage=local-lvm vmid=9000"
    )
    assert read_mark(f"a note\n{mark}\n") == mark
    assert read_mark(f"{mark}") != ORDER.mark(9001)
    assert read_mark("reconcile: store=a fleet=demo key=b vmid=9000") is None
    assert mark == Mark("demo", "debian 13", "local:import/d.qcow2", "local-lvm", 9000)


@pytest.mark.parametrize(
    ("alias", "name"), [("debian 13", "debian-13"), ("win_11", "win-11"), ("---", "template")]
)
def test_the_name_is_one_that_proxmox_takes(alias: str, name: str) -> None:
    assert replace(ORDER, alias=alias).name == name


def test_uefi_and_windows_change_what_is_created() -> None:
    params = replace(ORDER, uefi=True, ostype="win11").creation(9000).params
    assert params["bios"] == "ovmf"
    assert params["efidisk0"] == "local-lvm:1,efitype=4m,pre-enrolled-keys=1"
    assert not {"serial0", "vga", "net0"} & params.keys()
    assert "cipassword" not in params


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.example/x/debian-13.qcow2", "debian-13.qcow2"),
        ("https://a.example/noble%20server.img?x=1", "noble_20server.qcow2"),
        ("http://a.example/disk.raw", "disk.raw"),
        ("http://a.example/a+b=c.vmdk", "a_b_c.vmdk"),
    ],
)
def test_a_fetched_image_is_named_so_that_proxmox_takes_it(url: str, name: str) -> None:
    assert fetched_name(url) == name


@pytest.mark.parametrize("url", ["https://a.example/", "https://a.example/x.iso", "https://a/.raw"])
def test_a_url_of_no_image_is_refused(url: str) -> None:
    with pytest.raises(BadOrder, match="names no image"):
        fetched_name(url)


@pytest.mark.parametrize("text", ["abc", "sha256:xyz", "crc32:00"])
def test_a_checksum_must_say_its_kind(text: str) -> None:
    with pytest.raises(BadOrder, match="sha256:HEX"):
        replace(ORDER, url="https://a/x.raw", checksum=text).download()


def test_images_are_fetched_to_the_storage_named_or_one_that_takes_them() -> None:
    rows = [
        {"type": "storage", "node": "pve1", "storage": "local-lvm", "content": "images"},
        {"type": "storage", "node": "pve1", "storage": "local", "content": "iso,import"},
        {"type": "storage", "node": "pve1", "storage": "dir", "content": "import"},
        {"type": "storage", "node": "pve2", "storage": "far", "content": "import"},
        {"type": "node", "node": "pve1"},
        "noise",
    ]
    assert storage_for_images(rows, "pve1", "local") == "local"
    assert storage_for_images(rows, "pve1", "local-lvm") == "dir"
    assert storage_for_images(rows, "pve3", "local") is None
    assert storage_for_images(None, "pve1", "local") is None
