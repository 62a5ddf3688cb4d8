"""How often jobs run: profiles, and what a fleet says otherwise."""

from typing import get_args

import pytest
from pydantic import ValidationError

from desired.schedule import Job, Schedule

JOBS = get_args(Job)


@pytest.mark.parametrize(
    ("profile", "minutes"), [("default", [1, 60, 5, 5, 60, 60]), ("fast", [1, 5, 1, 1, 5, 60])]
)
def test_c_01_profiles_have_the_contracts_intervals(profile: str, minutes: list[int]) -> None:
    """C-01"""
    schedule = Schedule.model_validate({"profile": profile})
    assert [schedule.interval(job) for job in JOBS] == [60.0 * one for one in minutes]


def test_c_01_each_is_configurable_and_0_switches_it_off() -> None:
    """C-01, TASK-07"""
    every = {"process_vms": "5min", "remove_snapshots": 0}
    schedule = Schedule.model_validate({"profile": "fast", "every": every})
    assert schedule.interval("process_vms") == 300.0
    assert schedule.interval("remove_snapshots") == 0.0
    assert schedule.interval("backup_status") == 60.0


def test_c_01_a_job_may_have_times_of_day_in_the_sites_zone() -> None:
    """C-01, FRM-03"""
    every = {"remove_snapshots": "daily at 02:30", "schedule_backup": "0 * * * *"}
    schedule = Schedule.model_validate({"timezone": "Europe/Berlin", "every": every})
    assert schedule.timetable("remove_snapshots").cron == "30 2 * * *"
    assert schedule.interval("remove_snapshots") is None
    assert schedule.timetable("backup_status").seconds == 300.0
    assert schedule.model_dump(mode="json")["every"] == every
    assert Schedule().timezone == "UTC"


@pytest.mark.parametrize(
    "wrong",
    [
        {"timezone": "Mars/Olympus"},
        {"every": {"process_vms": "at night"}},
        {"profile": "slow"},
        {"every": {"process_vms": 5}},
        {"every": {"nap": "1h"}},
    ],
)
def test_what_is_no_schedule_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Schedule.model_validate(wrong)
