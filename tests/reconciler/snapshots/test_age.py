"""Which snapshots go: too old, too many, or in the way of the next; the oldest first."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from desired.snapshots import Snapshots
from desired.spec import Quota, VMSpec
from reconciler.snapshots.age import Aged, is_ours, outlived

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def spec(quota: int | None = None, **policy: object) -> VMSpec:
    return VMSpec(
        key="a",
        cluster="demo",
        name="a",
        snapshots=Snapshots.model_validate(policy),
        quota=None if quota is None else Quota(snapshots=quota),
    )


def taken(*days: float, ours: bool = True, prefix: str = "s") -> list[Aged]:
    return [Aged(f"{prefix}{day:g}", NOW - timedelta(days=day), ours) for day in days]


def going(spec: VMSpec, *lists: list[Aged]) -> list[str]:
    return [one.name for one, _ in outlived([one for each in lists for one in each], spec, NOW)]


def test_task_02_what_is_older_than_its_lifetime_goes_the_oldest_first() -> None:
    """TASK-02"""
    assert going(spec(lifetime="3d"), taken(1, 3.1, 2.9, 8)) == ["s8", "s3.1"]


def test_c_12_without_a_lifetime_none_goes() -> None:
    """C-12: never is the default."""
    assert going(spec(), taken(1, 400)) == []
    assert going(VMSpec(key="a", cluster="demo", name="a"), taken(400)) == []


@pytest.mark.parametrize("life", ["1d", "10d", "never"])
def test_c_12_a_lifetime_is_never_or_one_to_ten_days(life: str) -> None:
    """C-12"""
    policy = Snapshots.model_validate({"lifetime": life})
    assert Snapshots.model_validate(policy.model_dump()) == policy
    for wrong in ("11d", "12h", "0d"):
        with pytest.raises(ValidationError):
            Snapshots.model_validate({"lifetime": wrong})


def test_those_of_others_and_before_guarded_changes_are_left() -> None:
    others, guard = taken(9, ours=False, prefix="x"), [Aged("rc-7-abcdef", NOW, ours=True)]
    assert going(spec(lifetime="1d", keep=1), others, guard, taken(5)) == ["s5"]
    assert going(spec(lifetime="1d", foreign=True), others, taken(5)) == ["x9", "s5"]


def test_beyond_keep_the_oldest_goes() -> None:
    assert going(spec(keep=2), taken(1, 2, 3, 4)) == ["s4", "s3"]
    assert going(spec(keep=4), taken(1, 2, 3, 4)) == []


def test_task_10_room_is_made_for_the_next_by_schedule() -> None:
    """TASK-10: else the quota would refuse it."""
    assert going(spec(quota=3, schedule="daily at 03:00"), taken(1, 2, 3)) == ["s3"]
    assert going(spec(quota=3), taken(1, 2, 3)) == []
    assert going(spec(quota=0, schedule="daily at 03:00"), taken(1, 2, 3)) == []


def test_a_schedule_is_once_an_hour_at_most() -> None:
    for wrong in ("5min", "every_run", "at noon"):
        with pytest.raises(ValidationError):
            Snapshots.model_validate({"schedule": wrong})
    assert not Snapshots().timetable.runs


def test_a_snapshot_is_ours_by_the_last_line_of_its_description() -> None:
    assert is_ours("as sold\n\nreconcile: asked by ann@desk")
    assert not is_ours("before reconcile: asked")
    assert not is_ours("")
