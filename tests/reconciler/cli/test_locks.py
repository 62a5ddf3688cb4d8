"""`reconcile locks` and `--no-lock`: who is at work, and a lock taken from its holder (LOCK-02)."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from reconciler.lock import LockHeld, loop_lock
from reconciler.tenure import Terms
from state.holder import this_process
from state.lockrows import FileAsking, LockLost, LockRows
from state.place import Place, read_place
from state.store import Store
from tests.reconciler.test_tenure import AT


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    folder = tmp_path / "fleet"
    (folder / "vms").mkdir(parents=True)
    (folder / "fleet.yaml").write_text("fleet: lab\nclusters: {lab: {simulated: {nodes: 1}}}\n")
    (folder / "vms" / "web.yaml").write_text("web-1: {cluster: lab, template: t, state: absent}\n")
    Store.open(place_of(folder), at=AT).close()
    return folder


def place_of(fleet: Path) -> Place:
    return read_place(str(fleet.parent / "lab.db"))


def call(fleet: Path, *words: str) -> Result:
    database = str(fleet.parent / "lab.db")
    return CliRunner().invoke(cli, ["--fleet", str(fleet), "--database", database, *words])


def leave_behind(fleet: Path, name: str, host: str, timeout: float, pid: int = 2**22 + 1) -> None:
    """A row of a process that is gone, or of another machine."""
    rows = LockRows(FileAsking(fleet.parent / "lab.db"), name)
    here = this_process(host or None)
    gone = type(here)(here.host, here.machine, here.boot, here.space, pid, "1")
    assert rows.take(gone, timeout, rows.read(), guarded=False)
    rows.link.close()


def test_lock_02_locks_are_seen(fleet: Path) -> None:
    """LOCK-02"""
    assert call(fleet, "locks", "list").output.startswith("nobody is at work")
    leave_behind(fleet, "dead", "", 600.0)
    leave_behind(fleet, "far", "far-away", 600.0)
    leave_behind(fleet, "late", "far-away", -1.0)
    with loop_lock(place_of(fleet), "label"):
        text = call(fleet, "locks", "list").output
        told = json.loads(call(fleet, "locks", "list", "--output", "json").output)
    states = {one["lock"]: one["state"] for one in told["locks"]}
    assert states == {"dead": "dead", "far": "held", "label": "held", "late": "stale"}
    assert f"pid {os.getpid()} on " in text and "on far-away" in text
    free = json.loads(call(fleet, "locks", "list", "--output", "json").output)["locks"][2]
    assert (free["state"], free["pid"], free["number"]) == ("free", None, 1)


def test_lock_02_what_was_left_behind_is_cleared_and_who_works_is_named(fleet: Path) -> None:
    """LOCK-02"""
    leave_behind(fleet, "dead", "", 600.0)
    leave_behind(fleet, "late", "far-away", -1.0)
    with loop_lock(place_of(fleet), "label") as lock:
        said = call(fleet, "locks", "clear").output
        assert said.splitlines()[:2] == ["cleared: dead", "cleared: late"]
        assert f"at work: pid {os.getpid()} on " in said
        assert call(fleet, "locks", "clear", "label", "--stale").output.startswith("at work: pid")
        lock.insist()
    assert call(fleet, "--clear-locks").output.startswith("nobody is at work")
    assert call(fleet, "locks", "clear", "label").output == "nobody has the lock of label.\n"


def test_lock_02_a_named_lock_is_taken_from_its_holder(fleet: Path) -> None:
    """LOCK-02: whose run ends before its next write."""
    place = place_of(fleet)
    terms = Terms(timeout=0.0)
    with loop_lock(place, "label", terms) as lock:
        told = json.loads(call(fleet, "locks", "clear", "label", "--output", "json").output)
        assert told["cleared"] == ["label"]
        with pytest.raises(LockLost, match="it was cleared"):
            lock.insist()
        with loop_lock(place, "label") as other:
            other.insist()


def test_no_lock_runs_beside_another_and_says_so(fleet: Path) -> None:
    """LOCK-02: `--no-lock` for debugging."""
    with loop_lock(place_of(fleet), "process_vms"):
        assert isinstance(call(fleet, "--once").exception, LockHeld)
        ran = call(fleet, "--once", "--no-lock")
    assert ran.exit_code == 0
    assert "--no-lock: nothing keeps another run from working too" in ran.output
    assert "--no-lock" in call(fleet, "--no-lock").output
