"""A small HTTPS server on loopback that answers as it is told and notes what it was asked."""

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it came over the wire; `connection` counts the server's connections."""

    method: str
    target: str
    headers: dict[str, str]
    body: str
    connection: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def fields(self) -> list[tuple[str, str]]:
        text = urlsplit(self.target).query or self.body
        return parse_qsl(text, keep_blank_values=True)


Answer = Callable[[Asked], bytes | None]
"""The bytes to send back; b"" to hang up (also after `Connection: close`), None to say nothing
until the client leaves."""


def reply(
    body: str | bytes = '{"data":null}', status: int = 200, reason: str = "OK", *headers: str
) -> bytes:
    """An HTTP answer."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join((*lines, "", "")).encode() + content


@dataclass
class Server:
    """Serves until closed, each connection in a thread."""

    pem: Path
    answer: Answer = lambda asked: reply()
    host: str = "127.0.0.1"
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.pem)
        self._listener = socket.create_server((self.host, self.port))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"

    def close(self) -> None:
        """Refuse connections and break those that are open; a second time does nothing."""
        if self._listener.fileno() < 0:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(plain)
            self.connections += 1
            thread = threading.Thread(
                target=self._serve, args=(plain, self.connections), daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        try:
            with plain, self._context.wrap_socket(plain, server_side=True) as link:
                self._open.append(link)
                while self._one(link, number):
                    pass
        except OSError:
            return

    def _one(self, link: ssl.SSLSocket, number: int) -> bool:
        with link.makefile("rb") as stream:
            first = stream.readline().decode().split()
            if not first:
                return False
            headers: dict[str, str] = {}
            while line := stream.readline().decode().strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = stream.read(int(headers.get("content-length", "0"))).decode()
        asked = Asked(first[0], first[1], headers, body, number)
        self.asked.append(asked)
        answer = self.answer(asked)
        if answer is None:
            link.recv(1)
            return False
        link.sendall(answer)
        return bool(answer) and b"Connection: close" not in answer
