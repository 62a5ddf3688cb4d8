"""When bounded work is tried again, and when it gives up."""

from datetime import timedelta

import pytest

from reconciler.registry import ending_handlers, vm_handlers
from reconciler.retries import MOST, is_bounded, next_try
from tests.engine import AT


@pytest.mark.parametrize(("count", "minutes"), [(1, 1), (2, 2), (3, 5), (4, 15), (5, 60), (9, 60)])
def test_q_04_the_pause_grows_in_minutes(count: int, minutes: int) -> None:
    again = next_try("7", "process_queue.call", count, AT, most=10)
    assert again is not None
    assert 0.8 * timedelta(minutes=minutes) <= again - AT <= 1.2 * timedelta(minutes=minutes)
    assert again == next_try("7", "process_queue.call", count, AT, most=10)


def test_q_04_the_fifth_failure_is_the_last() -> None:
    assert next_try("7", "notices", MOST - 1, AT) is not None
    assert next_try("7", "notices", MOST, AT) is None
    assert next_try("7", "notices", 1, AT, most=1) is None


def test_q_05_steps_of_a_vm_are_tried_for_ever() -> None:
    assert is_bounded("process_queue.call")
    assert is_bounded("notices")
    assert not any(is_bounded(one.name) for one in (*vm_handlers(), *ending_handlers()))
