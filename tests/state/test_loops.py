"""Loops in the store: a slot is one process's, a run overtaken is not kept, items have a pace."""

from datetime import datetime, timedelta

from state.loops import MESSAGE, OUTPUT, Ending, LoopRow
from state.store import Store

HOUR = timedelta(hours=1)


def test_frm_14_a_loop_that_nobody_ran_is_as_new(store: Store) -> None:
    """FRM-14"""
    assert store.loops.of("nightly") == LoopRow("nightly")
    assert store.loops.all() == {}


def test_a_slot_is_claimed_once(store: Store, at: datetime) -> None:
    """FRM-15: of two who saw the same row one gets it."""
    seen = LoopRow("nightly", planned="hourly UTC")
    first = store.loops.claim(seen, at, at + HOUR, "cron")
    assert first is not None
    assert store.loops.claim(seen, at, at + HOUR, "cron") is None
    assert first == store.loops.of("nightly")
    assert (first.status, first.number, first.by, first.last_run) == ("running", 1, "cron", at)
    assert (first.planned, first.next_run, first.kills) == ("hourly UTC", at + HOUR, 0)


def test_frm_04_a_run_ends_with_its_result(store: Store, at: datetime) -> None:
    """FRM-04, FRM-18: a message has 500 characters at most, of the output the end is kept."""
    row = store.loops.claim(LoopRow("nightly"), at, None, "ann")
    assert row is not None
    ending = Ending("error", "m" * 600, 7, 2, "first" + "o" * OUTPUT)
    assert store.loops.finish(row, at + HOUR, ending)
    kept = store.loops.of("nightly")
    assert (kept.status, kept.processed, kept.errors) == ("error", 7, 2)
    assert (len(kept.message), len(kept.output), kept.finished_at) == (MESSAGE, OUTPUT, at + HOUR)
    assert "first" not in kept.output


def test_a_run_that_was_overtaken_writes_nothing(store: Store, at: datetime) -> None:
    slow = store.loops.claim(LoopRow("nightly"), at, None, "one")
    assert slow is not None
    fresh = store.loops.claim(slow, at + HOUR, None, "two")
    assert fresh is not None
    assert fresh.kills == 1
    assert not store.loops.finish(slow, at + HOUR, Ending("success"))
    assert store.loops.of("nightly") == fresh
    assert store.loops.finish(fresh, at + HOUR, Ending("success"))
    assert store.loops.of("nightly").kills == 0


def test_frm_05_a_run_may_switch_its_loop_off(store: Store, at: datetime) -> None:
    """FRM-05: and a later one is not switched on by its result."""
    row = store.loops.claim(LoopRow("nightly"), at, None, "")
    assert row is not None
    store.loops.finish(row, at, Ending("success", deactivate=True))
    assert not store.loops.of("nightly").active
    again = store.loops.claim(store.loops.of("nightly"), at, None, "")
    assert again is not None
    store.loops.finish(again, at, Ending("success"))
    assert not store.loops.of("nightly").active
    assert store.loops.activate("nightly", True).active


def test_frm_17_a_loop_is_rescheduled_and_removed(store: Store, at: datetime) -> None:
    """FRM-17: what was removed is gone from view; one of that name begins anew."""
    assert store.loops.reschedule("nightly", "daily at 02:30").schedule == "daily at 02:30"
    assert store.loops.reschedule("nightly", None).schedule is None
    store.loops.claim_item("nightly", "a", at)
    assert store.loops.remove("nightly")
    assert not store.loops.remove("nightly")
    assert (store.loops.all(), store.loops.items("nightly")) == ({}, {})
    assert store.loops.activate("nightly", False) == LoopRow("nightly", active=False)


def test_frm_15_an_item_is_claimed_once_in_its_own_time(store: Store, at: datetime) -> None:
    """FRM-15: 300 s unless told otherwise."""
    loops = store.loops
    assert loops.claim_item("nightly", "a", at)
    assert not loops.claim_item("nightly", "a", at + timedelta(seconds=299))
    assert loops.claim_item("nightly", "a", at + timedelta(seconds=300))
    assert loops.claim_item("nightly", "b", at, every=10.0)
    assert loops.claim_item("nightly", "b", at + timedelta(seconds=10), every=10.0)
    assert loops.claim_item("weekly", "a", at)
    assert list(loops.items("nightly")) == ["a", "b"]
    loops.forget_item("nightly", "a")
    assert loops.claim_item("nightly", "a", at)


def test_frm_15_an_items_failure_is_its_own(store: Store, at: datetime) -> None:
    """FRM-15: it is recorded, and ends with the next success."""
    store.loops.claim_item("nightly", "a", at)
    store.loops.settle_item("nightly", "a", "no answer")
    store.loops.settle_item("nightly", "a", "still none")
    failed = store.loops.items("nightly")["a"]
    assert (failed.failures, failed.error) == (2, "still none")
    store.loops.settle_item("nightly", "a")
    sound = store.loops.items("nightly")["a"]
    assert (sound.failures, sound.error, sound.last_at) == (0, "", at)
