"""Webhooks on a real server: what is asked, what is repeated, what shows no secret."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from desired.notices import Webhook
from reconciler.notices.channel import Away, Rejected, Undelivered
from reconciler.notices.webhook import Hook
from state.secret import Secret
from tests.engine import HandClock
from tests.reconciler.notices.post import TOKEN, begun, fleet_with, message, only, run
from tests.reconciler.notices.test_deliver import told
from tests.servers.mail import free_port
from tests.servers.web import Asked, Told, Web

TICKET = {
    "create": {"url": "/tickets", "body": {"title": "{{ subject }}", "prio": "{{ priority }}"}},
    "append": {"url": "/tickets/{{ ticket }}/notes", "body": {"note": "{{ text }}"}},
    "close": {"url": "/tickets/{{ ticket }}", "method": "PATCH", "body": {"state": "closed"}},
    "id": "data.0.id",
}


@pytest.fixture
def web() -> Iterator[Web]:
    with closing(Web(lambda asked: Told(201, {"data": [{"id": 7}]}))) as running:
        yield running


def hook(web: Web, **fields: object) -> Hook:
    made = Webhook.model_validate({"url": f"{web.url}/hooks/T0PSECRET", **fields})
    return Hook(made, Path("."), lambda reference: Secret("Bearer t0ken"))


def sent(web: Web, one: Hook, **fields: object) -> Asked:
    with closing(one):
        one.send(message(**fields), lambda: None)
    return web.asked[-1]


def test_note_01_a_body_is_json_whatever_stands_in_it(web: Web) -> None:
    """NOTE-01"""
    body = {"t": '{{ subject }}"', "deep": [{"vm": "{{ vm }}"}], "n": 3, "id": "{{ id }}"}
    asked = sent(web, hook(web, body=body, method="PUT", headers={"X-Team": "ops"}))
    seen = json.loads(asked.body)
    assert seen == {"t": 'Your server is ready"', "deep": [{"vm": "web-1"}], "n": 3, "id": TOKEN}
    assert (asked.method, asked.headers["x-team"]) == ("PUT", "ops")
    assert asked.headers["idempotency-key"] == TOKEN


def test_without_a_body_all_is_told_but_the_password(web: Web) -> None:
    """C-17"""
    asked = sent(web, hook(web), values={"vm": "web-1", "password": "s3cret"})
    seen = json.loads(asked.body)
    assert seen["vm"] == "web-1" and seen["subject"] == "Your server is ready"
    assert "s3cret" not in asked.body


def test_a_secret_header_is_sent_and_shown_nowhere(web: Web) -> None:
    one = hook(web, secrets={"Authorization": "env:T"})
    web.odd = Told(403, "no: Bearer t0ken")
    with pytest.raises(Rejected) as seen:
        sent(web, one)
    assert web.asked[-1].headers["authorization"] == "Bearer t0ken"
    assert "t0ken" not in str(seen.value) and "T0PSECRET" not in str(seen.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, Undelivered), (503, Undelivered), (429, Undelivered), (404, Rejected), (302, Rejected)],
)
def test_what_a_server_says_decides_on_another_attempt(
    web: Web, status: int, error: type[Exception]
) -> None:
    web.odd = Told(status, "")
    with pytest.raises(error, match=f"answered {status}: nothing at all"):
        sent(web, hook(web))


def test_where_nobody_listens_nobody_is_there() -> None:
    one = Hook(
        Webhook.model_validate({"url": f"http://127.0.0.1:{free_port()}/x"}), Path("."), Secret
    )
    with closing(one), pytest.raises(Away, match="refused"):
        one.send(message(), lambda: None)


def test_a_ticket_is_created_added_to_and_closed_by_its_id(web: Web) -> None:
    """Q-06"""
    one = hook(web, ticket=TICKET)
    with closing(one):
        values = {"priority": "high"}
        number = one.send(message(step="open", values=values), lambda: None)
        one.send(message(step="append", ticket=number), lambda: None)
        one.send(message(step="close", ticket="a/../b"), lambda: None)
    paths = [(asked.method, asked.path) for asked in web.asked]
    base = "/hooks/T0PSECRET/tickets"
    wanted = [("POST", base), ("POST", f"{base}/7/notes"), ("PATCH", f"{base}/a%2F..%2Fb")]
    assert paths == wanted
    assert json.loads(web.asked[0].body) == {"title": "Your server is ready", "prio": "high"}
    assert json.loads(web.asked[1].body) == {"note": "It is\n.ready"}


@pytest.mark.parametrize("answer", ["no json", {"data": []}, {"data": [{"id": {}}]}, 3])
def test_an_answer_without_the_tickets_id_is_not_asked_for_again(web: Web, answer: object) -> None:
    web.odd = Told(200, answer)
    with pytest.raises(Rejected, match=r"data\.0\.id"):
        sent(web, hook(web, ticket=TICKET), step="open")


def test_a_step_that_a_help_desk_does_not_take_is_none(web: Web) -> None:
    one = hook(web, ticket={"create": TICKET["create"]})
    with closing(one):
        assert one.send(message(step="close", ticket="7"), lambda: None) == "7"
    assert web.asked == []


def test_a_lost_answer_is_repeated_with_the_same_key(web: Web) -> None:
    """NOTE-01: at least once, and the server can tell."""
    fleet = fleet_with({"channels": {"desk": {"webhook": {"url": web.url}}}})
    clock = HandClock()
    web.odd = Told(502, "")
    with begun() as store:
        told(store)
        run(store, fleet, clock)
        assert only(store).state == "waiting"
        web.odd = None
        clock.sleep(120)
        run(store, fleet, clock)
        assert only(store).state == "sent"
    first, second = web.asked
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
