"""`reconcile notices`: list, show, preview, test, resend."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import click.testing
import pytest
from click.testing import CliRunner

from reconciler.cli import cli
from reconciler.cli.opening import now
from reconciler.cli.settings import EXIT_FAILED
from state.notices import Notice
from state.secret import Secret
from state.store import Store
from state.tickets import Ticket
from tests.engine import AT
from tests.servers.mail import MailServer, free_port

WRONG_WORD = click.UsageError.exit_code

FLEET = """\
fleet: demo
clusters: {demo: {simulated: {nodes: 1}}}
defaults: {cluster: demo, template: debian, domain: example.net}
templates: {debian: {demo: [9000]}}
notices:
  contact: jane@example.org
  password: true
  channels:
    mail: {mail: {host: 127.0.0.1, port: PORT, tls: none, from: vps@example.net}}
    desk: {webhook: {url: "http://127.0.0.1:FREE/x"}}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    with MailServer(tmp_path) as running:
        yield running


@pytest.fixture
def fleet(tmp_path: Path, server: MailServer) -> Path:
    text = FLEET.replace("PORT", str(server.port)).replace("FREE", str(free_port()))
    (tmp_path / "vms").mkdir()
    (tmp_path / "fleet.yaml").write_text(text)
    vm = "web-1: {cloudinit: {user: ops, password: generate}}\n"
    (tmp_path / "vms" / "web.yaml").write_text(vm)
    with Store.open(str(tmp_path / "n.db"), at=AT) as store:
        store.notices.begin(AT)
        store.vault.keep("web-1", "password", Secret("s3cret"))
        told = Notice(0, "o", "ready", "vm_ready", "web-1", "mail", "jane@example.org", now())
        ticket = Ticket(0, "c", 0, "mail", "It is down", "m", ("web-1",), "", now())
        store.tickets.open(ticket, told)
    return tmp_path


def call(folder: Path, *words: str) -> "click.testing.Result":
    place = ["--fleet", str(folder), "--database", str(folder / "n.db")]
    return CliRunner().invoke(cli, [*place, "notices", *words])


def test_list_shows_how_far_each_has_come_and_what_is_open(fleet: Path) -> None:
    text = call(fleet, "list").output
    assert "waiting" in text and "mail: jane@example.org" in text
    assert "Open tickets:" in text and "It is down" in text
    found = json.loads(call(fleet, "list", "--output", "json").output)
    assert [one["state"] for one in found["notices"]] == ["waiting"]
    assert found["tickets"][0]["closed_at"] is None
    assert "no notices" in call(fleet, "list", "--state", "held").output


def test_show_tells_all_of_one(fleet: Path) -> None:
    assert "jane@example.org" in call(fleet, "show", "1").output
    assert json.loads(call(fleet, "show", "1", "--output", "json").output)["notice"]["id"] == 1
    missing = call(fleet, "show", "9")
    assert missing.exit_code == EXIT_FAILED and "no notice 9" in missing.output


def test_c_17_a_preview_shows_the_words_but_no_password(fleet: Path) -> None:
    """C-17"""
    text = call(fleet, "preview", "ready", "web-1").output
    assert "To:      mail: jane@example.org" in text
    assert "Subject: Your server web-1 is ready" in text
    assert "Password:  ***" in text and "s3cret" not in text
    html = call(fleet, "preview", "vm_ready", "web-1", "--html").output
    assert "<!doctype html>" in html
    found = json.loads(call(fleet, "preview", "drift", "web-1", "--output", "json").output)
    assert found["to"] == "nobody"
    with Store.open(str(fleet / "n.db"), at=AT) as store:
        assert store.vault.shown("web-1", "password", AT)


@pytest.mark.parametrize("word", ["birthday", "vm_dreams"])
def test_what_is_no_notice_is_a_wrong_word(fleet: Path, word: str) -> None:
    done = call(fleet, "preview", word, "web-1")
    assert done.exit_code == WRONG_WORD and "there is welcome, ready" in done.output


def test_a_channel_is_tried_at_once(fleet: Path, server: MailServer) -> None:
    done = call(fleet, "test", "mail", "--to", "me@example.net")
    assert done.exit_code == 0 and "taken: <test-" in done.output
    (mail,) = server.post.mails
    assert (mail["To"], mail["Subject"]) == ("me@example.net", "[demo] test of the channel mail")
    away = call(fleet, "test", "desk", "--output", "json")
    assert away.exit_code == EXIT_FAILED and not json.loads(away.output)["taken"]
    assert call(fleet, "test", "mail").exit_code == WRONG_WORD
    assert call(fleet, "test", "post").exit_code == WRONG_WORD


def test_what_was_given_up_is_sent_again_by_the_next_run(fleet: Path) -> None:
    assert "under way" in call(fleet, "resend", "1").output
    with Store.open(str(fleet / "n.db"), at=AT) as store:
        (one,) = store.notices.in_state("waiting")
        store.notices.move(one, "failed", AT, "no")
    assert "(failed" not in call(fleet, "list").output
    assert "  no" in call(fleet, "list").output
    assert call(fleet, "resend", "1").exit_code == 0
    assert call(fleet, "resend", "9").exit_code == EXIT_FAILED
    with Store.preview(str(fleet / "n.db"), at=AT) as store:
        assert [one.state for one in store.notices.newest(9)] == ["waiting"]
