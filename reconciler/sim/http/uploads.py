"""Uploads as Proxmox's web server reads them: not any multipart form, but its own three fields in
its own order, then the file. Source: pve-http-server PVE/APIServer/AnyEvent.pm
(file_upload_multipart, get_upload_filename).
"""

from __future__ import annotations

import re

from reconciler.sim.errors import Refusal
from reconciler.sim.volumes.upload import Received

UPLOAD = re.compile(r"/nodes/[^/]+/storage/[^/]+/upload\Z")
BOUNDARY = re.compile(r"[;,]\s*boundary\s*=\s*\"?([^\s;,\"]+)")
NEWLINE = rb"\r?\n"
FIELDS = ("content", "checksum-algorithm", "checksum")


def boundary_of(method: str, path: str, kind: str | None) -> bytes | None:
    """What parts the body of an upload; None for every other request."""
    if method != "POST" or not UPLOAD.match("/" + path.strip("/")):
        return None
    found = BOUNDARY.search(kind or "")
    if found is None or not (kind or "").lower().startswith("multipart/form-data"):
        return None
    return found[1].encode("latin-1")


def read_upload(body: bytes, boundary: bytes, name: str) -> dict[str, str]:
    """The parameters of an upload whose file is kept as `name`. Raises 501."""
    rule = rb"--" + re.escape(boundary) + NEWLINE
    start = re.search(rule, body)
    if start is None:
        raise _broken("upload failed")
    rest = body[start.start() :]
    found: dict[str, str] = {}
    for field in FIELDS:
        head = rb'.*?Content-Disposition: (.*?); name="' + field.encode() + rb'"(.*?' + rule + rb")"
        part = re.match(rule + head, rest, re.DOTALL)
        if part is None:
            continue
        _need_form(part[1])
        value, rule_found, rest = _cut(_behind_headers(part[2] + rest[part.end() :]), rule)
        found[field] = value.decode("utf-8", "replace").strip()
        rest = rule_found + rest
    head = rb'Content-Disposition: (.*?); name="(.*?)"; filename="([^"]+)"' + NEWLINE
    file = re.match(rule + head, rest, re.DOTALL)
    if file is None:
        raise _broken("upload failed")
    _need_form(file[1])
    if file[2] != b"filename":
        wrong = file[2].decode("latin-1")
        raise _broken(f"wrong field name '{wrong}' for file upload, expected 'filename'")
    found["filename"] = file[3].decode("utf-8", "replace").strip()
    data, closed, _rest = _cut(_behind_headers(rest[file.end() :]), b"--" + boundary + b"--", False)
    if not closed:
        raise _broken("upload failed")
    return found | {"tmpfilename": Received(name, re.sub(NEWLINE + rb"\Z", b"", data))}


def _cut(text: bytes, at: bytes, pattern: bool = True) -> tuple[bytes, bytes, bytes]:
    """What stands before the first `at`, it, and what comes after."""
    found = re.search(at if pattern else re.escape(at), text)
    if found is None:
        return text, b"", b""
    return text[: found.start()], found[0], text[found.end() :]


def _behind_headers(text: bytes) -> bytes:
    return re.sub(rb"\A.*?" + NEWLINE + NEWLINE, b"", text, count=1, flags=re.DOTALL)


def _need_form(disposition: bytes) -> None:
    if disposition != b"form-data":
        got = disposition.decode("latin-1")
        raise _broken(f"wrong Content-Disposition '{got}' in multipart, expected 'form-data'")


def _broken(text: str) -> Refusal:
    return Refusal(501, f"{text}\n")
