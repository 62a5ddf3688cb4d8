"""How loops stand, and how that is told: the list, one of them, orphans, names."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.config import open_live
from reconciler.loops.loop import LoopResult, Occasion
from reconciler.loops.process import process_vms
from reconciler.loops.registry import answers, built_in, called
from reconciler.loops.standing import Standing, standings
from reconciler.show.jobs import job_json, next_words, render_dry, render_job, render_jobs
from reconciler.show.text import Paint
from state.store import Store
from tests.lab import Killed
from tests.reconciler.loops.jobs import LoopLab, Plain, loop_lab


@pytest.fixture
def lab(tmp_path: Path) -> LoopLab:
    return loop_lab(tmp_path, "schedule: {profile: fast, every: {process_vms: 10min}}")


def at(lab: LoopLab) -> datetime:
    return datetime.fromtimestamp(lab.clock(), UTC)


def stand(lab: LoopLab, *loops: Plain) -> list[Standing]:
    made = [process_vms(), *(one.loop() for one in loops)]
    with lab._opening(open_live)(lab.fleet, lab.where, at(lab)) as opened:
        return standings(made, opened.fleet, opened.store, at(lab))


def test_task_07_the_last_run_and_its_status_are_shown(lab: LoopLab) -> None:
    """TASK-07, FRM-17"""
    count = Plain(act=lambda _: LoopResult(processed=4, errors=1, message="one was odd"))
    lab.due(count.loop(), by="ann")
    main, mine = stand(lab, count)
    assert (mine.status, mine.processed, mine.errors, mine.by) == ("success", 4, 1, "ann")
    assert (mine.schedule, mine.source) == ("hourly", "built in")
    assert (main.schedule, main.source, main.status) == ("10min", "fleet", "success")
    words = render_job(mine, at(lab), Paint())
    assert "schedule   hourly (built in)" in words
    assert "status     success: one was odd" in words
    assert "counts     processed: 4, errors: 1" in words
    assert "by ann" in words
    assert job_json(mine)["processed"] == 4


def test_frm_18_the_output_of_the_last_run_is_shown(lab: LoopLab) -> None:
    """FRM-18"""

    def say(occasion: Occasion) -> LoopResult:
        occasion.note("one is counted")
        return LoopResult()

    count = Plain(act=say)
    lab.due(count.loop())
    assert render_job(stand(lab, count)[1], at(lab), Paint()).endswith("output\none is counted")


def test_process_vms_of_a_minute_stands_by_the_journal(tmp_path: Path) -> None:
    lab = loop_lab(tmp_path)
    [never] = stand(lab)
    assert (never.status, never.last_run, next_words(never, at(lab))) == ("never", None, "due")
    assert "last run   never" in render_job(never, at(lab), Paint())
    lab.due()
    [main] = stand(lab)
    assert (main.status, main.processed, main.message) == ("success", 1, "1 of 1 VMs ready")
    with pytest.raises(Killed):
        lab.run(after=1)
    assert stand(lab)[0].status == "running"


def test_what_does_not_run_says_so(lab: LoopLab) -> None:
    off, disabled = Plain("off", "0"), Plain("disabled")
    with Store.open(lab.where, at=at(lab)) as store:
        store.loops.activate("disabled", False)
        store.loops.reschedule("disabled", "daily at 02:30")
    _, one, two = stand(lab, off, disabled)
    assert (next_words(one, at(lab)), one.schedule) == ("off", "off")
    assert (next_words(two, at(lab)), two.source) == ("disabled", "job edit")


def test_a_killed_loop_is_due(lab: LoopLab) -> None:
    def die(occasion: Occasion) -> LoopResult:
        raise Killed

    deadly = Plain("deadly", "daily at 02:30", die)
    with pytest.raises(Killed):
        lab.due(deadly.loop())
    found = stand(lab, deadly)[1]
    assert (found.status, next_words(found, at(lab))) == ("running", "due")


def test_frm_07_a_loop_whose_code_has_gone_is_orphaned_and_counts_as_wrong(lab: LoopLab) -> None:
    """FRM-07: its row stays, and says what to do."""
    lab.due(Plain("gone").loop())
    found = stand(lab)
    assert [(one.name, one.status, one.failed) for one in found] == [
        ("process_vms", "success", False),
        ("gone", "orphaned", True),
    ]
    text = render_jobs(found, at(lab), Paint())
    assert "gone orphaned: its code is not there: bring that back, or remove the job" in text
    assert next_words(found[1], at(lab)) == "-"
    assert stand(lab, Plain("gone"))[1].status == "success"


def test_a_dry_run_has_a_banner() -> None:
    """FRM-06"""
    said = render_dry("count", LoopResult(processed=2, details=("a would go",)), Paint())
    assert said.splitlines() == [
        "Dry run: nothing was changed or sent.",
        "a would go",
        "count: processed: 2, errors: 0",
    ]
    with_words = render_dry("count", LoopResult("skipped", message="no server"), Paint())
    assert with_words.endswith("count skipped: no server")


def test_c_02_loops_answer_to_their_names_in_both_spellings() -> None:
    """C-02"""
    assert built_in()[0].name == "process_vms"
    for name in ("process_vms", "processVms", "processVirtualMachines"):
        found = called(name)
        assert found is not None and found.name == "process_vms"
    assert called("nap") is None
    assert answers(Plain("remove_old_ones").loop(), "removeOldOnes")
