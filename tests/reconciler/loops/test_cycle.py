"""A run of all that is due: who runs, in what order, how long, and what a kill leaves."""

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.location import fleet_lock, fleet_place
from reconciler.lock import LockHeld, loop_lock
from reconciler.loops.loop import LoopResult, Occasion
from reconciler.report import JobDone, Remark
from state.api import Unavailable
from state.store import Store, StoreError
from tests.lab import Killed
from tests.reconciler.loops.jobs import LoopLab, Plain, loop_lab

OFF = "schedule: {timezone: Europe/Berlin, every: {process_vms: 0}}"


@pytest.fixture
def lab(tmp_path: Path) -> LoopLab:
    made = loop_lab(tmp_path)
    made.settle()
    return made


@pytest.fixture
def still(tmp_path: Path) -> LoopLab:
    """A lab in Berlin where nothing but the test's own loops runs, at any moment."""
    return loop_lab(tmp_path, OFF)


def set_clock(lab: LoopLab, text: str) -> None:
    """Let it be a moment, of the year 2026, in UTC."""
    lab.clock.seconds = datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC).timestamp()


def texts(lab: LoopLab) -> list[str]:
    return [one.text for one in lab.told.events if isinstance(one, Remark)]


def opened(lab: LoopLab) -> Store:
    return Store.open(lab.where, at=datetime.fromtimestamp(lab.clock(), UTC))


def test_once_runs_process_vms_first_and_then_what_is_due(lab: LoopLab) -> None:
    """TASK-08, TASK-11: a summary line per task and a final line per run."""
    count = Plain()
    tally = lab.due(count.loop(), by="ann")
    assert list(tally.results) == ["process_vms", "count"]
    assert not tally.failed
    assert tally.summary is not None and tally.summary.ready == 1
    assert (count.runs[0].by, count.runs[0].number) == ("ann", 1)
    said = texts(lab)
    [done] = [one for one in lab.told.events if isinstance(one, JobDone)]
    assert (done.task, done.status, done.processed, done.last) == ("count", "success", 1, None)
    assert said[-1].startswith("Run of 2 loops done (")
    assert said[-1].endswith("process_vms, count — processed: 1, errors: 0")


def test_frm_14_a_new_loop_runs_at_once_and_then_by_its_schedule(still: LoopLab) -> None:
    """FRM-14, TASK-07"""
    set_clock(still, "03-02 12:10")
    count = Plain()
    for minute in ("12:10", "12:11", "12:59", "13:00", "13:01", "13:59", "14:30", "14:31"):
        set_clock(still, f"03-02 {minute}")
        still.due(count.loop())
    assert [f"{one.start:%H:%M}" for one in count.runs] == ["12:10", "13:00", "14:30"]


def test_process_vms_of_a_minute_is_due_whenever_a_person_asks(lab: LoopLab) -> None:
    assert "process_vms" in lab.due().results
    assert "process_vms" in lab.due().results


def test_process_vms_of_longer_runs_by_its_schedule_unless_it_is_asked_for(tmp_path: Path) -> None:
    lab = loop_lab(tmp_path, "schedule: {every: {process_vms: 10min}}")
    assert "process_vms" in lab.due().results
    lab.clock.sleep(60)
    assert lab.due().results == {}
    assert "nothing is due until" in texts(lab)[-1]
    assert "reconcile job run process_vms runs it now" in texts(lab)[-1]
    assert "process_vms" in lab.due(only=("vm-*",)).results
    lab.clock.sleep(540)
    assert "process_vms" in lab.due().results


def test_process_vms_that_was_asked_for_has_had_its_slot(tmp_path: Path) -> None:
    """A run for some VMs only has not."""
    lab = loop_lab(tmp_path, "schedule: {every: {process_vms: 10min}}")
    lab.due()
    lab.clock.sleep(300)
    lab.due(only=("vm-0",))
    lab.due(beat=60.0)
    lab.clock.sleep(400)
    assert lab.due().results == {}
    lab.clock.sleep(200)
    assert "process_vms" in lab.due().results


