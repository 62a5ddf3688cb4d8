"""How far each notice comes: retries, channels that are away, kills, and what nobody can say."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.notices.channel import Message
from reconciler.notices.deliver import resend
from reconciler.notices.events import take_up
from state.store import Store
from tests.engine import AT, HandClock
from tests.reconciler.notices.post import begun, fleet_with, only, post, run, states
from tests.servers.mail import MailServer, free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    with MailServer(tmp_path) as running:
        yield running


def mail_of(port: int, **more: object) -> dict[str, object]:
    mail = {"host": "127.0.0.1", "port": port, "tls": "none", "from": "vps@example.net"}
    return {"channels": {"mail": {"mail": mail}}, "contact": "jane@example.org", **more}


def told(store: Store, event: str = "vm_ready", **detail: object) -> None:
    store.outbox.add(event, "web-1", AT, detail)  # type: ignore[arg-type]


def test_note_01_each_event_is_told_once_however_often_it_runs(server: MailServer) -> None:
    """NOTE-01, CP-14"""
    fleet, clock = fleet_with(mail_of(server.port)), HandClock()
    with begun() as store:
        for event in ("vm_ready", "vm_changed", "password_reset", "backup_restored"):
            told(store, event)
        for _ in range(3):
            run(store, fleet, clock)
        kinds = ["ready", "upgrade", "password_reset", "backup_restored"]
        assert states(store) == [(kind, "sent") for kind in kinds]
    assert len(server.post.mails) == 4


def test_a_kind_may_be_sent_to_nobody(server: MailServer) -> None:
    """NOTE-01: each may be "none"."""
    fleet = fleet_with(mail_of(server.port, send={"ready": "none"}))
    with begun() as store:
        told(store)
        run(store, fleet, HandClock())
        assert states(store) == [] and store.outbox.waiting() == ()


def test_without_an_address_there_is_nobody_to_mail_to(server: MailServer) -> None:
    with begun() as store:
        told(store, "drift")
        run(store, fleet_with(mail_of(server.port)), HandClock())
        assert states(store) == []


def test_what_is_too_old_is_told_to_nobody(server: MailServer) -> None:
    clock = HandClock(AT + timedelta(days=4))
    with begun() as store:
        told(store)
        assert take_up(store, fleet_with(mail_of(server.port)), clock.at).stale == 1
        assert states(store) == []


def test_q_04_a_refusal_for_now_is_tried_five_times(server: MailServer) -> None:
    """Q-04"""
    fleet, clock = fleet_with(mail_of(server.port)), HandClock()
    tries: list[int] = []

    def later(address: str) -> str:
        tries.append(1)
        return "450 later"

    server.post.rcpt = later
    with begun() as store:
        told(store)
        for _ in range(200):
            run(store, fleet, clock)
            clock.sleep(60)
        assert len(tries) == 5
        assert only(store).state == "failed"
        assert "450 later (attempt 5, the last)" in only(store).error
        assert store.attempts.of("notice/1") == {}
        server.post.rcpt = lambda address: "250 OK"
        assert resend(store, only(store), clock.at)
        assert not resend(store, only(store), clock.at)
        run(store, fleet, clock)
        assert only(store).state == "sent"


def test_a_refusal_for_good_is_not_tried_again(server: MailServer) -> None:
    server.post.rcpt = lambda address: "550 nobody here"
    with begun() as store:
        told(store)
        done = run(store, fleet_with(mail_of(server.port)), HandClock())
        assert only(store).state == "failed"
        assert "reconcile notices resend 1" in done.troubles[0]


def test_a_channel_that_is_away_costs_no_notice_its_attempts(server: MailServer) -> None:
    """One attempt a run, however many notices wait; none of them is given up."""
    clock, away = HandClock(), fleet_with(mail_of(free_port()))
    with begun() as store:
        told(store)
        told(store, "vm_changed")
        for _ in range(100):
            done = run(store, away, clock)
            assert len(done.troubles) <= 1
            clock.sleep(300)
        assert [state for _, state in states(store)] == ["waiting", "waiting"]
        clock.sleep(7200)
        run(store, fleet_with(mail_of(server.port)), clock)
        assert [state for _, state in states(store)] == ["sent", "sent"]
        assert store.attempts.of("channel/mail") == {}


def test_a_lost_answer_is_held_for_a_person(server: MailServer) -> None:
    server.post.lose = True
    fleet, clock = fleet_with(mail_of(server.port)), HandClock()
    with begun() as store:
        told(store)
        for _ in range(3):
            run(store, fleet, clock)
            clock.sleep(7200)
        assert only(store).state == "held"
    assert len(server.post.mails) == 1


@pytest.mark.parametrize(("left", "ends"), [("claimed", "sent"), ("handing", "held")])
def test_what_a_killed_run_left_is_sent_only_if_it_surely_was_not(
    server: MailServer, left: str, ends: str
) -> None:
    fleet, clock = fleet_with(mail_of(server.port)), HandClock()
    with begun() as store:
        told(store)
        take_up(store, fleet, AT)
        assert store.notices.move(only(store), left, AT)  # type: ignore[arg-type]
        run(store, fleet, clock)
        assert only(store).state == ends
    assert len(server.post.mails) == (ends == "sent")


def test_a_channel_that_was_taken_out_fails_what_waits_for_it(server: MailServer) -> None:
    fleet, clock = fleet_with(mail_of(server.port)), HandClock()
    with begun() as store:
        told(store)
        take_up(store, fleet, AT)
        run(store, fleet_with({}), clock)
        assert "no channel mail any more" in only(store).error


def test_what_waited_for_three_days_is_given_up(server: MailServer) -> None:
    fleet = fleet_with(mail_of(server.port))
    with begun() as store:
        told(store)
        take_up(store, fleet, AT)
        run(store, fleet, HandClock(AT + timedelta(days=4)))
        assert only(store).state == "failed"
        resend(store, only(store), AT)
        run(store, fleet, HandClock(AT + timedelta(days=4)))
        assert only(store).state == "sent"


def test_once_the_time_is_out_nothing_is_begun(server: MailServer) -> None:
    fleet = fleet_with(mail_of(server.port))
    with begun() as store:
        told(store)
        take_up(store, fleet, AT)
        late = post(store, fleet, HandClock())
        late.out_of_time = lambda: True
        late.go()
        assert only(store).state == "waiting"


def test_a_letter_that_fails_is_told_and_not_repeated(server: MailServer) -> None:
    letters = {"ready.txt.j2": "Subject: x\n\n{{ addresses[7] }}\n"}
    with begun() as store:
        told(store)
        run(store, fleet_with(mail_of(server.port), letters=letters), HandClock())
        assert (only(store).state, server.post.mails) == ("failed", [])
        assert "ready.txt.j2" in only(store).error


def test_a_secret_that_is_missing_is_the_channels_trouble(tmp_path: Path) -> None:
    login = {"user": "x", "password": "file:none"}
    with MailServer(tmp_path, "starttls", ("x", "y")) as server:
        mail = {"host": "127.0.0.1", "port": server.port, "from": "v@x.net", "ca": "mail-ca.pem"}
        notices: dict[str, object] = {
            "channels": {"mail": {"mail": {**mail, "login": login}}},
            "contact": "a@b.net",
        }
        with begun() as store:
            told(store)
            done = run(store, fleet_with(notices, tmp_path), HandClock())
            assert only(store).state == "waiting"
            assert "file:none" in done.troubles[0]


@pytest.mark.parametrize(("handed", "ends"), [(False, "failed"), (True, "held")])
def test_a_defect_of_one_notice_keeps_no_other_back(
    server: MailServer, handed: bool, ends: str
) -> None:
    class Broken:
        """A sender with a defect."""

        def send(self, message: Message, handing: Callable[[], None]) -> str:
            if handed:
                handing()
            raise RuntimeError("defect")

        def close(self) -> None:
            return

    notices = mail_of(server.port)
    fleet = fleet_with({**notices, "send": {"ready": ["mail"]}})
    with begun() as store:
        told(store)
        told(store, "vm_changed")
        take_up(store, fleet, AT)
        made = post(store, fleet, HandClock())
        made._senders["mail"] = Broken()
        made.go()
        assert [state for _, state in states(store)] == [ends, ends]
        assert only_error(store) == "RuntimeError: defect"


def only_error(store: Store) -> str:
    (error,) = {one.error for one in store.notices.newest(9)}
    return error
