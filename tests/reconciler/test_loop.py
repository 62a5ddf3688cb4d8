"""A run as a whole: one at a time, what it sets down, and what stops it before it begins."""

from pathlib import Path

import pytest

from reconciler.location import fleet_lock
from reconciler.lock import LockHeld
from reconciler.options import BrokenSpecs
from reconciler.report import Remark, RunDone, RunStarted
from tests.lab import Lab
from tests.laws.fleets import Spec, fleet_files

ONE: Spec = {"node": "pve1", "memory": "1GiB"}
BROKEN: Spec = {"node": "pve1", "memory": "a lot"}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, fleet_files({"one": ONE}))


def test_a_second_runner_stays_out(lab: Lab) -> None:
    """Issue 5: one runner at a time, by a lock that dies with its process."""
    held = fleet_lock(lab.fleet, str(lab.database))
    with held, pytest.raises(LockHeld):
        lab.run()
    assert lab.run().ready == 1


def test_a_run_says_what_it_begins_with_and_what_it_came_to(lab: Lab) -> None:
    """CLI-02, LOG-01"""
    first = lab.run()
    lab.clock.sleep(60)
    lab.run()
    started, done = lab.told.events[0], lab.told.events[-1]
    assert isinstance(started, RunStarted)
    assert isinstance(done, RunDone)
    assert (started.keys, started.last is not None, started.run) == (("one",), True, 2)
    assert (done.summary.ready, done.summary.writes) == (1, 0)
    with lab.store() as store:
        kept = store.journal.runs()[-1]
    assert (kept.summary["ready"], kept.summary["writes"]) == (first.ready, first.writes)
    assert kept.finished_at is not None


def test_a_broken_spec_is_told_and_stops_itself_only(lab: Lab) -> None:
    """DEP-27"""
    lab.write(fleet_files({"one": ONE, "bad": BROKEN}))
    summary = lab.run()
    assert (summary.vms, summary.ready, summary.failed) == (2, 1, 1)
    told = [one for one in lab.told.events if isinstance(one, Remark)]
    assert [(one.key, one.level) for one in told if one.key] == [("bad", "error")]


def test_strict_stops_before_the_first_request(lab: Lab) -> None:
    lab.write(fleet_files({"one": ONE, "bad": BROKEN}))
    for begin in (lab.run, lab.dry):
        with pytest.raises(BrokenSpecs, match="memory"):
            begin(strict=True)
    assert lab.wire.calls == []


def test_a_renamed_machine_is_told_of(lab: Lab) -> None:
    """Design 4, Identity: `was:` keeps the machine."""
    lab.settle()
    lab.write(fleet_files({"new": {**ONE, "was": "one"}}))
    assert lab.run().ready == 1
    told = [one.text for one in lab.told.events if isinstance(one, Remark)]
    assert "renamed one -> new" in told


def test_a_dry_run_of_a_bug_free_world_has_no_other_kind(lab: Lab) -> None:
    lab.settle()
    assert [vm.kind for vm in lab.dry().vms] == ["unchanged"]
