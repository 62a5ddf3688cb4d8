"""A real SMTP server (aiosmtpd): TLS, logins, and the ways in which mail goes wrong."""

import socket
import ssl
from asyncio import Transport
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import IPv4Address
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "127.0.0.1"


@dataclass
class Post:
    """What came in. `rcpt` answers a recipient, `data` a mail; `lose` hangs up in its place."""

    mails: list[EmailMessage] = field(default_factory=list)
    rcpt: Callable[[str], str] = lambda address: "250 OK"
    data: Callable[[], str] = lambda: "250 taken"
    lose: bool = False
    meanwhile: Callable[[], None] = lambda: None

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.rcpt(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = self.data()
        self.meanwhile()
        if answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            mail = message_from_bytes(content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
        if self.lose:
            assert isinstance(server.transport, Transport)
            server.transport.abort()
        return answer


class MailServer:
    """A server on a free port; `tls` is starttls, tls or none. `ca` verifies its certificate."""

    def __init__(self, folder: Path, tls: str = "none", login: tuple[str, str] | None = None):
        self.post = Post()
        self.ca = folder / "mail-ca.pem"
        context = _context(folder) if tls != "none" else None
        options: dict[str, object] = {"hostname": HOST, "port": free_port()}
        if tls == "tls":
            options["ssl_context"] = context
        elif tls == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        if login:
            sure = tls == "starttls"
            options |= {"authenticator": _accepts(login), "auth_required": sure}
            options |= {"auth_require_tls": sure}
        self._controller = Controller(self.post, **options)  # type: ignore[arg-type]
        self._controller.start()
        self.port = self._controller.port

    def close(self) -> None:
        self._controller.stop()

    def __enter__(self) -> "MailServer":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """The text or html of a mail, with plain line ends."""
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def _accepts(login: tuple[str, str]) -> Callable[..., AuthResult]:
    def check(server: SMTP, session: Session, envelope: Envelope, how: str, data: object):  # type: ignore[no-untyped-def]
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == login, handled=False)

    return check


def _context(folder: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "mail-ca.pem", folder / "mail-key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context
