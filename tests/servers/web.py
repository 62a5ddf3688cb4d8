"""A small HTTP server on loopback that answers as an API double tells it to."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.servers.scratch import ADDRESS


@dataclass(frozen=True)
class Asked:
    """One request: its path, query and form fields, and its body."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body, keep_blank_values=True))


@dataclass(frozen=True)
class Told:
    """One answer; a `body` that is no text is sent as JSON."""

    status: int = 200
    body: object = ""
    headers: dict[str, str] = field(default_factory=dict)


Answer = Callable[[Asked], Told]


class Web:
    """Answers every request by `answer` and keeps what it was asked; `close` ends it.

    `odd`, when set, answers instead: how a proxy or a broken server would. `before` is called with
    each request before it is answered: what others do in the meantime.
    """

    def __init__(self, answer: Answer, certificate: Path | None = None) -> None:
        self.asked: list[Asked] = []
        self.odd: Told | None = None
        self.before: Callable[[Asked], None] = lambda asked: None
        self._answer = answer
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((ADDRESS, 0), self._handler())
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://{ADDRESS}:{self._server.server_port}"
        # The poll is how long `close` may take.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Inside, no request is answered."""
        with self._lock:
            yield

    def tell(self, asked: Asked) -> Told:
        """The answer to one request; one at a time."""
        with self._lock:
            self.asked.append(asked)
            self.before(asked)
            return self.odd or self._answer(asked)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_any(self) -> None:
                parts = urlsplit(self.path)
                size = int(self.headers.get("Content-Length") or 0)
                told = web.tell(
                    Asked(
                        self.command,
                        parts.path,
                        dict(parse_qsl(parts.query)),
                        {name.lower(): value for name, value in self.headers.items()},
                        self.rfile.read(size).decode(),
                    )
                )
                text = told.body if isinstance(told.body, str) else json.dumps(told.body)
                content = text.encode()
                self.send_response(told.status)
                for name, value in told.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_any

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: what was asked is in `asked`."""

        return Handler
