"""POST upload: pve-storage PVE/API2/Storage/Status.pm (upload); the file itself comes from the
HTTP layer (tests/sim/http/test_uploads.py)."""

import hashlib
from collections.abc import Mapping

import pytest

from reconciler.sim.volumes.upload import Received
from tests.sim.backup.conftest import NODE, Keeper, said
from tests.sim.backup.test_volume_content import add_thin

NAME = "/var/tmp/pveupload-0a"
GIB = 1 << 30
QCOW2 = b"QFI\xfb" + bytes(20) + GIB.to_bytes(8, "big") + bytes(400)
VMDK = b"KDMV" + bytes(8) + (GIB // 512).to_bytes(8, "little")
IMAGE = {"content": "import", "filename": "d.qcow2"}


def send(
    keeper: Keeper, params: Mapping[str, object], data: bytes = b"data", place: str = "local"
) -> str:
    """The status of the task, or the refusal."""
    given = {"content": "iso", "filename": "a.iso", "tmpfilename": Received(NAME, data), **params}
    given = {key: one for key, one in given.items() if one is not None}
    answer = keeper.ask("POST", f"{NODE}/storage/{place}/upload", given)
    return keeper.hands.end(answer.data) if answer.status == 200 else said(answer)


@pytest.mark.parametrize(
    ("name", "data", "size"),
    [("d.qcow2", QCOW2, GIB), ("d.vmdk", VMDK, GIB), ("d.raw", b"abc", 512)],
)
def test_an_image_becomes_a_disk_of_its_own_size(
    keeper: Keeper, name: str, data: bytes, size: int
) -> None:
    assert send(keeper, {"content": "import", "filename": name}, data) == "OK"
    disk = f"local:0,import-from=local:import/{name},format=raw"
    assert keeper.hands.task("POST", "", vmid=105, scsi0=disk) == "OK"
    rows = keeper.get(f"{NODE}/storage/local/content", {"content": "images", "vmid": 105})
    assert [row["size"] for row in rows] == [size]


def test_a_file_is_overwritten(keeper: Keeper) -> None:
    assert send(keeper, {}, b"1") == send(keeper, {"filename": "x/a.iso"}, b"22") == "OK"
    rows = keeper.get(f"{NODE}/storage/local/content", {"content": "iso"})
    sizes = {row["volid"]: row["size"] for row in rows}
    assert sizes["local:iso/a.iso"] == 2


@pytest.mark.parametrize(
    ("place", "params", "refused"),
    [
        ("local", {"filename": "x.txt"}, "filename: wrong file extension"),
        ("local", {"tmpfilename": None}, "500 missing temporary file name"),
        ("local", {"tmpfilename": NAME}, f"500 temporary file '{NAME}' does not exist"),
        ("local", {"tmpfilename": "x"}, "tmpfilename: value does not match the regex pattern"),
        ("store2", {}, "500 storage 'store2' does not support 'iso' content"),
        ("thin", {}, "500 can't upload to storage type 'lvmthin'"),
    ],
)
def test_what_is_refused(
    keeper: Keeper, place: str, params: dict[str, object], refused: str
) -> None:
    add_thin(keeper)
    assert send(keeper, params, place=place) == refused


def test_what_fails_in_the_task(keeper: Keeper) -> None:
    got = hashlib.md5(b"data").hexdigest()
    check = {"checksum-algorithm": "md5", "checksum": got.upper()}
    assert send(keeper, check) == "OK"
    wrong = send(keeper, check | {"checksum": "00"})
    assert wrong == f"checksum mismatch: got '{got}' != expect '00'"
    assert send(keeper, IMAGE).endswith("Image is not in qcow2 format")
    keeper.world.storages["local"].full = True
    assert send(keeper, {}).startswith(
        "import failed: cp: error writing '/var/lib/vz/template/iso/"
    )
