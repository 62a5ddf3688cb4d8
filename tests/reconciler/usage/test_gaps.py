"""Proxmox's history places bytes in their hours, and finds again what surely passed (USE-05)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.usage.gaps import buckets, found_again, frame_for, moved_between
from state.api import Json
from state.meter import Gap, Passed, Step, by_hour
from state.view import Row
from tests.laws.effort import few

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GAP = Gap(START, START + timedelta(hours=3), 300, 600)


def row(minutes: float, rate: float | None, sent: float = 0) -> Row:
    values: dict[str, Json] = {"time": (START + timedelta(minutes=minutes)).timestamp()}
    return values if rate is None else {**values, "netin": rate, "netout": sent}


def test_only_buckets_that_lie_wholly_in_the_gap_count() -> None:
    rows = [row(minutes, 1) for minutes in range(-60, 300, 30)]
    found = buckets(rows, GAP)
    assert (found[0].begin, found[-1].end) == (
        START + timedelta(minutes=30),
        START + timedelta(minutes=150),
    )
    assert {one.bytes_in for one in found} == {1800.0}
    assert buckets([row(30, 1), row(60, None), row(90, 1)], GAP) == found[:1]
    assert buckets([], GAP) == []


def test_bytes_are_moved_to_the_hours_in_which_they_passed_and_their_sum_stays() -> None:
    found = buckets([row(30, 1, 1), row(60, 0, 3), row(90, 0, 0), row(120, 0, 0)], GAP)
    moved = moved_between("a", GAP, found)
    assert [(one.bytes_in, one.bytes_out) for one in moved] == [
        (200, -50),
        (-100, 250),
        (-100, -200),
    ]
    assert [(one.spread, one.repaired) for one in moved] == [(-300, 450), (-300, 450), (-300, 0)]
    assert moved_between("a", GAP, []) == ()


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**7), min_size=10, max_size=10))
@few
def test_no_hour_ever_owes_bytes_and_none_is_lost(whole: int, rates: list[int]) -> None:
    gap = Gap(START + timedelta(minutes=7), START + timedelta(hours=5), whole, 0)
    found = buckets([row(30 * place, rate) for place, rate in enumerate(rates)], gap)
    moved = moved_between("a", gap, found)
    spread = {one.hour: one for one in by_hour(Passed(whole, 0, gap.since, Step.ON), gap.until)}
    assert sum(one.bytes_in for one in moved) == 0
    assert all(spread[one.hour].bytes_in + one.bytes_in >= 0 for one in moved)


def test_what_was_lost_with_a_reset_is_found_again_as_far_as_it_is_sure() -> None:
    """A bucket has a value when half of it was measured: half of it surely passed."""
    gap = Gap(START, START + timedelta(hours=3), lost=True)
    found = found_again("a", gap, buckets([row(m, 2, 1) for m in range(0, 240, 30)], gap))
    assert [(one.hour.hour, one.bytes_in, one.bytes_out) for one in found] == [
        (12, 1800, 900),
        (13, 3600, 1800),
        (14, 1800, 900),
    ]
    assert all(one.repaired == one.bytes_in + one.bytes_out for one in found)


@pytest.mark.parametrize(
    ("age", "frame"),
    [(0.5, "hour"), (5, "day"), (100, "week"), (20 * 24, "month"), (40 * 24, None)],
)
def test_the_finest_history_that_reaches_back_is_asked(age: float, frame: str | None) -> None:
    gap = Gap(START - timedelta(hours=age), START)
    assert frame_for(gap, START) == frame
