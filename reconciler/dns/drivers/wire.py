"""DNS messages over TCP: one connection per exchange, a deadline, each message sent once."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from state.drivers import DNSUnreachable


class Line:
    """An open connection to a name server."""

    def __init__(self, stream: socket.socket, where: str, timeout: float) -> None:
        self._stream = stream
        self._where = where
        self._timeout = timeout

    def send(self, message: bytes) -> None:
        """Send one message; it may have arrived even when this raises DNSUnreachable."""
        try:
            self._stream.sendall(struct.pack("!H", len(message)) + message)
        except OSError as error:
            raise DNSUnreachable(f"{self._where}: {self._why(error)}") from None

    def receive(self) -> bytes:
        """Return the next message; DNSUnreachable when the answer was lost."""
        return self._exactly(struct.unpack("!H", self._exactly(2))[0])

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        try:
            while len(found) < size:
                part = self._stream.recv(size - len(found))
                if not part:
                    raise DNSUnreachable(f"{self._where}: hung up before its answer was whole")
                found += part
        except OSError as error:
            raise DNSUnreachable(f"{self._where}: {self._why(error)}") from None
        return bytes(found)

    def _why(self, error: OSError) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._timeout:g} s"
        return f"the answer was lost: {error.strerror or error}"


@contextmanager
def dialled(server: str, port: int, timeout: float) -> Iterator[Line]:
    """A connection to a name or address; DNSUnreachable when none comes about."""
    where = f"{server} port {port}"
    try:
        stream = socket.create_connection((server, port), timeout)
    except (socket.gaierror, UnicodeError):
        raise DNSUnreachable(f"{where}: the name does not resolve") from None
    except TimeoutError:
        raise DNSUnreachable(f"{where}: no connection within {timeout:g} s") from None
    except OSError as error:
        raise DNSUnreachable(f"{where}: no connection: {error.strerror or error}") from None
    with stream:
        yield Line(stream, where, timeout)