def test_a_run_for_some_vms_only_is_process_vms_alone(lab: LoopLab) -> None:
    count = Plain()
    assert list(lab.due(count.loop(), only=("vm-0",)).results) == ["process_vms"]
    assert count.runs == []


def test_task_07_0_and_disabled_switch_a_loop_off(lab: LoopLab) -> None:
    """TASK-07, C-01"""
    off, disabled = Plain("off", "0"), Plain("disabled")
    with opened(lab) as store:
        store.loops.activate("disabled", False)
    lab.due(off.loop(), disabled.loop())
    assert off.runs == disabled.runs == []
    lab.one(disabled.loop())
    assert len(disabled.runs) == 1


def test_when_all_is_switched_off_the_run_says_so(tmp_path: Path) -> None:
    lab = loop_lab(tmp_path, "schedule: {every: {process_vms: 0}}")
    assert lab.due().results == {}
    assert "every job is switched off" in texts(lab)[-1]


def test_frm_17_a_persons_schedule_goes_before_the_fleets(still: LoopLab) -> None:
    """FRM-17: and counts at once."""
    set_clock(still, "03-02 12:10")
    count = Plain(schedule="weekly on sun at 02:30")
    still.due(count.loop())
    with opened(still) as store:
        store.loops.reschedule("count", "every 5min")
    set_clock(still, "03-02 12:15")
    still.due(count.loop())
    set_clock(still, "03-02 12:19")
    still.due(count.loop())
    assert [f"{one.start:%H:%M}" for one in count.runs] == ["12:10", "12:15"]


def test_five_missed_nights_make_one_run(still: LoopLab) -> None:
    nightly = Plain(schedule="daily at 02:30")
    for moment in ("03-02 12:00", "03-07 12:00", "03-07 12:01", "03-08 01:29", "03-08 01:30"):
        set_clock(still, moment)
        still.due(nightly.loop())
    starts = [f"{one.start:%m-%d %H:%M}" for one in nightly.runs]
    assert starts == ["03-02 12:00", "03-07 12:00", "03-08 01:30"]


@pytest.mark.parametrize(
    ("zone", "month", "changed", "slot"),
    [
        ("Europe/Berlin", "03-15", "03-29 01:00", "02:30"),
        ("Europe/Berlin", "10-11", "10-25 00:30", "02:30"),
        ("America/New_York", "02-22", "03-08 07:00", "02:30"),
        ("America/New_York", "10-18", "11-01 05:30", "01:30"),
    ],
)
def test_a_month_of_nights_each_once_also_when_the_clocks_change(
    tmp_path: Path, zone: str, month: str, changed: str, slot: str
) -> None:
    """FRM-03: a run each half an hour, for 30 days."""
    lab = loop_lab(tmp_path, OFF.replace("Europe/Berlin", zone))
    nightly, often = Plain("nightly", f"daily at {slot}"), Plain("often", "every 6h")
    begin = datetime.fromisoformat(f"2026-{month}").replace(hour=12, tzinfo=UTC)
    with lab.month() as run:
        for half in range(30 * 48):
            run(begin + timedelta(minutes=30 * half), nightly.loop(), often.loop())
    starts = [one.start for one in nightly.runs[1:]]
    assert f"{changed}" in [f"{start:%m-%d %H:%M}" for start in starts]
    assert set(Counter(start.astimezone(lab.zone(zone)).date() for start in starts).values()) == {1}
    assert len(starts) == 30
    assert len(often.runs) == 30 * 4


def test_lock_01_a_loop_whose_lock_is_held_is_left_out(lab: LoopLab) -> None:
    """LOCK-01, LOCK-03: the others run."""
    count, other = Plain(), Plain("other")
    with loop_lock(fleet_place(lab.fleet, lab.where), "count"):
        tally = lab.due(count.loop(), other.loop())
        assert list(tally.results) == ["process_vms", "other"]
        assert any(text.startswith("count skipped: already running (pid ") for text in texts(lab))
        with pytest.raises(LockHeld, match="pid"):
            lab.one(count.loop())
    assert "count" in lab.due(count.loop()).results


