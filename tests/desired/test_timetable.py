"""When something is due: the forms, the change of the clocks both ways, what was missed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired.timetable import Timetable, offset, read_timetable

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)


def coming(text: str, after: str, count: int, zone: str = BERLIN) -> list[str]:
    """The next slots, as `MM-DD HH:MM` in UTC."""
    table, at, found = read_timetable(text), utc(after), []
    for _ in range(count):
        following = table.next_after(at, zone)
        assert following is not None
        at = following
        found.append(f"{at:%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("text", "kind", "seconds"),
    [
        ("5min", "every", 300.0),
        ("every 5m", "every", 300.0),
        ("every 90s", "every", 90.0),
        ("every 2 h", "every", 7200.0),
        ("every_run", "always", 0.0),
        ("0", "off", 0.0),
        (0, "off", 0.0),
        ("off", "off", 0.0),
    ],
)
def test_c_01_intervals_and_0(text: object, kind: str, seconds: float) -> None:
    """C-01, TASK-07, FRM-02"""
    table = read_timetable(text)
    assert (table.kind, table.seconds, table.runs) == (kind, seconds, kind != "off")
    assert read_timetable(table) is table


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hourly", "0 * * * *"),
        ("@hourly", "0 * * * *"),
        ("daily", "0 0 * * *"),
        ("@daily", "0 0 * * *"),
        ("daily at 02:30", "30 2 * * *"),
        ("weekly", "0 0 * * 0"),
        ("@weekly", "0 0 * * 0"),
        ("weekly on sun at 02:30", "30 2 * * 0"),
        ("weekly on Saturday at 02:30", "30 2 * * 6"),
        ("weekly on 0 at 02:30", "30 2 * * 0"),
        ("weekly on 6", "0 0 * * 6"),
        ("@monthly", "0 0 1 * *"),
        ("*/10 8-18 * * mon-fri", "*/10 8-18 * * mon-fri"),
    ],
)
def test_frm_02_times_of_day_are_cron_lines(text: str, line: str) -> None:
    """FRM-02: a weekday is named, or 0 (Sunday) to 6."""
    table = read_timetable(f"  {text} ")
    assert (table.kind, table.cron, table.text) == ("cron", line, text)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("sometimes", "five fields"),
        ("daily at 2:30", "HH:MM"),
        ("daily at 25:00", "no time of day 25:00"),
        ("weekly on someday at 02:30", "a weekday is sun"),
        ("weekly on 7", "a weekday is sun"),
        ("every 0s", "1s or more"),
        ("every now", "seen 'every now'"),
        ("61 * * * *", "bad minute"),
        ("0 0 30 2 *", "bad day"),
        ("hourly spread 2d", "1s to 1d"),
        ("every 5min spread 1min", "only a time of day"),
        (5, "seen 5"),
        (True, "seen True"),
        (None, "seen None"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_forms(wrong: object, why: str) -> None:
    with pytest.raises(ValueError, match="expected a schedule such as") as refused:
        read_timetable(wrong)
    assert why in str(refused.value)


def test_frm_03_hourly_is_once_in_a_clock_hour() -> None:
    """FRM-03"""
    hourly = read_timetable("hourly")
    last = utc("03-01 10:59")
    assert not hourly.is_due(last, utc("03-01 10:59:30"), BERLIN)
    assert hourly.is_due(last, utc("03-01 11:00"), BERLIN)


def test_frm_03_daily_is_past_the_time_and_not_yet_today() -> None:
    """FRM-03, in the site's time zone: 02:30 in Berlin is 01:30 in winter."""
    daily = read_timetable("daily at 02:30")
    last = utc("03-01 01:31")
    assert not daily.is_due(last, utc("03-02 01:29"), BERLIN)
    assert daily.is_due(last, utc("03-02 01:30"), BERLIN)


def test_frm_03_weekly_is_the_right_day_and_the_daily_rule() -> None:
    """FRM-03: 1 March 2026 is a Sunday."""
    weekly = read_timetable("weekly on sun at 02:30")
    last = utc("03-01 01:30")
    assert not weekly.is_due(last, utc("03-07 23:00"), BERLIN)
    assert not weekly.is_due(last, utc("03-08 01:29"), BERLIN)
    assert weekly.is_due(last, utc("03-08 01:30"), BERLIN)


def test_frm_03_every_run_is_due_whenever_it_is_asked() -> None:
    """FRM-03"""
    table = read_timetable("every_run")
    assert table.is_due(NOON, NOON)
    assert table.next_after(NOON) == NOON


