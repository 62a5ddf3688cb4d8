"""Notices and tickets in the store: what is written once, and what is moved on."""

from dataclasses import replace
from datetime import datetime, timedelta

from state.notices import Notice
from state.secret import Secret
from state.store import Store
from state.tickets import Ticket

DAY = timedelta(days=1)


def notice(at: datetime, **fields: object) -> Notice:
    plain = Notice(0, "ready/web-1/1", "ready", "vm_ready", "web-1", "mail", "a@example.net", at)
    return replace(plain, **fields)  # type: ignore[arg-type]


def test_what_was_before_the_beginning_is_told_to_nobody(store: Store, at: datetime) -> None:
    store.outbox.add("vm_ready", "web-1", at, {})
    assert store.notices.since() == ""
    store.notices.begin(at)
    assert store.notices.since() == at.isoformat()
    assert store.outbox.waiting() == ()


def test_an_event_becomes_notices_once(store: Store, at: datetime) -> None:
    """NOTE-01: however often it is taken up."""
    store.outbox.add("vm_ready", "web-1", at, {})
    (event,) = store.outbox.waiting()
    two = [notice(at), notice(at, recipient="b@example.net")]
    store.notices.expand(event, two, at)
    store.notices.expand(event, two, at)
    found = store.notices.in_state("waiting")
    assert [one.recipient for one in found] == ["a@example.net", "b@example.net"]
    assert store.outbox.waiting() == ()
    assert store.notices.of(found[0].id) == found[0]
    assert store.notices.of(99) is None
    assert store.notices.newest(1) == [found[1]]
    assert store.notices.newest(9, ["sent"]) == []


def test_a_notice_moves_on_only_from_where_it_was_seen(store: Store, at: datetime) -> None:
    store.outbox.add("vm_ready", "web-1", at, {})
    store.notices.expand(store.outbox.waiting()[0], [notice(at)], at)
    (seen,) = store.notices.in_state("waiting")
    assert store.notices.move(seen, "claimed", at)
    assert not store.notices.move(seen, "claimed", at)
    (claimed,) = store.notices.in_state("claimed")
    assert store.notices.move(claimed, "sent", at, reference="<x@y>")
    (sent,) = store.notices.in_state("sent")
    assert sent.reference == "<x@y>"
    assert store.notices.forget(at) == 0
    assert store.notices.forget(at + DAY) == 1


def test_c_17_a_password_is_entrusted_to_one_notice_only(store: Store, at: datetime) -> None:
    """C-17"""
    store.vault.keep("web-1", "password", Secret("s3cret"))
    store.outbox.add("vm_ready", "web-1", at, {})
    two = [notice(at), notice(at, recipient="b@example.net")]
    store.notices.expand(store.outbox.waiting()[0], two, at)
    first, second = store.notices.in_state("waiting")
    assert store.notices.entrust(first, "password", at)
    assert not store.notices.entrust(second, "password", at)
    assert [one.carries for one in store.notices.in_state("waiting")] == ["password", ""]


def test_a_cause_that_comes_back_has_another_ticket(store: Store, at: datetime) -> None:
    """Q-06"""
    told = notice(at, kind="ticket")
    made = Ticket(0, "end", 0, "mail", "s", "m", ("web-1",), "", at)
    first = store.tickets.open(made, told)
    assert store.tickets.standing() == {"end": first}
    store.tickets.change(replace(first, closed_at=at), replace(told, occurrence="close"))
    assert store.tickets.standing() == {}
    again = store.tickets.open(made, told)
    assert (first.number, again.number) == (1, 2)
    assert [one.id for one in store.tickets.all()] == [again.id, first.id]
    assert store.tickets.of(again.id) == again
    assert store.tickets.of(99) is None
    store.tickets.change(replace(again, reference="7"))
    assert store.tickets.standing()["end"].reference == "7"
    found = [one.occurrence for one in store.notices.in_state("waiting")]
    assert found == [f"ticket/{first.id}/open", "close", f"ticket/{again.id}/open"]
