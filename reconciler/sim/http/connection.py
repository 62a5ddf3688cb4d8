"""The HTTP/1.1 side of a simulated node: one connection, its requests and their answers.

Behaves as pve-http-server does: closes after 100 requests, after 5 s of silence and after every
answer >= 400; delays 401 by 3 s; refuses chunked bodies and bodies on GET and DELETE (501). What
takes how long stands in `pace`.
Source: PVE/APIServer/AnyEvent.pm.
"""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

import httptools

from reconciler.sim.answer import Answer
from reconciler.sim.api import Call
from reconciler.sim.errors import Refusal
from reconciler.sim.http import control
from reconciler.sim.http.door import Door, Message
from reconciler.sim.http.errand import Errand
from reconciler.sim.http.forms import decode_form
from reconciler.sim.http.reply import JSON_TYPE, PACKED, body_of, encode, head, of_body
from reconciler.sim.http.request import (
    accepts_gzip,
    check_body,
    check_message,
    of_server,
    parameters,
    split_path,
)
from reconciler.sim.http.spoil import PAGE, bomb
from reconciler.sim.http.timers import Timers
from reconciler.sim.http.uploads import boundary_of, read_upload
from reconciler.sim.view import View, packed

COMPRESS_FROM = 1024
HEADER_LINES = 63
HEADER_SIZE = 8 * 1024
"""A request with more is never answered; its connection ends after the usual silence."""


class Writer(Protocol):
    """Where a connection's bytes go."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


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
        self.header_size = self.header_lines = 0
        self.idle: asyncio.TimerHandle | None = None
        self._wait_for_more()

    # ------------------------------------------------------------------ what the parser calls

    def on_message_begin(self) -> None:
        self.url, self.headers, self.body = b"", {}, []
        self.header_size = self.header_lines = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value
        self.header_lines += 1
        self.header_size += len(name) + len(value) + 2

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        method = self.parser.get_method().decode()
        keep = self.parser.should_keep_alive()
        body = b"".join(self.body)
        if self.header_lines >= HEADER_LINES or self.header_size >= HEADER_SIZE:
            self._wait_for_more()
            return
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
            self.send(Answer(400, "bad request"), None, keep=False)

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
            answer, form = of_server(refusal)
            self._finish(answer, message, form)
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
        status, reason, body, kind = body_of(answer, form)
        good = keep and (answer.status < 400 or not self.door.pace.closing)
        if answer.spoiled == "gzip-bomb":
            self._write(status, reason, bomb(answer.size), None, good, extra=PACKED)
        elif answer.spoiled == "non-json-body":
            self._write(status, reason, PAGE, None, good, b"text/html")
        else:
            cut = answer.spoiled == "truncated-body"
            view = answer.data if isinstance(answer.data, View) else None
            self._write(status, reason, body, message, good, kind, cut=cut, view=view)

    def _write(
        self,
        status: int,
        reason: str,
        body: bytes,
        message: Message | None,
        good: bool,
        kind: bytes = JSON_TYPE,
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
        rest = extra + of_body(body, kind, keep)
        lines = head(status, reason, keep, self.door.now_line(), rest)
        self.writer.write(lines + (body[: len(body) // 2] if cut else body))
        self.busy = False
        if not keep or cut:
            self.stop()
        elif self.queue:
            self.loop.call_soon(self._next)
        else:
            self._wait_for_more()