def test_lock_01_the_others_run_while_process_vms_is_at_work_elsewhere(lab: LoopLab) -> None:
    """LOCK-01"""
    count = Plain()
    with fleet_lock(lab.fleet, lab.where):
        tally = lab.due(count.loop())
        with pytest.raises(LockHeld):
            lab.due()
    assert list(tally.results) == ["count"]
    assert tally.held.startswith("pid ")
    assert tally.summary is None


def test_frm_04_one_loops_error_stops_none_of_the_others(lab: LoopLab) -> None:
    """FRM-04"""

    def fail(occasion: Occasion) -> LoopResult:
        raise ZeroDivisionError("by zero")

    def away(occasion: Occasion) -> LoopResult:
        raise Unavailable("no answer")

    broken, gone, sound = Plain("a", act=fail), Plain("b", act=away), Plain("c")
    tally = lab.due(broken.loop(), gone.loop(), sound.loop())
    assert tally.failed
    assert [one.status for one in tally.results.values()] == [
        "success",
        "error",
        "error",
        "success",
    ]
    with lab.store() as store:
        rows = store.loops.all()
    assert rows["a"].message == "ZeroDivisionError: by zero"
    assert rows["b"].message == "no answer"
    ends = [one for one in lab.told.events if isinstance(one, JobDone)]
    assert [one.message for one in ends] == ["ZeroDivisionError: by zero", "no answer", "counted"]


def test_a_store_that_fails_ends_the_run(lab: LoopLab) -> None:
    def fail(occasion: Occasion) -> LoopResult:
        raise StoreError("disk full")

    with pytest.raises(StoreError):
        lab.due(Plain(act=fail).loop())
    with lab.store() as store:
        assert store.loops.of("count").message == "disk full"


def test_frm_04_skipped_is_no_failure(lab: LoopLab) -> None:
    """FRM-04: it could not run, as what it needs is not set up."""
    skips = Plain(act=lambda _: LoopResult("skipped", message="no server is named"))
    assert not lab.due(skips.loop()).failed
    with lab.store() as store:
        assert store.loops.of("count").status == "skipped"
    [done] = [one for one in lab.told.events if isinstance(one, JobDone)]
    assert (done.status, done.message) == ("skipped", "no server is named")


def test_frm_05_a_loop_may_switch_itself_off(lab: LoopLab) -> None:
    """FRM-05"""
    once = Plain(schedule="every_run", act=lambda _: LoopResult(deactivate=True))
    lab.due(once.loop())
    assert any("has switched itself off" in text for text in texts(lab))
    lab.due(once.loop())
    assert len(once.runs) == 1


def test_frm_18_what_a_loop_says_is_kept(lab: LoopLab) -> None:
    """FRM-18, FRM-10: shown as it comes, and kept with the loop."""

    def say(occasion: Occasion) -> LoopResult:
        occasion.note("counting", "vm-0")
        occasion.warn("one is odd")
        for number in range(3000):
            occasion.note(f"line {number} of many")
        return LoopResult(details=("at last",))

    lab.due(Plain(act=say).loop())
    assert "counting" in texts(lab)
    with lab.store() as store:
        output = store.loops.of("count").output
    assert output.endswith("line 2999 of many\nat last")
    assert len(output) <= 16384


def test_frm_11_each_due_loop_has_its_least_share_of_the_time(still: LoopLab) -> None:
    """FRM-11"""
    loops = [Plain(f"loop-{number}") for number in range(3)]
    still.due(*(one.loop() for one in loops), time_limit=540)
    ends = [one.runs[0].deadline for one in loops]
    assert [(ends[2] - end).total_seconds() for end in ends] == [20.0, 10.0, 0.0]
    still.clock.sleep(3600)
    still.due(*(one.loop() for one in loops), time_limit=24)
    ends = [one.runs[1].deadline for one in loops]
    assert [(ends[2] - end).total_seconds() for end in ends] == [8.0, 4.0, 0.0]
    assert not loops[2].runs[1].out_of_time()
    still.clock.sleep(24)
    assert loops[2].runs[1].out_of_time()


