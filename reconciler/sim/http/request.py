"""What a request must be before it is a call: its method, path, body and parameters.

What is refused here gets no body, only a reason. Source: PVE/APIServer/AnyEvent.pm
(process_header, authenticate_and_handle_request, extract_params).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.sim.answer import Answer, refused
from reconciler.sim.errors import Refusal
from reconciler.sim.http.door import Message
from reconciler.sim.http.forms import decode_form, decode_json

BASE = "/api2/"
BODY_LIMIT = 512 * 1024
METHODS = frozenset(("GET", "POST", "PUT", "DELETE"))


def accepts_gzip(message: Message) -> bool:
    return b"gzip" in message.headers.get(b"accept-encoding", b"")


def check_message(message: Message, path: str) -> None:
    """The refusals that come before everything else."""
    if message.method not in METHODS:
        raise Refusal(501, f"method '{message.method}' not available\n")
    encoding = message.header(b"transfer-encoding")
    if encoding is not None and encoding.lower() == "chunked":
        raise Refusal(501, "chunked transfer encoding not supported\n")
    if encoding is not None:
        raise Refusal(501, f"Unknown transfer encoding '{encoding}'\n")
    if not path.startswith(BASE):
        if message.method == "GET":
            raise Refusal(404, f"no such file '{path}'\n")
        raise Refusal(501, f"Method '{message.method} {path}' not implemented")


def split_path(message: Message, path: str) -> tuple[str, str]:
    """The format (json or extjs) and the path below it."""
    form, _, rest = path.removeprefix(BASE).partition("/")
    if form not in ("json", "extjs"):
        raise Refusal(501, "no such uri\n")
    return form, rest


def check_body(message: Message) -> None:
    """Bodies only on PUT and POST, of known types, and not too long."""
    if not message.body:
        return
    if message.method not in ("PUT", "POST"):
        raise Refusal(501, f"Unexpected content for method '{message.method}'\n")
    if len(message.body) > BODY_LIMIT:
        raise Refusal(501, "for data too large\n")
    kind = content_type(message)
    if kind not in ("", "application/x-www-form-urlencoded", "application/json"):
        raise Refusal(506, f"upload 'Content-Type '{kind}' not implemented\n")


def content_type(message: Message) -> str:
    return (message.header(b"content-type") or "").partition(";")[0].strip().lower()


def parameters(message: Message, query: str) -> dict[str, Any]:
    """Body and query parameters; the query wins."""
    found: dict[str, Any] = {}
    if message.body and content_type(message) == "application/json":
        found = decode_json(message.body)
    elif message.body:
        found = decode_form(message.body.decode("utf-8", "replace"))
    return found | decode_form(query) if query else found


def of_server(refusal: Refusal) -> tuple[Answer, str]:
    """The answer of the web server itself and its format: a reason, and for broken JSON the same
    as text."""
    answer = refused(refusal)
    return (answer, "text") if refusal.status == 500 else (replace(answer, message=None), "json")
