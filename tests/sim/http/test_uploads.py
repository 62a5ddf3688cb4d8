"""Multipart bodies: pve-http-server PVE/APIServer/AnyEvent.pm (file_upload_multipart)."""

import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.errors import Refusal
from reconciler.sim.http.uploads import boundary_of, read_upload
from reconciler.sim.volumes.upload import Received
from tests.sim.http.wire import Client, root

PATH = "/api2/json/nodes/pve1/storage/local/upload"
KIND = "Content-Type: multipart/form-data; boundary=xyz\r\n"


def field(name: str, value: str) -> str:
    return f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


def file(name: str, data: str, field_name: str = "filename") -> str:
    disposition = f'form-data; name="{field_name}"; filename="{name}"'
    kind = "Content-Type: application/octet-stream"
    return f"--xyz\r\nContent-Disposition: {disposition}\r\n{kind}\r\n\r\n{data}\r\n--xyz--\r\n"


ISO = field("content", "iso") + file("a.iso", "one\r\n\r\ntwo")


def test_an_iso_arrives_and_the_connection_closes(client: Client, demo: Simulator) -> None:
    line, found = client.ask(PATH, "POST", root(demo.world) + KIND, ISO)
    assert line == "200 OK" and ":imgcopy::" in found["data"] and client.closed
    demo.world.advance(demo.now + 10)
    task = demo.world.tasks.get(found["data"])
    assert task is not None and task.status == "OK"
    assert "file size is: 10" in task.lines
    assert demo.world.volumes["pve1", "local:iso/a.iso"].size == 10


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "upload failed"),
        (field("content", "iso"), "upload failed"),
        (ISO.replace("--xyz--", ""), "upload failed"),
        (
            file("a.iso", "", "file"),
            "wrong field name 'file' for file upload, expected 'filename'",
        ),
        (
            field("content", "iso").replace("form-data", "attachment") + file("a.iso", ""),
            "wrong Content-Disposition 'attachment' in multipart, expected 'form-data'",
        ),
        (
            field("checksum", "00") + ISO,
            'wrong Content-Disposition \'form-data; name="checksum"\r\n\r\n00\r\n--xyz\r\n'
            "Content-Disposition: form-data' in multipart, expected 'form-data'",
        ),
    ],
)
def test_a_body_it_cannot_read(body: str, text: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_upload(body.encode(), b"xyz", "/var/tmp/pveupload-0")
    assert (caught.value.status, caught.value.reason) == (501, f"{text}\n")


def test_fields_in_their_order() -> None:
    body = field("content", "iso") + field("checksum-algorithm", "md5") + field("checksum", "00")
    found = read_upload((body + file(" b.iso", "x\n")).encode(), b"xyz", "/tmp")
    assert found == {
        "content": "iso",
        "checksum-algorithm": "md5",
        "checksum": "00",
        "filename": "b.iso",
        "tmpfilename": "/tmp",
    }
    data = found["tmpfilename"]
    assert isinstance(data, Received) and data.data == b"x\n"


@pytest.mark.parametrize(
    ("method", "path", "kind", "rule"),
    [
        ("POST", "/nodes/a/storage/b/upload", "multipart/form-data; boundary=q", b"q"),
        ("POST", "/nodes/a/storage/b/upload", 'multipart/form-data; boundary="q w"', b"q"),
        ("PUT", "/nodes/a/storage/b/upload", "multipart/form-data; boundary=q", None),
        ("POST", "/nodes/a/storage/b/content", "multipart/form-data; boundary=q", None),
        ("POST", "/nodes/a/storage/b/upload", "text/plain; boundary=q", None),
        ("POST", "/nodes/a/storage/b/upload", None, None),
    ],
)
def test_what_an_upload_is(method: str, path: str, kind: str | None, rule: bytes | None) -> None:
    assert boundary_of(method, path, kind) == rule


@pytest.mark.parametrize(("sent", "kept"), [("abc", b"\r\nabc"), ("a\n\nbc", b"bc")])
def test_a_file_without_its_own_type_is_spoiled(sent: str, kept: bytes) -> None:
    """As Proxmox does: https://github.com/proxmoxer/proxmoxer/issues/139."""
    body = ISO.replace("Content-Type: application/octet-stream\r\n", "")
    found = read_upload(body.replace("one\r\n\r\ntwo", sent).encode(), b"xyz", "/tmp")
    data = found["tmpfilename"]
    assert isinstance(data, Received) and data.data == kept
