"""When a failed step may be tried again."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.backoff import CAP, FIRST, not_before, soon
from tests.engine import AT, SECOND


def wait(count: int, subject: str = "web-1", handler: str = "exists") -> float:
    return (not_before(subject, handler, count, AT) - AT).total_seconds()


@given(st.integers(1, 10**6), st.text(), st.text())
def test_a_step_is_tried_for_ever_and_never_rarer_than_every_18_min(
    count: int, subject: str, handler: str
) -> None:
    """DEP-06, Q-05: pipeline steps have no retry limit; the pause is capped."""
    plain = min(CAP, FIRST * 2 ** min(count - 1, 10))
    assert 0.8 * plain <= wait(count, subject, handler) <= 1.2 * plain


def test_the_pause_doubles_up_to_its_cap() -> None:
    pauses = [wait(n) for n in (1, 2, 3, 4, 5)]
    assert pauses == sorted(pauses)
    assert wait(50) >= 0.8 * CAP


def test_the_pause_is_the_same_for_whoever_asks() -> None:
    assert wait(3) == wait(3)


def test_vms_that_failed_together_do_not_march_in_step() -> None:
    assert len({wait(1, f"web-{n}") for n in range(50)}) > 25


def test_a_busy_lock_is_tried_again_in_about_2_s() -> None:
    pauses = {(soon(f"web-{n}", AT) - AT) / SECOND for n in range(50)}
    assert len(pauses) > 25
    assert all(1.6 <= pause <= 2.4 for pause in pauses)