def test_frm_11_what_the_time_does_not_suffice_for_runs_first_next_time(lab: LoopLab) -> None:
    """FRM-11: the rest continues with the next run."""

    def dawdle(occasion: Occasion) -> LoopResult:
        lab.clock.sleep(600)
        return LoopResult()

    slow, other = Plain("slow", "hourly", dawdle), Plain("other", "hourly")
    lab.due(slow.loop(), other.loop())
    assert other.runs == []
    assert "the time is out: other left to the next run" in texts(lab)
    lab.due(slow.loop(), other.loop())
    assert len(other.runs) == 1


@pytest.mark.parametrize("state", ["claimed", "running", "written"])
def test_a_loop_killed_in_any_state_is_gone_on_with(still: LoopLab, state: str) -> None:
    """`kill -9` of a nightly job: its slot is not lost, and it is not run twice for nothing."""
    set_clock(still, "03-02 12:00")
    work: list[str] = []

    def act(occasion: Occasion) -> LoopResult:
        if state == "claimed" and not work:
            work.append("begun")
            raise Killed
        work.append("done")
        if state == "running" and len(work) == 1:
            raise Killed
        return LoopResult()

    nightly = Plain("nightly", "daily at 02:30", act)
    if state == "written":
        still.due(nightly.loop())
    else:
        with pytest.raises(Killed):
            still.due(nightly.loop())
    still.clock.sleep(60)
    still.due(nightly.loop())
    still.clock.sleep(60)
    still.due(nightly.loop())
    assert len(nightly.runs) == (1 if state == "written" else 2)
    with still.store() as store:
        assert store.loops.of("nightly").status == "success"


def test_a_loop_that_kills_its_process_each_time_waits_for_its_next_slot(still: LoopLab) -> None:
    set_clock(still, "03-02 12:00")

    def die(occasion: Occasion) -> LoopResult:
        raise Killed

    deadly = Plain("deadly", "hourly", die)
    for _ in range(10):
        with suppress(Killed):
            still.due(deadly.loop())
        still.clock.sleep(60)
    assert len(deadly.runs) == 4
    assert "nothing is due until" in texts(still)[-1]
    set_clock(still, "03-02 13:00")
    with pytest.raises(Killed):
        still.due(deadly.loop())


def test_a_run_that_was_overtaken_is_not_kept(lab: LoopLab) -> None:
    def overtaken(occasion: Occasion) -> LoopResult:
        row = occasion.store.loops.of("count")
        occasion.store.loops.claim(row, occasion.start, None, "another")
        return LoopResult(message="mine")

    lab.due(Plain(act=overtaken).loop())
    assert any("another run of it has begun meanwhile" in text for text in texts(lab))
    with lab.store() as store:
        assert store.loops.of("count").by == "another"


def test_cli_04_a_loop_is_run_by_name_whether_it_is_due_or_not(still: LoopLab) -> None:
    """CLI-04: its next slot counts from then."""
    set_clock(still, "03-02 12:00")
    count = Plain(schedule="every 1h")
    still.due(count.loop())
    set_clock(still, "03-02 12:50")
    assert still.one(count.loop()).message == "counted"
    set_clock(still, "03-02 13:01")
    still.due(count.loop())
    assert len(count.runs) == 2


def test_two_who_run_one_loop_by_name_do_not_both(lab: LoopLab) -> None:
    with opened(lab) as store:
        before = store.loops.of("count")
        store.loops.claim(before, datetime.fromtimestamp(lab.clock(), UTC), None, "x")
    count = Plain()
    count.act = lambda occasion: LoopResult(message=str(occasion.number))
    assert lab.one(count.loop()).message == "2"


def test_frm_06_a_dry_run_is_given_a_preview(lab: LoopLab) -> None:
    """FRM-06"""
    before = lab.bytes()

    def say(occasion: Occasion) -> LoopResult:
        assert occasion.dry
        with pytest.raises(StoreError):
            occasion.store.settings.put("x", 1)
        return LoopResult(processed=3, message="3 would go")

    assert lab.preview(Plain(act=say).loop()).processed == 3
    assert lab.bytes() == before
