"""The simulator's own certificate, and TLS over a plain asyncio transport.

TLS is done by hand with memory buffers, since the first byte decides whether a client speaks TLS
at all: Proxmox answers plain HTTP on its TLS port with a 301.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import os
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.sim.http.connection import Connection
from reconciler.sim.http.door import Door
from reconciler.sim.http.reply import moved

HANDSHAKE = 0x16
CHUNK = 65536
VALID_DAYS = 3650
NAME = "reconcile simulated cluster"


def make_certificate() -> bytes:
    """A fresh self-signed certificate with its key, as PEM."""
    # imported here: it takes longer than everything else of a start, and is seldom needed
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return pem + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def stored_certificate(path: Path) -> bytes:
    """The PEM kept at `path`; made and stored (mode 0600) when it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pem = make_certificate()
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(pem)
        fresh.replace(path)
        return pem


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the certificate as Proxmox writes it: upper-case pairs with colons."""
    text = pem.decode()
    end = "-----END CERTIFICATE-----"
    der = ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)])
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[n : n + 2] for n in range(0, len(digest), 2))


def server_context(pem: bytes) -> ssl.SSLContext:
    """A TLS server with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    handle, name = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(pem)
        context.load_cert_chain(name)
    finally:
        os.unlink(name)
    return context


class TlsConnection(asyncio.Protocol):
    """One TCP connection to a node: TLS around an HTTP connection, or a redirect for plain HTTP.

    A dead node breaks the connection at the next byte in either direction, a silent one swallows
    what it is sent.
    """

    def __init__(
        self, door: Door, context: ssl.SSLContext, loop: asyncio.AbstractEventLoop, via: str
    ) -> None:
        self.door = door
        self.via = via
        self.loop = loop
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.transport: asyncio.Transport | None = None
        self.http: Connection | None = None
        self.begun = False
        self.plain = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._dead()

    def _dead(self) -> bool:
        """Whether the node is dead; the connection is then broken unless it is silent."""
        node = self.door.node(self.via)
        if node is None or node.online:
            return False
        if not node.silent:
            self.abort()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.http is not None:
            self.http.lost()

    def data_received(self, data: bytes) -> None:
        if self._dead():
            return
        if not self.begun:
            self.begun = True
            if data[0] != HANDSHAKE:
                self.plain = data
        if self.plain:
            self._redirect()
            return
        self.incoming.write(data)
        try:
            if self.http is None and not self._handshake():
                return
            self._read()
        except ssl.SSLError:
            self.abort()

    def _redirect(self) -> None:
        lines = self.plain.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        url = words[1] if len(words) > 2 and words[1].startswith("/") else "/"
        host = next((one[5:].strip() for one in lines if one.lower().startswith("host:")), "")
        if self.transport is not None:
            self.transport.write(moved(words[0], host or "localhost", url))
            self.transport.close()

    def _handshake(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        self._flush()
        self.http = Connection(self.door, self, self.loop, self.via)
        return True

    def _read(self) -> None:
        while self.http is not None and self.transport is not None:
            try:
                data = self.tls.read(CHUNK)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            if not data:
                self.close()
                break
            self.http.feed(data)
        self._flush()

    def _flush(self) -> None:
        if self.outgoing.pending and self.transport is not None:
            self.transport.write(self.outgoing.read())

    # ------------------------------------------------------------------ the HTTP side's writer

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self._dead():
            self.tls.write(data)
            self._flush()

    def close(self) -> None:
        if self.transport is not None:
            # unwrap sends our close notice and wants the client's, which need not be waited for
            with contextlib.suppress(ssl.SSLError):
                self.tls.unwrap()
            self._flush()
            self.transport.close()
            self.transport = None

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
