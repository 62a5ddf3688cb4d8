"""When backups are due: by weekday and time, in a time zone, each once a day."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from desired.backups import NIGHT, Backups, day_of
from desired.windows import zone_info

HOUR = timedelta(hours=1)
EACH = dict.fromkeys(("sun", "mon", "tue", "wed", "thu", "fri", "sat"), "02:30")


def backups(**fields: object) -> Backups:
    return Backups.model_validate(fields)


def test_days_are_named_in_three_ways_and_ordered() -> None:
    """TASK-05: 0 is Sunday, 6 is Saturday."""
    plan = backups(days={6: "02:30", "Monday": "auto", "0": "23:59", "tue": None})
    assert plan.days == {"sun": "23:59", "mon": "auto", "sat": "02:30"}
    assert Backups.model_validate_json(plan.model_dump_json()) == plan


@pytest.mark.parametrize(
    ("days", "says"),
    [
        ({"mon": "02:30", 1: "auto"}, "mon is there twice"),
        ({"moonday": "02:30"}, "expected a weekday"),
        ({True: "02:30"}, "expected a weekday"),
        ({"mon": 150}, "expected a time of day in quotes such as '02:30', or auto, seen 150"),
        ({"mon": "24:00"}, "seen '24:00'"),
        ("daily", "valid dictionary"),
    ],
)
def test_what_is_no_day_is_refused(days: object, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        backups(days=days)


def test_c_05_auto_is_the_vms_own_time_until_the_days_change() -> None:
    """C-05"""
    plan, other = backups(days={"mon": "auto"}), backups(days={"tue": "auto"})
    drawn = {plan.drawn(f"vm-{number}") for number in range(500)}
    assert len(drawn) > 450
    assert 0 <= min(drawn) < NIGHT / 10
    assert NIGHT * 0.9 < max(drawn) < NIGHT
    kept = backups(days={"mon": "auto"}, keep=7, storage="other")
    assert kept.drawn("vm-1") == plan.drawn("vm-1") != other.drawn("vm-1")
    at = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
    slot = plan.slot("vm-1", at, "UTC")
    assert slot is not None
    assert slot.date() == at.date()
    assert 0 <= plan.drawn("vm-1") - (slot.hour * 3600 + slot.minute * 60) < 60


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_a_year_has_one_backup_on_each_day_that_is_named(zone: str) -> None:
    """TASK-05, FRM-03: by a job that looks each hour, over both changes of the clocks."""
    plan = backups(days=EACH | {"wed": "auto", "thu": "23:50", "sat": None})
    at, end = datetime(2026, 1, 1, 0, 7, tzinfo=UTC), datetime(2027, 1, 1, 0, 7, tzinfo=UTC)
    begun: dict[str, datetime] = {}
    while at < end:
        slot = plan.slot("vm-1", at, zone)
        if slot is not None and (day := day_of(slot, zone)) not in begun:
            begun[day] = at
            assert slot <= at
        at += HOUR
    weekdays = Counter(datetime.fromisoformat(day).weekday() for day in begun)
    assert set(weekdays) == {0, 1, 2, 3, 4, 6}
    assert min(weekdays.values()) >= 51
    gaps = [day for day in _days(2026, 1, 2) if day not in begun]
    assert all(datetime.fromisoformat(day).weekday() == 5 for day in gaps)


def _days(year: int, month: int, day: int) -> list[str]:
    first = datetime(year, month, day)
    return [(first + timedelta(days=past)).date().isoformat() for past in range(360)]


def test_a_time_that_the_clocks_skip_comes_at_the_next_valid_one() -> None:
    """FRM-03"""
    plan = backups(days={"sun": "02:30"})
    at = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
    slot = plan.slot("vm-1", at, "Europe/Berlin")
    assert slot is not None
    assert slot.astimezone(zone_info("Europe/Berlin")).hour == 3


def test_what_was_missed_is_caught_up_for_a_day() -> None:
    plan, monday = backups(days={"mon": "02:30"}), datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
    assert plan.slot("vm-1", monday - timedelta(seconds=1), "UTC") is None
    assert plan.slot("vm-1", monday, "UTC") == monday
    assert plan.slot("vm-1", monday + timedelta(hours=23, minutes=59), "UTC") == monday
    assert plan.slot("vm-1", monday + timedelta(days=1, seconds=1), "UTC") is None
    assert backups().slot("vm-1", monday, "UTC") is None


@pytest.mark.parametrize(
    ("fields", "days"),
    [
        ({"days": EACH}, 2),
        ({"days": {"mon": "02:30"}}, 8),
        ({"days": {"mon": "02:30", "thu": "auto"}}, 5),
        ({"days": {"mon": "02:30"}, "fresh": "36h"}, 1.5),
        ({}, None),
    ],
)
def test_how_long_a_backup_stays_fresh_follows_from_the_days(
    fields: dict[str, object], days: float | None
) -> None:
    length = backups(**fields).stays_fresh
    assert (length / timedelta(days=1) if length else None) == days
