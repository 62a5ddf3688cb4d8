"""Mail by SMTP (RFC 5321): TLS verified, signed in, and never sent twice by itself.

Once the text has gone out, a lost answer leaves open whether the server took it (RFC 5321 6.1):
that is Unsure. Before that everything may be tried again.
"""

import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from pathlib import Path

from desired.notices import Mail
from reconciler.notices.channel import SECONDS, Away, Message, Rejected, Undelivered, Unsure
from reconciler.notices.letter import one_line
from state.secret import Secret

POLICY = SMTP.clone(cte_type="7bit")
LONGEST = 300


@dataclass(slots=True)
class Mailer:
    """One mail server; its connection is kept for the next message."""

    mail: Mail
    folder: Path
    resolve: Callable[[str], Secret]
    _link: smtplib.SMTP | None = field(default=None)
    _password: Secret | None = field(default=None)

    def send(self, message: Message, handing: Callable[[], None]) -> str:
        """Hand over one mail; return its Message-ID."""
        written = compose(self.mail, message)
        link = self._link or self._open()
        self._link = None
        done = False
        try:
            self._address(link, message.recipient)
            handing()
            self._deliver(link, written.as_bytes(policy=POLICY))
            done = True
        finally:
            if done:
                self._link = link
            else:
                link.close()
        return str(written["Message-ID"])

    def close(self) -> None:
        if self._link is not None:
            with suppress(OSError, smtplib.SMTPException):
                self._link.quit()
            self._link = None

    def _open(self) -> smtplib.SMTP:
        mail = self.mail
        with ExitStack() as stack:
            try:
                link = self._connected()
                stack.callback(link.close)
                if mail.tls == "starttls":
                    link.starttls(context=self._context())
                if mail.login:
                    self._password = self.resolve(mail.login.password)
                    link.login(mail.login.user, self._password.reveal())
            except (OSError, smtplib.SMTPException, UnicodeError) as error:
                raise Away(f"{mail.host}:{mail.port}: {self._why(error)}") from None
            stack.pop_all()
        return link

    def _connected(self) -> smtplib.SMTP:
        mail, me = self.mail, socket.gethostname()
        if mail.tls == "tls":
            context = self._context()
            return smtplib.SMTP_SSL(mail.host, mail.port, me, timeout=SECONDS, context=context)
        return smtplib.SMTP(mail.host, mail.port, me, timeout=SECONDS)

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(
            cafile=self.folder / self.mail.ca if self.mail.ca else None
        )

    def _address(self, link: smtplib.SMTP, recipient: str) -> None:
        """Say from whom and to whom, up to the server's word that it takes the text."""
        sender = parseaddr(self.mail.sender)[1]
        try:
            link.ehlo_or_helo_if_needed()
            self._judge(link.mail(sender), (250,))
            self._judge(link.rcpt(recipient), (250, 251))
            self._judge(link.docmd("DATA"), (354,))
        except (OSError, smtplib.SMTPException) as error:
            raise Away(f"{self.mail.host}: {self._why(error)}") from None

    def _deliver(self, link: smtplib.SMTP, text: bytes) -> None:
        """Send the text and its end, and hear what the server says."""
        lines = text.replace(b"\r\n.", b"\r\n..")
        lines = b"." + lines if lines.startswith(b".") else lines
        end = b".\r\n" if lines.endswith(b"\r\n") else b"\r\n.\r\n"
        try:
            link.send(lines + end)
            answer = link.getreply()
        except (OSError, smtplib.SMTPException) as error:
            raise Unsure(
                f"{self.mail.host}: the answer to the mail was lost ({self._why(error)})"
            ) from None
        self._judge(answer, (250,))

    def _judge(self, answer: tuple[int, bytes], wanted: tuple[int, ...]) -> None:
        code, said = answer
        if code in wanted:
            return
        text = f"{self.mail.host}: {code} {self._plain(said)}"
        if code == 421:
            raise Away(text)
        if 500 <= code < 600:
            raise Rejected(text)
        raise Undelivered(text)

    def _why(self, error: Exception) -> str:
        if isinstance(error, smtplib.SMTPResponseException):
            return f"{error.smtp_code} {self._plain(error.smtp_error)}"
        if isinstance(error, TimeoutError):
            return f"no answer within {SECONDS:g} s"
        return self._plain(str(error)) or type(error).__name__

    def _plain(self, said: bytes | str) -> str:
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        if self._password:
            text = text.replace(self._password.reveal(), "***")
        return one_line(text)[:LONGEST]


def compose(mail: Mail, message: Message) -> EmailMessage:
    """Return the mail; a header that would break out of its line raises ValueError."""
    written = EmailMessage(policy=POLICY)
    domain = parseaddr(mail.sender)[1].rpartition("@")[2]
    written["From"] = mail.sender
    written["To"] = message.recipient
    written["Subject"] = message.words.subject
    written["Date"] = message.date
    written["Message-ID"] = f"<{message.token}@{domain}>"
    written["Auto-Submitted"] = "auto-generated"
    if message.thread and message.thread != message.token:
        written["In-Reply-To"] = written["References"] = f"<{message.thread}@{domain}>"
    written.set_content(message.words.text)
    if message.words.html:
        written.add_alternative(message.words.html, subtype="html")
    return written
