"""Tickets: one for each cause, notes as more fail alike, closed on recovery."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from desired.source import Fleet
from reconciler.notices.causes import causes
from reconciler.notices.tickets import Desk
from state.conditions import Condition
from state.memory import Binding, Phase
from state.queue import QueueJob
from state.store import Store
from tests.engine import AT, HandClock
from tests.reconciler.notices.post import begun, fleet_with, post
from tests.servers.mail import MailServer, text_of
from tests.servers.web import Told, Web

LATER = AT + timedelta(hours=1)
REACH = "cluster demo: no endpoint answers"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    with MailServer(tmp_path) as running:
        yield running


def fleet_of(server: MailServer) -> Fleet:
    mail = {"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "vps@example.net"}
    tickets = {"channel": "mail", "to": "desk@example.net", "department": "ops"}
    return fleet_with({"channels": {"mail": {"mail": mail}}, "tickets": tickets})


def stand(store: Store, keys: Sequence[str], kind: str = "Unknown", text: str = REACH) -> None:
    for key in keys:
        found = [Condition(key, kind, True, "look", text, AT)] if text else []
        store.conditions.replace(key, found)


def bind(store: Store, count: int) -> list[str]:
    keys = [f"vm-{number}" for number in range(count)]
    for number, key in enumerate(keys):
        store.bindings.bind(Binding(key, "demo", 200 + number, key, uuid=f"u{number}"))
    return keys


def tend(store: Store, fleet: Fleet, at: datetime = LATER) -> Desk:
    """One run of the loop, as far as tickets go."""
    assert fleet.notices.tickets is not None
    desk = Desk(store, fleet, fleet.notices.tickets, at)
    desk.go()
    desk.ask([one for one in store.outbox.waiting() if one.event == "rdns_ticket"])
    made = post(store, fleet, HandClock(at))
    made.recover()
    made.go()
    return desk


def test_q_06_a_cluster_that_is_down_is_one_ticket(server: MailServer) -> None:
    """Q-06: 500 VMs, one cause; who fails later is a note, and recovery closes it."""
    fleet = fleet_of(server)
    with begun() as store:
        keys = bind(store, 500)
        stand(store, keys[:400])
        for _ in range(3):
            tend(store, fleet)
        stand(store, keys[400:])
        tend(store, fleet, LATER + timedelta(minutes=1))
        stand(store, keys[:10], text="")
        tend(store, fleet, LATER + timedelta(minutes=2))
        stand(store, keys, text="")
        tend(store, fleet, LATER + timedelta(minutes=3))
        (ticket,) = store.tickets.all()
        assert ticket.closed_at is not None
    first, note, end = server.post.mails
    assert first["Subject"] == "[demo] vm-0 and 399 others cannot be reached (demo)"
    assert REACH in text_of(first) and "and 380 more" in text_of(first)
    assert "Now also: vm-400" in text_of(note) and "Nothing fails" in text_of(end)
    assert note["References"] == end["References"] == first["Message-ID"]


def test_what_is_over_soon_is_no_failure(server: MailServer) -> None:
    with begun() as store:
        keys = bind(store, 1)
        stand(store, keys, "StartFailed", "no memory")
        stand(store, ["gone-1"], "StartFailed", "no memory")
        assert causes(store, fleet_of(server), AT + timedelta(minutes=5), 900) == {}
        assert len(causes(store, fleet_of(server), LATER, 900)) == 1


def test_two_reasons_are_two_tickets_and_numbers_make_no_difference(server: MailServer) -> None:
    with begun() as store:
        bind(store, 3)
        for number in range(2):
            stand(store, [f"vm-{number}"], "StartFailed", f"vm {200 + number}: no memory")
        stand(store, ["vm-2"], "StartFailed", "storage fast is away")
        found = causes(store, fleet_of(server), LATER, 900)
        assert sorted(one.subjects for one in found.values()) == [("vm-0", "vm-1"), ("vm-2",)]


def test_an_end_that_failed_and_work_that_was_given_up_are_failures(server: MailServer) -> None:
    """Q-06"""
    fleet = fleet_of(server)
    with begun() as store:
        bind(store, 1)
        binding = store.bindings.all()["vm-0"]
        store.bindings.change(replace(binding, phase=Phase.ERROR_TERMINATE))
        store.outbox.add("terminate_failed", "vm-0", AT, {"text": "vm-0: disk busy"})
        job = store.queue.add(QueueJob(0, "", None, "demo", "pve1", "POST", "/x", added_at=AT))
        claimed = store.queue.claim(job, AT, "pve1")
        assert claimed is not None and store.queue.give_up(claimed, AT, "500 no")
        tend(store, fleet)
        subjects = {one.subject for one in store.tickets.all()}
        assert subjects == {
            "[demo] vm-0 cannot be ended (demo)",
            "[demo] POST /x has work that was given up (demo)",
        }
        store.bindings.change(binding)
        tend(store, fleet)
        assert len(store.tickets.standing()) == 1


def test_a_cause_that_comes_back_is_another_ticket(server: MailServer) -> None:
    fleet = fleet_of(server)
    with begun() as store:
        keys = bind(store, 1)
        for minute in range(2):
            stand(store, keys)
            tend(store, fleet, LATER + timedelta(minutes=2 * minute))
            stand(store, keys, text="")
            tend(store, fleet, LATER + timedelta(minutes=2 * minute + 1))
        assert [one.number for one in store.tickets.all()] == [2, 1]
    assert len({mail["Message-ID"] for mail in server.post.mails}) == 4


def test_dns_11_a_reverse_name_is_asked_for_once(server: MailServer) -> None:
    """DNS-11: the ticket stays until somebody closes it in the help desk."""
    fleet = fleet_of(server)
    detail = {"address": "192.0.2.9", "name": "web-1.example.net", "department": "network"}
    with begun() as store:
        store.outbox.add("rdns_ticket", "web-1", AT, detail)
        for _ in range(3):
            tend(store, fleet)
        (ticket,) = store.tickets.all()
        assert (ticket.department, ticket.closed_at) == ("network", None)
    (mail,) = server.post.mails
    assert mail["Subject"] == "[demo] Reverse name of 192.0.2.9: web-1.example.net"
    assert "192.0.2.9 to web-1.example.net (VM web-1)" in text_of(mail)


def test_a_help_desk_is_told_by_the_id_that_it_gave() -> None:
    """Q-06: while the ticket cannot be opened, nothing is added to it."""
    web = Web(lambda asked: Told(201, {"id": 7}))
    request = {"url": "/t/{{ ticket }}", "body": {"text": "{{ text }}"}}
    ticket = {"create": {"url": "/t"}, "append": request, "close": request}
    desk = {"webhook": {"url": web.url, "ticket": ticket}}
    fleet = fleet_with({"channels": {"desk": desk}, "tickets": {"channel": "desk"}})
    with begun() as store:
        keys = bind(store, 2)
        web.odd = Told(503)
        stand(store, keys[:1])
        tend(store, fleet)
        stand(store, keys)
        tend(store, fleet, LATER + timedelta(seconds=1))
        assert [asked.path for asked in web.asked] == ["/t"]
        web.odd = None
        stand(store, keys, text="")
        tend(store, fleet, LATER + timedelta(minutes=2))
        assert store.tickets.all()[0].reference == "7"
    web.close()
    assert [asked.path for asked in web.asked[1:]] == ["/t", "/t/7", "/t/7"]


def test_what_belongs_to_a_ticket_that_was_never_opened_is_given_up() -> None:
    web = Web(lambda asked: Told(404))
    ticket = {"create": {"url": "/t"}, "close": {"url": "/t/{{ ticket }}"}}
    desk = {"webhook": {"url": web.url, "ticket": ticket}}
    fleet = fleet_with({"channels": {"desk": desk}, "tickets": {"channel": "desk"}})
    with begun() as store:
        keys = bind(store, 1)
        stand(store, keys)
        tend(store, fleet)
        stand(store, keys, text="")
        tend(store, fleet)
        assert {one.error.partition(":")[0] for one in store.notices.newest(9)} >= {
            "its ticket was never opened"
        }
    web.close()
    assert len(web.asked) == 1
