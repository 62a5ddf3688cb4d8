"""The HTTP/1.1 side of a simulated node: one connection, its requests and their answers.

Behaves as pve-http-server does: closes after 100 requests, after 5 s of silence and after every
answer >= 400; delays 401 by 3 s; refuses chunked bodies and bodies on GET and DELETE (501). What
takes how long stands in `pace`.
Source: PVE/APIServer/AnyEvent.pm.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

import httptools
import msgspec

from reconciler.sim.api import Answer, Call, refused
from reconciler.sim.errors import Refusal
from reconciler.sim.http import control
from reconciler.sim.http.door import Door, Message
from reconciler.sim.http.errand import Errand
from reconciler.sim.http.forms import decode_form, decode_json
from reconciler.sim.http.spoil import PAGE, bomb
from reconciler.sim.http.uploads import boundary_of, read_upload
from reconciler.sim.view import View, packed

BASE = "/api2/"
BODY_LIMIT = 512 * 1024
COMPRESS_FROM = 1024
PACKED = b"Content-Encoding: gzip\r\n"
METHODS = frozenset(("GET", "POST", "PUT", "DELETE"))
JSON_TYPE = b"application/json;charset=UTF-8"
encode = msgspec.json.Encoder().encode


class Writer(Protocol):
    """Where a connection's bytes go."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class Timers(Protocol):
    """The part of an event loop that a connection needs; seconds."""

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle: ...

    def call_soon(self, callback: Callable[..., object], *args: Any) -> asyncio.Handle: ...


class Connection:
    """One client of the node `via`. Feed it bytes; it writes the answers in order."""

    def __init__(self, door: Door, writer: Writer, loop: Timers, via: str = "") -> None:
        self.door = door
        self.via = via
        self.writer = writer
        self.loop = loop
        self.parser = httptools.HttpRequestParser(self)
        self.queue: deque[Message] = deque()
        self.busy = False
        self.closed = False
        self.served = 0
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self.idle: asyncio.TimerHandle | None = None
        self._wait_for_more()

    # ------------------------------------------------------------------ what the parser calls

    def on_message_begin(self) -> None:
        self.url, self.headers, self.body = b"", {}, []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        method = self.parser.get_method().decode()
        keep = self.parser.should_keep_alive()
        body = b"".join(self.body)
        self.queue.append(Message(method, self.url.decode("latin-1"), self.headers, body, keep))
        self._next()

    # ------------------------------------------------------------------ flow

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.closed:
            return
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.stop()
        except httptools.HttpParserError:
            self.send(Answer(400, "bad request", message="bad request\n"), None, keep=False)

    def _wait_for_more(self) -> None:
        if self.door.pace.closing and not self.closed:
            self.idle = self.loop.call_later(self.door.pace.idle, self.stop)

    def stop(self) -> None:
        """Close the connection, as after an error or a long silence."""
        if not self.closed:
            self.lost()
            self.writer.close()

    def lost(self) -> None:
        """The client went away."""
        self.closed = True
        self.queue.clear()
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None

    def _next(self) -> None:
        if self.busy or self.closed or not self.queue:
            return
        self.busy = True
        self._handle(self.queue.popleft())

    def _handle(self, message: Message) -> None:
        path, _, query = message.url.partition("?")
        if path.startswith("/sim/"):
            status, found = control.answer(self.door.simulator, message.method, path, message.body)
            self.door.stirred()
            self._write(status, HTTPStatus(status).phrase, encode(found), message, True)
            return
        try:
            check_message(message, path)
            form, rest = split_path(message, unquote(path) if "%" in path else path)
            identity = self.door.identify(message)
            params = self._parameters(message, rest, query)
        except Refusal as refusal:
            self._finish(refused(refusal), message, "json")
            return
        call = Call(self.door.simulator, message.method, rest, params, identity, self.via)

        def done(answer: Answer | None) -> None:
            if answer is not None:
                self._finish(answer, message, form)
            elif not self.closed:
                self.lost()
                self.writer.abort()

        Errand(self.door, call, self.loop, done).start()

    def _parameters(self, message: Message, path: str, query: str) -> dict[str, Any]:
        rule = boundary_of(message.method, path, message.header(b"content-type"))
        if rule is None or not message.body:
            check_body(message)
            return parameters(message, query)
        message.keep_alive = False
        name = self.door.simulator.world.new_uuid().replace("-", "")
        return decode_form(query) | read_upload(message.body, rule, f"/var/tmp/pveupload-{name}")

    def _finish(self, answer: Answer, message: Message, form: str) -> None:
        delay = answer.delay
        if answer.status == 401:
            delay += self.door.pace.unauthorized
        if delay:
            self.loop.call_later(delay, self._deliver, answer, message, form)
        else:
            self._deliver(answer, message, form)

    def _deliver(self, answer: Answer, message: Message, form: str) -> None:
        if not self.closed:
            self.send(answer, message, form=form)

    # ------------------------------------------------------------------ answers

    def send(
        self, answer: Answer, message: Message | None, keep: bool = True, form: str = "json"
    ) -> None:
        status, reason = answer.status, answer.reason
        if status >= 400 and answer.message is None:
            body = b""
        elif form == "extjs":
            body, status, reason = encode(extjs_body(answer)), 200, "OK"
        elif isinstance(answer.data, View) and not answer.extras:
            body = answer.data.text(encode, json_body(answer))
        else:
            body = encode(json_body(answer))
        good = keep and (answer.status < 400 or not self.door.pace.closing)
        if answer.spoiled == "gzip-bomb":
            self._write(status, reason, bomb(answer.size), None, good, PACKED)
        elif answer.spoiled == "non-json-body":
            self._write(status, reason, PAGE, None, good)
        else:
            cut = answer.spoiled == "truncated-body"
            view = answer.data if isinstance(answer.data, View) else None
            self._write(status, reason, body, message, good, cut=cut, view=view)

    def _write(
        self,
        status: int,
        reason: str,
        body: bytes,
        message: Message | None,
        good: bool,
        extra: bytes = b"",
        cut: bool = False,
        view: View | None = None,
    ) -> None:
        """`cut`: only half of the body goes out before the connection ends."""
        self.served += 1
        keep = good and message is not None and message.keep_alive
        if self.door.pace.closing and self.served >= self.door.pace.requests:
            keep = False
        if len(body) > COMPRESS_FROM and message is not None and accepts_gzip(message):
            body = packed(body) if view is None else view.packed(body)
            extra = PACKED
        head = b"".join(
            (
                f"HTTP/1.1 {status} {reason}\r\n".encode(),
                b"Cache-Control: max-age=0\r\nConnection: ",
                b"Keep-Alive" if keep else b"close",
                b"\r\n",
                self.door.now_line(),
                b"Pragma: no-cache\r\nServer: pve-api-daemon/3.0\r\n",
                extra,
                b"Content-Length: %d\r\nContent-Type: " % len(body),
                JSON_TYPE,
                b"\r\n\r\n",
            )
        )
        self.writer.write(head + (body[: len(body) // 2] if cut else body))
        self.busy = False
        if not keep or cut:
            self.stop()
        elif self.queue:
            self.loop.call_soon(self._next)
        else:
            self._wait_for_more()


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


def moved(host: str, url: str) -> bytes:
    """The answer to plain HTTP on the TLS port."""
    return (
        f"HTTP/1.1 301 Moved Permanently\r\nLocation: https://{host}{url}\r\n"
        "Connection: close\r\nContent-Length: 0\r\n\r\n"
    ).encode()
