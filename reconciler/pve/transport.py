"""One pool of TLS connections for all threads: verified, bounded, closed before Proxmox does.

No proxy and no environment variable is looked at. Retrying and routing are session.py's.
"""

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from hashlib import sha256

from urllib3 import HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError, ReadTimeoutError, TimeoutError
from urllib3.response import HTTPResponse

IDLE = 3.0
"""Seconds after which an idle connection is not used again: Proxmox closes after 5."""
USES = 95
"""Requests per connection: Proxmox closes after 100."""


class NotSent(Exception):
    """No connection came about, so nothing was sent; `distrust`: its certificate is not ours."""

    def __init__(self, text: str, distrust: bool = False) -> None:
        super().__init__(text)
        self.distrust = distrust


class Lost(Exception):
    """The request may have arrived, but no whole answer came; `late` when time ran out."""

    def __init__(self, text: str, late: bool) -> None:
        super().__init__(text)
        self.late = late


@dataclass(frozen=True, slots=True)
class Origin:
    """A server: host (name or address) and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Trust:
    """What makes a server ours: a CA (file), pinned SHA-256 fingerprints, or nothing at all.

    Fingerprints may be written with or without colons; they replace the check by CA.
    """

    ca: str | None = None
    fingerprints: tuple[str, ...] = ()
    verify: bool = True

    @property
    def pins(self) -> frozenset[str]:
        return frozenset(pin.replace(":", "").lower() for pin in self.fingerprints)

    def context(self) -> ssl.SSLContext:
        """Raises OSError (or ssl.SSLError) for a CA file that cannot be read."""
        context = ssl.create_default_context(cafile=self.ca)
        # Proxmox's own CA has no key identifiers, which Python 3.13's strict mode demands.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify or self.fingerprints:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer as proxmoxer wants it; `reason` is Proxmox's own phrase."""

    status_code: int
    reason: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")


class _Connection(HTTPSConnection):
    """Checks the pin before anything is sent, and knows when Proxmox will hang up."""

    pins: frozenset[str] = frozenset()
    uses = 0
    used_at = 0.0

    def connect(self) -> None:
        self.uses = 0
        try:
            super().connect()
        except Exception as error:
            self.close()
            raise NotSent(_why(error), _distrusted(error)) from error
        if self.pins:
            self._check_pin()
        self.is_verified = True

    def _check_pin(self) -> None:
        certificate = self.sock.getpeercert(binary_form=True)  # type: ignore[union-attr]
        seen = sha256(certificate or b"").hexdigest()
        if seen not in self.pins:
            self.close()
            shown = ":".join(seen[at : at + 2] for at in range(0, 64, 2)).upper()
            raise NotSent(
                f"the certificate does not match any pinned fingerprint, it has {shown}; "
                "if the node got a new certificate, put that under tls.fingerprints",
                distrust=True,
            )

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        response = super().getresponse()
        self.uses += 1
        if response.status >= 400:
            self.uses = USES
        self.used_at = time.monotonic()
        return response


class _Pool(HTTPSConnectionPool):
    """A pool that hands out no connection that Proxmox is about to close."""

    ConnectionCls = _Connection
    pins: frozenset[str] = frozenset()

    def _new_conn(self) -> _Connection:
        connection = super()._new_conn()
        assert isinstance(connection, _Connection)
        connection.pins = self.pins
        return connection

    def _get_conn(self, timeout: float | None = None) -> _Connection:
        connection = super()._get_conn(timeout)
        assert isinstance(connection, _Connection)
        if connection.uses >= USES or time.monotonic() - connection.used_at > IDLE:
            connection.close()
        return connection


def _distrusted(error: BaseException) -> bool:
    causes = (error, error.__cause__, error.__context__)
    return any(isinstance(one, ssl.SSLCertVerificationError) for one in causes)


def _why(error: BaseException) -> str:
    """Return in plain words why a connection did not come about."""
    cause = error.__cause__ or error.__context__ or error
    for one in (error, cause):
        if isinstance(one, ssl.SSLCertVerificationError):
            return (
                f"the certificate is not trusted ({one.verify_message}); "
                "name its CA under tls.ca, or pin it under tls.fingerprints"
            )
        if isinstance(one, NameResolutionError | socket.gaierror):
            return "the name does not resolve"
        if isinstance(one, TimeoutError | OSError) and "timed out" in str(one):
            return "no connection in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(error)


class Transport:
    """Sends single requests: at most `connections` at once, `per_node` of them on one lane."""

    def __init__(self, trust: Trust, connections: int, per_node: int) -> None:
        self._context = trust.context()
        self._pins = trust.pins
        self._connections = connections
        self._per_node = per_node
        self._all = threading.BoundedSemaphore(connections)
        self._lanes: dict[str, threading.BoundedSemaphore] = {}
        self._pools: dict[Origin, _Pool] = {}
        self._lock = threading.Lock()
        self._date = ("", 0.0)

    @property
    def skew(self) -> float | None:
        """Seconds that the last answering server's clock is ahead of ours (whole seconds)."""
        header, at = self._date
        return parsedate_to_datetime(header).timestamp() - int(at) if header else None

    def close(self) -> None:
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def send(
        self,
        origin: Origin,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        timeout: Timeout,
        lane: str,
    ) -> Response:
        """Send one request once. Raises NotSent or Lost."""
        # The lane first: who waits for a busy node must not hold a slot that others could use.
        with self._lane(lane), self._all:
            try:
                answer = self._pool(origin).urlopen(
                    method,
                    target,
                    body,
                    headers,
                    retries=False,
                    redirect=False,
                    timeout=timeout,
                )
            except ReadTimeoutError as error:
                raise Lost("no answer in time", late=True) from error
            except HTTPError as error:
                raise Lost(f"the connection broke ({_why(error)})", late=False) from error
        self._date = (answer.headers.get("date", ""), time.time())
        return Response(answer.status, answer.reason or "", dict(answer.headers), answer.data)

    def _lane(self, name: str) -> threading.BoundedSemaphore:
        with self._lock:
            if name not in self._lanes:
                self._lanes[name] = threading.BoundedSemaphore(self._per_node)
            return self._lanes[name]

    def _pool(self, origin: Origin) -> _Pool:
        with self._lock:
            if origin not in self._pools:
                pool = _Pool(
                    origin.host,
                    origin.port,
                    maxsize=self._connections,
                    ssl_context=self._context,
                    assert_hostname=None if self._context.check_hostname else False,
                )
                pool.pins = self._pins
                self._pools[origin] = pool
            return self._pools[origin]
