"""One runner at a time, and no lock that outlives its process (LOCK-04)."""

import fcntl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.lock import LockHeld, RunnerLock

HOLD = """
import sys
from reconciler.lock import RunnerLock
lock = RunnerLock(sys.argv[1])
assert lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def clock() -> datetime:
    return datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "fleet.db.lock"


def test_a_second_runner_gets_nothing_and_learns_who_has_it(path: Path) -> None:
    first, second = RunnerLock(path, clock), RunnerLock(path, clock)
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    assert first.holder() == second.holder()
    assert second.holder().startswith("pid ")
    assert second.holder().endswith("since 2026-03-01 12:00:00 UTC")
    second.release()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_nobody_holds_a_free_lock(path: Path) -> None:
    lock = RunnerLock(path)
    assert lock.holder() == ""
    with lock:
        assert lock.holder()
    assert lock.holder() == ""
    assert path.read_text() == ""


def test_entering_a_held_lock_names_its_holder(path: Path) -> None:
    with (
        RunnerLock(path, clock),
        pytest.raises(LockHeld, match="since 2026-03-01"),
        RunnerLock(path, clock),
    ):
        raise AssertionError("two runners at work")


def test_asking_who_holds_it_leaves_the_lock_free(path: Path) -> None:
    lock = RunnerLock(path)
    path.parent.mkdir()
    with path.open("w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        assert lock.holder() == ""
        assert not lock.acquire()
    assert lock.acquire()
    lock.release()


def test_lock_04_the_lock_dies_with_a_killed_process(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    lock = RunnerLock(path)
    assert not lock.acquire()
    assert f"pid {process.pid} " in lock.holder()
    process.kill()
    process.communicate()
    assert lock.holder() == ""
    assert lock.acquire()
    lock.release()
