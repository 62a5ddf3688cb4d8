"""A generated password is delivered once (C-17), and services that apprise knows are told."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from desired.source import Fleet
from state.secret import Secret
from state.store import Store
from tests.engine import AT, HandClock
from tests.reconciler.notices.post import begun, fleet_with, only, run, states
from tests.reconciler.notices.test_deliver import told
from tests.servers.mail import MailServer, free_port, text_of
from tests.servers.web import Told, Web

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    with MailServer(tmp_path) as running:
        yield running


def fleet_of(server: MailServer, **more: object) -> Fleet:
    mail = {"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "vps@example.net"}
    channels = {"mail": {"mail": mail}, "other": {"mail": mail}}
    send = {"ready": ["mail", "other"], "password_reset": "mail"}
    plain = {"contact": "jane@example.org", "password": True, "send": send}
    return fleet_with({"channels": channels, **plain, **more})


def keep(store: Store, use: str = "password", text: str = "s3cret") -> None:
    store.vault.keep("web-1", use, Secret(text))


def holding(server: MailServer, text: str = "s3cret") -> int:
    return sum(text in text_of(mail) for mail in server.post.mails)


def test_c_17_a_password_stands_in_one_notice_and_in_no_other(server: MailServer) -> None:
    """C-17"""
    with begun() as store:
        keep(store)
        told(store)
        run(store, fleet_of(server), HandClock())
        assert [state for _, state in states(store)] == ["sent", "sent"]
        assert (len(server.post.mails), holding(server)) == (2, 1)
        assert not store.vault.shown("web-1", "password", AT)


def test_c_17_another_attempt_of_the_same_notice_holds_it_still(server: MailServer) -> None:
    """C-17: what was refused was not delivered."""
    clock = HandClock()
    server.post.data = lambda: "451 later"
    with begun() as store:
        keep(store)
        told(store)
        run(store, fleet_of(server, send={"ready": "mail"}), clock)
        assert (only(store).state, only(store).carries) == ("waiting", "password")
        clock.sleep(200)
        server.post.data = lambda: "250 OK"
        run(store, fleet_of(server, send={"ready": "mail"}), clock)
    assert holding(server) == 1


@pytest.mark.parametrize("more", [{"password": False}, {"templates": {"ready": "upgrade"}}])
def test_c_17_a_password_that_is_not_to_be_mailed_stays(
    server: MailServer, more: dict[str, object]
) -> None:
    """C-17: neither unasked nor by a letter that does not use it."""
    with begun() as store:
        keep(store)
        told(store)
        run(store, fleet_of(server, **more), HandClock())
        assert holding(server) == 0
        assert store.vault.shown("web-1", "password", AT)


def test_c_17_one_that_was_shown_before_is_in_no_notice(server: MailServer) -> None:
    """C-17"""
    with begun() as store:
        keep(store)
        store.vault.shown("web-1", "password", AT)
        told(store)
        run(store, fleet_of(server), HandClock())
    assert (len(server.post.mails), holding(server)) == (2, 0)


def test_a_reset_password_is_that_of_its_user(server: MailServer) -> None:
    """C-17"""
    with begun() as store:
        keep(store, "password:ann", "anns0wn")
        keep(store)
        told(store, "password_reset", user="ann")
        run(store, fleet_of(server), HandClock())
        assert store.vault.shown("web-1", "password", AT)
    assert (holding(server, "anns0wn"), holding(server)) == (1, 0)


def apprised(monkeypatch: pytest.MonkeyPatch, url: str) -> Fleet:
    monkeypatch.setenv("CHAT", url)
    return fleet_with({"channels": {"chat": {"apprise": {"urls": ["env:CHAT"]}}}})


def test_a_service_is_told_by_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Web(lambda asked: Told(200))) as web, begun() as store:
        told(store)
        fleet, clock = apprised(monkeypatch, web.url.replace("http", "json")), HandClock()
        web.odd = Told(500)
        run(store, fleet, clock)
        assert "did not deliver" in only(store).error
        web.odd = None
        clock.sleep(120)
        run(store, fleet, clock)
        assert (only(store).state, only(store).recipient) == ("sent", "url 1")
        assert json.loads(web.asked[-1].body)["title"] == "Your server web-1 is ready"


def test_a_service_that_there_is_not_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with begun() as store:
        told(store)
        run(store, apprised(monkeypatch, "nonsense://x"), HandClock())
        assert "apprise knows no such service" in only(store).error
        store.notices.move(only(store), "waiting", AT)
        more = replace(only(store), recipient="url 2", occurrence="more", id=0)
        told(store, "vm_changed")
        store.notices.expand(store.outbox.waiting()[0], [more], AT)
        run(store, apprised(monkeypatch, f"json://127.0.0.1:{free_port()}"), HandClock())
        assert "there is no url 2 any more" in store.notices.newest(1)[0].error


def test_without_apprise_its_channel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setitem(sys.modules, "apprise", None)
    with begun() as store:
        told(store)
        done = run(store, apprised(monkeypatch, "json://x"), HandClock())
        assert "pip install 'pve-reconcile[apprise]'" in done.troubles[0]
        assert only(store).state == "waiting"
