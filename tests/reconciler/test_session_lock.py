"""The runner's lock in a server's database: it goes with its connection (LOCK-03)."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.lock import LockHeld, SessionLock, runner_lock
from reconciler.tenure import Tenure, Terms
from state.place import Place, read_place
from state.store import Lost, Store
from tests.reconciler.tenants import until
from tests.servers.postgres import Postgres

HOLD = """
import sys
from pathlib import Path
from reconciler.lock import SessionLock
from state.place import read_place
lock = SessionLock(read_place(sys.argv[1], key=Path("k")))
assert lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(postgres: Postgres, tmp_path: Path) -> Place:
    """A database without tables: the lock is taken before the store is made."""
    return read_place(postgres.url(postgres.database("template0")), key=tmp_path / "k")


def test_a_second_runner_gets_nothing_and_learns_who_has_it(place: Place) -> None:
    """LOCK-05"""
    first, second = runner_lock(place), runner_lock(place)
    assert isinstance(first, Tenure)
    assert second.holder() == ""
    assert first.acquire() and first.acquire() and first.held()
    assert not second.acquire() and not second.held()
    assert first.holder() == second.holder()
    assert second.holder().startswith(f"pid {os.getpid()} on ")
    assert second.holder().endswith(" UTC")
    with pytest.raises(LockHeld, match="pid"), second:
        raise AssertionError("two runners at work")
    first.release()
    first.release()
    with second:
        assert second.held() and not first.held()


def test_other_names_and_other_schemas_are_other_locks(place: Place, postgres: Postgres) -> None:
    postgres.sql("CREATE SCHEMA other", name=str(place.url.database))
    options = {"options": "-csearch_path=other"}
    other = Place(place.url.update_query_dict(options), place.key)
    with SessionLock(place), SessionLock(place, "purge") as purge, SessionLock(other) as third:
        assert purge.held() and third.held()


def test_lock_03_lock_04_the_lock_dies_with_a_killed_process(
    place: Place, postgres: Postgres
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, postgres.url(str(place.url.database))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    lock = SessionLock(place)
    assert not lock.acquire()
    holder = f"pid {process.pid} on "
    assert lock.holder().startswith(holder)
    process.kill()
    process.communicate()
    # The server hears of it by the closed connection, in its own time.
    while lock.holder().startswith(holder):
        pass
    with lock:
        assert lock.held()


def test_a_lock_whose_connection_was_cut_is_held_no_more(place: Place, postgres: Postgres) -> None:
    """What a fence asks before a write."""
    lock = SessionLock(place)
    with lock:
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{}'"
        postgres.sql(ended.format(place.url.database))
        assert not lock.held()
        with SessionLock(place) as other:
            assert other.held()


def test_a_run_whose_connection_was_cut_ends_and_the_next_begins(
    place: Place, postgres: Postgres
) -> None:
    """LOCK-03, LOCK-05: also one that has the lock's row in the store."""
    Store.open(place, at=datetime(2026, 3, 1, tzinfo=UTC)).close()
    with runner_lock(place, Terms(timeout=0.4)) as lock:
        lock.insist()
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{}'"
        postgres.sql(ended.format(place.url.database))
        until(lambda: not lock.held())
        for _ in range(2):
            with pytest.raises(Lost, match="the next run goes on from there"):
                lock.insist()
        with runner_lock(place) as other:
            other.insist()
            assert other.holder().startswith(f"pid {os.getpid()} on ")


def test_a_server_that_is_not_there_is_said() -> None:
    nowhere = read_place("postgresql://ann@127.0.0.1:1/x", key=Path("k"))
    with pytest.raises(Lost, match="open a session"), SessionLock(nowhere):
        raise AssertionError("locked nowhere")
