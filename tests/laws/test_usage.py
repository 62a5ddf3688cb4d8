"""Billed bytes never exceed what truly passed, and miss only what nobody can know (C-21)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.meter import LAG, SLACK, Advanced, Gap, HourBytes, Meter, Reading, advance
from tests.laws.effort import many

START = datetime(2026, 3, 1, tzinfo=UTC)
SHORT = int(SLACK.total_seconds()) + LAG
"""A boot that lasted no longer cannot be told from the next one by the row alone."""


@dataclass
class Guest:
    """A machine whose true traffic is known; bytes that nobody could see are counted apart."""

    at: float = 0.0
    boot: float = 0.0
    counters: dict[str, int] = field(default_factory=lambda: {"net0": 0, "net1": 0})
    true: int = 0
    unseen: int = 0
    fresh: int = 0
    """Bytes since the last sample."""
    rows: list[tuple[float, int]] = field(default_factory=list)
    meter: Meter | None = None
    billed: int = 0

    def pass_time(self, seconds: int, first: int, second: int) -> None:
        self.at += seconds
        self.counters["net0"] += first
        self.counters["net1"] += second
        self.true += first + second
        self.fresh += first + second
        self.rows.append((self.at, sum(self.counters.values())))

    def reset(self) -> None:
        """A stop and start, a migration, a host that went down."""
        short = self.at - self.boot <= SHORT
        self.unseen += self.fresh + (sum(self.counters.values()) if short else 0)
        self.fresh = 0
        self.boot, self.counters = self.at, {"net0": 0, "net1": 0}
        self.rows.clear()

    def replug(self) -> None:
        self.unseen += self.fresh + self.counters["net0"]
        self.fresh = 0
        self.counters["net0"] = 0
        self.rows.append((self.at, sum(self.counters.values())))

    def sample(self, late: int) -> None:
        """A row shows what was broadcast some seconds ago."""
        self.at += 1
        shown = self.at - late
        if shown <= self.boot:
            return
        total = next((row[1] for row in reversed(self.rows) if row[0] <= shown), 0)
        at = START + timedelta(seconds=self.at)
        now = Reading(at, total, 0, int(shown - self.boot))
        found = advance(self.meter, "a", now, START)
        self.meter = found.meter
        self.billed += sum(one.bytes_in for one in found.over)
        if late == 0 and self.meter.last == now:
            self.fresh = 0

    @property
    def total(self) -> int:
        return self.billed + (self.meter.open.bytes_in if self.meter else 0)


BYTES = st.integers(0, 10**10)
PASS = st.tuples(st.just("pass"), st.integers(1, 20_000), BYTES, BYTES)
SAMPLE = st.tuples(st.just("sample"), st.sampled_from((0, 0, 0, 10, 20)))
EVENT = st.tuples(st.sampled_from(("reset", "replug")))
STORY = st.lists(st.one_of(PASS, SAMPLE, SAMPLE, EVENT), max_size=40)


def tell(story: list[tuple[object, ...]]) -> Guest:
    guest = Guest()
    for event, *values in story:
        if event == "pass":
            guest.pass_time(*values)  # type: ignore[arg-type]
        else:
            getattr(guest, str(event))(*values)
    return guest


@given(STORY)
@settings(many, max_examples=300, derandomize=True)
def test_billed_bytes_never_exceed_true_ones_and_miss_only_the_unseen(
    story: list[tuple[object, ...]],
) -> None:
    guest = tell(story)
    assert guest.total <= guest.true
    if guest.fresh == 0:
        assert guest.true - guest.total <= guest.unseen


@pytest.mark.nightly
@given(STORY)
@settings(many, max_examples=10_000)
def test_the_same_for_many_stories(story: list[tuple[object, ...]]) -> None:
    guest = tell(story)
    assert guest.total <= guest.true
    if guest.fresh == 0:
        assert guest.true - guest.total <= guest.unseen


def reading(seconds: float, count: int, uptime: int) -> Reading:
    return Reading(START + timedelta(seconds=seconds), count, 2 * count, uptime)


def test_a_machine_that_we_made_is_metered_from_its_first_byte_others_from_the_first_look() -> None:
    ours = advance(None, "a", reading(60, 500, 50), START)
    theirs = advance(None, "a", reading(60, 500, 86_400), None)
    assert (ours.meter.open.bytes_in, theirs.meter.open.bytes_in) == (500, 0)


def test_what_passed_over_hours_is_spread_over_them_without_losing_a_byte() -> None:
    meter = advance(None, "a", reading(0, 0, 86_400)).meter
    found = advance(meter, "a", reading(9_000, 1_001, 95_400))
    assert found.over == (
        HourBytes(START, 400, 800, spread=True),
        HourBytes(START + timedelta(hours=1), 400, 801, spread=True),
    )
    assert (found.meter.open.bytes_in, found.meter.open.bytes_out) == (201, 401)
    assert found.gap == Gap(START, START + timedelta(seconds=9_000), 1_001, 2_002)


def test_a_clock_that_was_put_forward_is_no_reset() -> None:
    meter = advance(None, "a", reading(0, 1_000, 864_000)).meter
    found = advance(meter, "a", reading(7_200, 1_500, 864_060))
    assert found.meter.open.bytes_in + sum(one.bytes_in for one in found.over) == 500


def test_an_older_row_from_another_node_changes_nothing() -> None:
    meter = advance(None, "a", reading(0, 1_000, 5_000)).meter
    assert advance(meter, "a", reading(5, 900, 4_990)) == Advanced(meter)


def test_bytes_that_were_lost_in_a_long_time_without_a_sample_leave_a_gap() -> None:
    meter = advance(None, "a", reading(0, 1_000, 5_000)).meter
    found = advance(meter, "a", reading(7_200, 70, 600))
    boot = START + timedelta(seconds=6_600)
    assert found.gap == Gap(START, boot, lost=True)
    assert found.meter.open.bytes_in + sum(one.bytes_in for one in found.over) == 70