def test_frm_14_what_never_ran_is_due_at_once() -> None:
    """FRM-14"""
    assert read_timetable("weekly on sun at 02:30").is_due(None, NOON)
    assert not read_timetable("0").is_due(None, NOON)
    assert read_timetable("0").next_after(NOON) is None


def test_task_07_an_interval_is_the_least_time_between_two_runs() -> None:
    """TASK-07: but for the seconds by which cron begins early or late."""
    table = read_timetable("5min")
    assert not table.is_due(NOON, NOON + timedelta(seconds=294))
    assert table.is_due(NOON, NOON + timedelta(seconds=296))
    quick = read_timetable("10s")
    assert not quick.is_due(NOON, NOON + timedelta(seconds=8))
    assert quick.is_due(NOON, NOON + timedelta(seconds=9))


def test_a_time_that_the_clocks_skip_comes_at_the_next_valid_one() -> None:
    """02:30 does not exist on 29 March in Berlin and on 8 March in New York."""
    assert coming("daily at 02:30", "03-28 00:00", 3) == [
        "03-28 01:30",
        "03-29 01:00",
        "03-30 00:30",
    ]
    assert coming("daily at 02:30", "03-07 12:00", 2, NEW_YORK) == ["03-08 07:00", "03-09 06:30"]


def test_a_time_that_comes_twice_counts_once() -> None:
    """02:30 comes twice on 25 October in Berlin, 01:30 on 1 November in New York."""
    assert coming("daily at 02:30", "10-24 00:00", 3) == [
        "10-24 00:30",
        "10-25 00:30",
        "10-26 01:30",
    ]
    assert coming("daily at 01:30", "10-31 12:00", 2, NEW_YORK) == ["11-01 05:30", "11-02 06:30"]
    between = read_timetable("daily at 02:30").next_after(utc("10-25 00:45"), BERLIN)
    assert between == utc("10-26 01:30")


def test_every_hour_is_one_also_when_the_clocks_change() -> None:
    assert coming("hourly", "03-29 00:10", 3) == ["03-29 01:00", "03-29 02:00", "03-29 03:00"]
    assert coming("hourly", "10-25 00:10", 3) == ["10-25 01:00", "10-25 02:00", "10-25 03:00"]


def test_five_missed_nights_are_one_slot() -> None:
    nightly = read_timetable("daily at 02:30")
    last, at = utc("03-01 01:30"), utc("03-06 12:00")
    assert nightly.is_due(last, at, BERLIN)
    assert nightly.next_after(at, BERLIN) == utc("03-07 01:30")
    assert not nightly.is_due(at, at + timedelta(hours=1), BERLIN)


def test_seconds_of_a_time_of_day_count() -> None:
    """FRM-02: HH:MM:SS"""
    table = read_timetable("daily at 02:30:45")
    assert table.next_after(utc("03-01 01:30:44"), BERLIN) == utc("03-01 01:30:45")
    assert table.next_after(utc("03-01 01:30:45"), BERLIN) == utc("03-02 01:30:45")


def test_a_spread_is_the_same_for_the_same_one_and_parts_the_others() -> None:
    table = read_timetable("daily at 02:30 spread 20min")
    names = [f"vm-{number}" for number in range(50)]
    slots = [table.next_after(utc("03-01 12:00"), BERLIN, name) for name in names]
    again = [table.next_after(utc("03-01 12:00"), BERLIN, name) for name in names]
    assert slots == again
    assert len(set(slots)) > 40
    first, last = utc("03-02 01:30"), utc("03-02 01:50")
    assert all(slot is not None and first <= slot < last for slot in slots)
    assert offset("vm-1", 0.0) == 0.0


@given(
    st.sampled_from(
        ["hourly", "daily at 02:30", "weekly on sun at 02:30", "*/7 1-3 * * *", "@monthly"]
    ),
    st.sampled_from([BERLIN, NEW_YORK, "UTC", "Australia/Lord_Howe"]),
    st.integers(0, 366 * 24 * 60),
)
def test_the_next_slot_is_later_and_none_lies_between(text: str, zone: str, minutes: int) -> None:
    """Law: a slot is due from its moment on, and not before."""
    table: Timetable = read_timetable(text)
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    following = table.next_after(at, zone)
    assert following is not None and following > at
    assert not table.is_due(at, following - timedelta(seconds=1), zone)
    assert table.is_due(at, following, zone)
    assert table.next_after(following - timedelta(seconds=1), zone) == following
