"""Mail on a real server: TLS, login, refusals, lost answers, and what stands in the headers."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from desired.notices import Mail
from reconciler.notices.channel import Away, Rejected, Undelivered, Unsure
from reconciler.notices.letter import Words
from reconciler.notices.mail import Mailer, compose
from state.secret import Secret
from tests.reconciler.notices.post import TOKEN, message
from tests.servers.mail import MailServer, free_port, text_of


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    with MailServer(tmp_path) as running:
        yield running


def mailer(server: MailServer, folder: Path, **fields: object) -> Mailer:
    plain = {"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "VPS <vps@x.net>"}
    mail = Mail.model_validate(plain | fields)
    return Mailer(mail, folder, lambda reference: Secret("s3cret pässword"))


def nothing() -> None:
    return


def sent(server: MailServer, folder: Path, **fields: object) -> None:
    with closing(mailer(server, folder)) as sender:
        sender.send(message(**fields), nothing)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_goes_over_verified_tls_with_a_login(tmp_path: Path, tls: str) -> None:
    """NOTE-01"""
    login = {"user": "fleet", "password": "env:P"}
    with MailServer(tmp_path, tls, ("fleet", "s3cret")) as server:
        sender = mailer(server, tmp_path, tls=tls, ca="mail-ca.pem", login=login)
        sender.resolve = lambda reference: Secret("s3cret")
        said = sender.send(message(), nothing)
        sender.send(message(token="second"), nothing)
        sender.close()
    assert said == f"<{TOKEN}@x.net>"
    assert [mail["Message-ID"] for mail in server.post.mails] == [said, "<second@x.net>"]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path, tls: str) -> None:
    with MailServer(tmp_path, tls) as server:
        with pytest.raises(Away, match=r"(?i)certificate"):
            mailer(server, tmp_path, tls=tls).send(message(), nothing)
        assert server.post.mails == []


def test_without_starttls_nothing_is_said_in_clear(server: MailServer, tmp_path: Path) -> None:
    with pytest.raises(Away, match="STARTTLS"):
        mailer(server, tmp_path, tls="starttls").send(message(), nothing)
    assert server.post.mails == []


def test_a_wrong_password_shows_up_in_no_message(tmp_path: Path) -> None:
    login = {"user": "fleet", "password": "env:P"}
    with MailServer(tmp_path, "starttls", ("fleet", "other")) as server:
        sender = mailer(server, tmp_path, tls="starttls", ca="mail-ca.pem", login=login)
        sender.resolve = lambda reference: Secret("wr0ng")
        with pytest.raises(Away, match="535") as seen:
            sender.send(message(), nothing)
    assert "wr0ng" not in str(seen.value)


def test_what_is_sent_is_text_and_html_and_dots_stay(server: MailServer, tmp_path: Path) -> None:
    sent(server, tmp_path)
    (mail,) = server.post.mails
    assert (mail["From"], mail["To"]) == ("VPS <vps@x.net>", "jane@example.org")
    assert mail["Subject"] == "Your server is ready"
    assert text_of(mail) == "It is\n.ready\n"
    assert "<p>It is</p>" in text_of(mail, "html")
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_text_that_begins_with_a_dot_arrives_whole(server: MailServer, tmp_path: Path) -> None:
    words = Words("Grüße", ".\n..\nä\n.\n")
    sent(server, tmp_path, words=words)
    (mail,) = server.post.mails
    assert mail["Subject"] == "Grüße"
    assert text_of(mail) == ".\n..\nä\n.\n"


def test_mails_of_a_ticket_are_one_thread(server: MailServer, tmp_path: Path) -> None:
    """Q-06"""
    sender = mailer(server, tmp_path)
    sender.send(message(token="first", thread="first", step="open"), nothing)
    sender.send(message(token="second", thread="first", step="append"), nothing)
    sender.close()
    first, second = server.post.mails
    assert first["References"] is None
    assert second["References"] == second["In-Reply-To"] == first["Message-ID"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [("550 no such user", Rejected), ("450 later", Undelivered), ("421 going down", Away)],
)
def test_a_refused_recipient_was_surely_not_told(
    server: MailServer, tmp_path: Path, answer: str, error: type[Exception]
) -> None:
    handed: list[int] = []
    server.post.rcpt = lambda address: answer
    with pytest.raises(error, match=answer[:3]):
        mailer(server, tmp_path).send(message(), lambda: handed.append(1))
    assert (handed, server.post.mails) == ([], [])


@pytest.mark.parametrize(("answer", "error"), [("554 spam", Rejected), ("451 later", Undelivered)])
def test_a_refused_text_was_surely_not_taken(
    server: MailServer, tmp_path: Path, answer: str, error: type[Exception]
) -> None:
    handed: list[int] = []
    server.post.data = lambda: answer
    with pytest.raises(error, match=answer[:3]):
        mailer(server, tmp_path).send(message(), lambda: handed.append(1))
    assert (handed, server.post.mails) == ([1], [])


def test_a_lost_answer_leaves_open_whether_it_was_taken(server: MailServer, tmp_path: Path) -> None:
    server.post.lose = True
    with pytest.raises(Unsure, match="was lost"):
        mailer(server, tmp_path).send(message(), nothing)
    assert len(server.post.mails) == 1


def test_where_nobody_listens_nobody_is_there(server: MailServer, tmp_path: Path) -> None:
    with pytest.raises(Away, match="refused"):
        mailer(server, tmp_path, port=free_port()).send(message(), nothing)


def test_a_header_cannot_be_broken_out_of() -> None:
    mail = Mail.model_validate({"host": "h", "from": "vps@x.net"})
    evil = message(words=Words("a\r\nBcc: all@example.net", "x"))
    with pytest.raises(ValueError, match="linefeed"):
        compose(mail, evil)
    with pytest.raises(ValueError):
        compose(mail, message(recipient="a@b.c\nBcc: d@e.f"))
