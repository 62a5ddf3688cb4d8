"""The queue's rows: taken once, moved only as they were seen, told in a log."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from state.database import StoreError
from state.queue import QueueJob
from state.store import Store

DAY = timedelta(days=1)


def job(at: datetime, **more: object) -> QueueJob:
    made = QueueJob(0, "web-1", 101, "lab", "n1", "POST", "/nodes/n1/qemu/101/status/start")
    return replace(made, not_before=at, added_at=at, by="ann", **more)  # type: ignore[arg-type]


def lines(store: Store, number: int) -> list[str]:
    return [line.text for line in store.queue.log(number)]


def test_q_01_a_job_is_kept_as_it_was_asked_for(store: Store, at: datetime) -> None:
    """Q-01"""
    made = store.queue.add(job(at, params={"ä": "1"}, priority=3))
    assert store.queue.of(made.id) == made
    assert (made.params, made.priority, made.status, made.server) == (
        {"ä": "1"},
        3,
        "queued",
        ("lab", "n1"),
    )
    assert store.queue.of(made.id + 1) is None
    assert lines(store, made.id) == ["asked for by ann"]


def test_of_two_who_saw_the_same_row_one_takes_it(store: Store, at: datetime) -> None:
    seen = store.queue.add(job(at))
    first = store.queue.claim(seen, at, "n2")
    assert first is not None and (first.status, first.node, first.number) == ("running", "n2", 1)
    assert store.queue.claim(seen, at, "n2") is None
    assert lines(store, seen.id) == ["asked for by ann", "taken"]


def test_who_was_overtaken_changes_nothing_any_more(store: Store, at: datetime) -> None:
    taken = store.queue.claim(store.queue.add(job(at)), at, "n1")
    assert taken is not None
    back = store.queue.postpone(taken, at, at, "its run ended", counts=False)
    assert back is not None
    other = store.queue.claim(back, at, "n1")
    assert other is not None and other.number == 2
    assert store.queue.sending(taken, at) is None
    assert store.queue.succeed(taken, at, "OK") is None
    assert store.queue.of(taken.id) == other


def test_q_04_a_failure_counts_and_giving_up_is_told_once(store: Store, at: datetime) -> None:
    """Q-04, Q-06"""
    taken = store.queue.claim(store.queue.add(job(at)), at, "n1")
    assert taken is not None
    failed = store.queue.postpone(taken, at, at + DAY, "no", counts=True)
    assert failed is not None
    assert (failed.status, failed.attempts, failed.not_before) == ("queued", 1, at + DAY)
    ended = store.queue.give_up(failed, at, "no")
    assert ended is not None and (ended.status, ended.attempts) == ("error", 2)
    assert store.queue.give_up(failed, at, "no") is None
    [event] = store.outbox.waiting()
    assert (event.event, event.key, event.detail["text"]) == ("work_failed", "web-1", "no")
    again = store.queue.again(ended, at, "bob")
    assert again is not None and (again.status, again.attempts, again.error) == ("queued", 0, "")
    assert store.queue.give_up(again, at, "no") is not None
    assert len(store.outbox.waiting()) == 2


def test_the_same_wait_is_told_once(store: Store, at: datetime) -> None:
    made = store.queue.add(job(at))
    for why in ("locked", "locked", "held"):
        moved = store.queue.postpone(made, at, at, why, counts=False)
        assert moved is not None
        made = moved
    assert lines(store, made.id)[1:] == ["waits: locked", "waits: held"]


def test_a_task_without_a_call_that_was_sent_cannot_be(store: Store, at: datetime) -> None:
    taken = store.queue.claim(store.queue.add(job(at)), at, "n1")
    assert taken is not None
    with pytest.raises(StoreError):
        store.queue.follows(taken, "UPID:x", at, "began")


def test_q_07_what_ended_is_deleted_by_status_and_age_and_its_log_stays(
    store: Store, at: datetime
) -> None:
    """Q-07: the operation log outlives the rows, and numbers are never given twice."""
    done = store.queue.claim(store.queue.add(job(at)), at, "n1")
    assert done is not None
    store.queue.succeed(done, at, "OK")
    gone = store.queue.add(job(at))
    store.queue.cancel(gone, at, "bob")
    waits = store.queue.add(job(at))
    assert store.queue.counts() == {"success": 1, "cancelled": 1, "queued": 1}
    assert store.queue.clean(("success", "queued"), at) == 0
    assert store.queue.clean(("success", "queued"), at + DAY) == 1
    assert store.queue.clean(("cancelled",), at + DAY) == 1
    assert [one.id for one in store.queue.all()] == [waits.id]
    assert lines(store, done.id)[-1] == "done: OK"
    store.queue.cancel(waits, at, "bob")
    store.queue.clean(("cancelled",), at + DAY)
    assert store.queue.add(job(at)).id == waits.id + 1
    assert store.queue.purge_log(at + DAY) == 7
    assert len(store.queue.log()) == 1


def test_the_highest_priority_stands_first(store: Store, at: datetime) -> None:
    low, high, low_too = (store.queue.add(job(at, priority=one)) for one in (0, 9, 0))
    assert [one.id for one in store.queue.all("queued")] == [high.id, low.id, low_too.id]
    assert store.queue.has_work(at, at)
    assert not store.queue.has_work(at - DAY, at)
