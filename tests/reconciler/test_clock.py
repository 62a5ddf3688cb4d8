"""Time and workers, as the engine gets them."""

import threading
from datetime import UTC, datetime

from reconciler.clock import SystemClock, Workers


def test_the_systems_clock_is_aware_utc_and_waits() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.sleep(0.001)
    assert before.tzinfo is UTC
    assert before < clock.now() <= datetime.now(UTC)


def test_one_worker_works_inline_in_order() -> None:
    """Design 5: what is tested in one thread is what runs."""
    names = Workers(1).map(lambda n: (n, threading.current_thread()), [3, 1, 2])
    assert names == [(n, threading.current_thread()) for n in (3, 1, 2)]


def test_several_workers_work_side_by_side_and_answer_in_order() -> None:
    """Each waits for the other, so that one alone would never end."""
    meet = threading.Barrier(2, timeout=10)

    def work(n: int) -> int:
        meet.wait()
        return n * n

    assert Workers(8).map(work, [3, 2]) == [9, 4]


def test_a_single_item_needs_no_thread() -> None:
    here = threading.current_thread()
    assert Workers(8).map(lambda _: threading.current_thread(), [1]) == [here]
    assert Workers(8).map(lambda n: n, []) == []
