"""Answers as bytes: bodies of the two formats, the head, and the way to the TLS port."""

from __future__ import annotations

from typing import Any

import msgspec

from reconciler.sim.answer import Answer
from reconciler.sim.view import View

JSON_TYPE = b"application/json;charset=UTF-8"
PACKED = b"Content-Encoding: gzip\r\n"
encode = msgspec.json.Encoder().encode


def body_of(answer: Answer, form: str) -> tuple[int, str, bytes, bytes]:
    """Status, reason, body and its type, for the format `json`, `extjs` or `text`.

    What has no message has no body: refusals of the ticket check, of the web server itself, and
    what a node says of another that it could not reach.
    """
    if answer.status >= 400 and answer.message is None:
        return answer.status, answer.reason, b"", b""
    if form == "text":
        return answer.status, answer.reason, (answer.message or "").encode(), b""
    if form == "extjs":
        return 200, "OK", encode(extjs_body(answer)), JSON_TYPE
    if isinstance(answer.data, View) and not answer.extras:
        body = answer.data.text(encode, json_body(answer))
    else:
        body = encode(json_body(answer))
    return answer.status, answer.reason, body, JSON_TYPE


def head(status: int, reason: str, keep: bool, dates: bytes, rest: bytes) -> bytes:
    """Status line and headers; `rest` are those that tell of the body."""
    return b"".join(
        (
            f"HTTP/1.1 {status} {reason}\r\n".encode(),
            b"Cache-Control: max-age=0\r\nConnection: ",
            b"Keep-Alive" if keep else b"close",
            b"\r\n",
            dates,
            b"Pragma: no-cache\r\nServer: pve-api-daemon/3.0\r\n",
            rest,
            b"\r\n",
        )
    )


def of_body(body: bytes, kind: bytes, keep: bool) -> bytes:
    """The headers that tell of the body; an empty one is not told of when the connection ends."""
    found = b"" if not (body or keep) else b"Content-Length: %d\r\n" % len(body)
    return found + b"Content-Type: " + kind + b"\r\n" if kind else found


def json_body(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = {"data": answer.data, **answer.extras}
    if answer.errors:
        body["errors"] = answer.errors
    if answer.message is not None:
        body["message"] = answer.message
    return body


def extjs_body(answer: Answer) -> dict[str, Any]:
    """Always 200 outside; refusals of checks carry their status as a string, others as a number."""
    if answer.status < 400:
        return {"data": answer.data, "success": 1, **answer.extras}
    checked = answer.status in (400, 403)
    status = str(answer.status) if checked else answer.status
    return json_body(answer) | {"success": 0, "status": status}


def moved(method: str, host: str, url: str) -> bytes:
    """The answer to plain HTTP on the TLS port."""
    line = "301 Moved Permanently" if method in ("GET", "HEAD") else "308 Permanent Redirect"
    return (
        f"HTTP/1.1 {line}\r\nLocation: https://{host}{url}\r\n"
        "Connection: close\r\nContent-Length: 0\r\n\r\n"
    ).encode()
