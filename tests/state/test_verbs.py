"""Verbs are asked once by a token, and what came of them stays."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from state.memory import Binding, Intent, Phase
from state.outbox import Event
from state.secret import Secret
from state.store import Store
from state.verbs import DO, VerbRow, Wish

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)


def wish(token: str = "t1", verb: str = "suspend", **params: str) -> Wish:
    return Wish("web-1", verb, token, "ann@desk", AT, params)


def test_a_verb_that_is_asked_is_an_intent_and_a_row(store: Store) -> None:
    assert store.verbs.ask(wish(why="unpaid"))
    intent = store.intents.of("web-1")["do.suspend"]
    assert intent.detail == '{"by": "ann@desk", "token": "t1", "why": "unpaid"}'
    assert store.verbs.of("web-1") == (VerbRow("web-1", "suspend", "t1", "ann@desk", AT),)
    assert store.verbs.used() == {("web-1", "suspend", "t1")}


def test_the_same_token_asks_once_even_when_the_verb_has_ended(store: Store) -> None:
    store.verbs.ask(wish())
    store.verbs.end(wish(), "done", "stopped", LATER)
    assert not store.verbs.ask(wish())
    assert store.intents.of("web-1") == {}
    assert store.verbs.ask(wish("t2"))


def test_an_ended_verb_keeps_its_first_end_and_tells_its_event_once(store: Store) -> None:
    store.verbs.ask(wish())
    event = Event("vm_suspended", "web-1", LATER, {}, "once")
    for message in ("first", "second"):
        store.verbs.end(wish(), "done", message, LATER, event)
    assert [(row.result, row.message) for row in store.verbs.of("web-1")] == [("done", "first")]
    assert [one.event for one in store.outbox.waiting()] == ["vm_suspended"]


def test_a_verb_may_end_and_stand(store: Store) -> None:
    store.verbs.ask(wish())
    store.verbs.end(wish(), "done", "", LATER, stands=True)
    assert list(store.intents.of("web-1")) == [f"{DO}suspend"]


def test_an_intent_of_another_program_gets_its_row_when_it_ends(store: Store) -> None:
    store.intents.put(wish("billing-7").intent())
    store.verbs.end(wish("billing-7"), "refused", "there is no machine yet", LATER)
    row = store.verbs.of("web-1")[0]
    assert (row.token, row.result, row.ended_at) == ("billing-7", "refused", LATER)


def test_what_is_over_at_once_is_recorded_and_opens_nothing(store: Store) -> None:
    assert store.verbs.record(wish(), "done", "it is suspended already", AT)
    assert not store.verbs.record(wish(), "done", "again", AT)
    assert store.intents.of("web-1") == {}


def test_how_far_a_verb_has_come_is_kept(store: Store) -> None:
    store.verbs.ask(wish())
    store.verbs.keep(wish(stage="made"))
    assert '"stage": "made"' in store.intents.of("web-1")["do.suspend"].detail
    assert wish(stage="made").text("stage") == "made"
    assert wish().text("stage") is None


def test_verbs_follow_a_machine_that_is_renamed(store: Store) -> None:
    store.bindings.bind(Binding("web-9", "lab", 909, "web-9"))
    store.verbs.ask(replace(wish(), key="web-9"))
    store.bindings.rename_key("web-9", "shop-1")
    assert [row.key for row in store.verbs.of("shop-1")] == ["shop-1"]


@pytest.mark.parametrize("result", ["", "odd"])
def test_a_verb_ends_with_one_of_four_results(store: Store, result: str) -> None:
    with pytest.raises(Exception, match="constraint"):
        store.verbs.record(wish(), result, "", AT)  # type: ignore[arg-type]


def test_open_rows_whose_intent_went_with_the_machine_are_found(store: Store) -> None:
    store.verbs.ask(wish())
    store.verbs.ask(wish("t2", "snapshot"))
    assert store.verbs.stray() == ()
    store.intents.drop("web-1", "do.snapshot")
    assert [row.verb for row in store.verbs.stray()] == ["snapshot"]
    assert [intent.kind for intent in store.verbs.open()] == ["do.suspend"]


def test_what_is_asked_instead_withdraws_what_was_open(store: Store) -> None:
    store.verbs.ask(wish())
    assert store.verbs.ask(wish("t2", "resume"), wish(), LATER)
    rows = {row.verb: row.result for row in store.verbs.of("web-1")}
    assert rows == {"suspend": "withdrawn", "resume": ""}
    assert list(store.intents.of("web-1")) == ["do.resume"]


def test_a_renewed_key_keeps_vmid_and_addresses_and_forgets_its_machine(store: Store) -> None:
    """DEP-28: in one transaction with its event and with how far it has come."""
    before = store.bindings.of("web-1")
    assert before is not None
    store.bindings.change(replace(before, uuid="u", phase=Phase.READY, ready_at=AT))
    store.vault.keep("web-1", "password", Secret("old"))
    for kind in ("stop", "back.scsi1", "backup"):
        store.intents.put(Intent("web-1", kind, AT))
    store.attempts.fail("web-1", "cpu", "no", AT, AT)
    asked = wish(verb="reinstall", stage="made")
    store.renewals.begin(asked, Event("vm_deleted", "web-1", LATER), LATER)
    after = store.memories(["web-1"])["web-1"]
    assert after.binding is not None
    assert (after.binding.vmid, after.binding.uuid) == (before.vmid, None)
    assert (after.binding.phase, after.binding.ready_at) == (Phase.DEPLOY, None)
    assert (list(after.intents), dict(after.attempts)) == (["back.scsi1", "do.reinstall"], {})
    assert store.vault.reveal("web-1", "password") is None
    assert after.leases == store.memories(["web-1"])["web-1"].leases


@pytest.mark.parametrize("again", [True, False])
def test_where_retained_disks_wait_outlives_a_redeploy_alone(store: Store, again: bool) -> None:
    for kind in ("stop", "back.scsi1"):
        store.intents.put(Intent("web-1", kind, AT))
    gone = Event("vm_terminated", "web-1", LATER)
    assert store.bindings.end("web-1", gone, lambda lease: None, again=again)
    assert list(store.intents.of("web-1")) == (["back.scsi1"] if again else [])


def test_a_key_that_is_not_bound_is_not_renewed(store: Store) -> None:
    asked = replace(wish(verb="reinstall"), key="nobody")
    store.renewals.begin(asked, Event("vm_deleted", "nobody", LATER), LATER)
    assert store.outbox.waiting() == ()


def test_what_the_clock_asked_long_ago_is_forgotten(store: Store) -> None:
    """What is open, what a person asked, and other verbs stay."""
    nightly = Wish("web-1", "backup", "schedule 2026-11-19", "schedule", AT, {})
    store.verbs.ask(nightly)
    store.verbs.end(nightly, "done", "", LATER)
    by_hand = wish("t1", "backup")
    store.verbs.ask(by_hand)
    store.verbs.end(by_hand, "done", "", LATER)
    store.verbs.ask(Wish("web-2", "backup", "schedule 2026-11-20", "schedule", AT, {}))
    tokens = {("web-1", "t1"), ("web-2", "schedule 2026-11-20")}
    assert store.verbs.tokens("backup") == {*tokens, ("web-1", "schedule 2026-11-19")}
    store.verbs.forget("backup", "schedule", LATER)
    assert len(store.verbs.tokens("backup")) == 3
    store.verbs.forget("backup", "schedule", LATER + timedelta(seconds=1))
    assert store.verbs.tokens("backup") == tokens
    assert store.verbs.tokens("snapshot") == frozenset()
