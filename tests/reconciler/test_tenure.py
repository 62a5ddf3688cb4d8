"""A lock is alive by its heartbeat, dead with its process, and fenced (LOCK-02 to LOCK-05)."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.latch import RunnerLock
from reconciler.lock import LockHeld, NoLock, loop_lock
from reconciler.tenure import Tenure, Terms
from state.holder import Holder, this_process
from state.lockrows import FileAsking, LockLost, LockRow, LockRows
from state.place import Place, read_place
from state.store import Store
from tests.reconciler.tenants import Tenant, lock_of, until
from tests.stores import KINDS, stores_on, where

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SHORT = 0.5
"""A time-out, in seconds, that a test has the time for."""


@pytest.fixture(params=KINDS)
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A store of each kind of database in turn."""
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with stores_on(server):
        found = read_place(where(tmp_path / "fleet.db"), key=tmp_path / "fleet.key")
        Store.open(found, at=AT).close()
        yield found


@pytest.fixture
def filed(tmp_path: Path) -> Place:
    found = read_place(str(tmp_path / "fleet.db"))
    Store.open(found, at=AT).close()
    return found


def row_of(place: Place, name: str = "process_vms") -> LockRow:
    with Store.preview(place, at=AT) as store:
        rows = {row.name: row for row in store.locks.all(AT.timestamp())}
    return rows[name]


def test_lock_05_each_holder_has_a_higher_number_than_the_one_before(place: Place) -> None:
    """LOCK-05"""
    with lock_of(place):
        first = row_of(place)
        assert (first.token, first.holder, first.guarded) == (1, this_process(), True)
    assert row_of(place).is_free
    with lock_of(place, "other-host"):
        assert (row_of(place).token, row_of(place).holder.host) == (2, "other-host")


def test_lock_04_a_killed_holder_is_followed_at_once(place: Place) -> None:
    """LOCK-03, LOCK-04: nothing is left to be cleared by hand."""
    with Tenant(place) as tenant:
        assert tenant.said == "held"
        lock = lock_of(place)
        assert not lock.acquire()
        assert lock.holder().startswith(f"pid {tenant.pid} on ")
        tenant.kill()
        # PostgreSQL hears of it by the closed connection, in its own time.
        until(lock.acquire)
        assert lock.held() and row_of(place).token == 2
        lock.release()


def test_lock_02_a_holder_that_stands_still_past_the_time_out_is_followed(place: Place) -> None:
    """LOCK-02, LOCK-05: when it goes on, it writes nothing more, and says who has the lock."""
    with Tenant(place, timeout=SHORT) as tenant:
        assert (tenant.said, tenant.write()) == ("held", "written")
        tenant.stop()
        lock = lock_of(place, timeout=SHORT)
        assert not lock.acquire()
        until(lock.acquire)
        assert (row_of(place).token, row_of(place).guarded) == (2, False)
        tenant.wake()
        said = tenant.write()
        assert said.startswith(f"the lock of process_vms is lost: pid {os.getpid()} on ")
        assert "took it over" in said and "nothing more is written" in said
        assert tenant.write() == said
        assert lock.held()
        lock.release()
        with lock_of(place, timeout=SHORT) as third:
            assert third.held()


def test_lock_05_two_hosts_never_have_it_at_once(place: Place) -> None:
    """LOCK-05: what another host says of its process is believed until the time-out."""
    with Tenant(place, "host-a") as tenant:
        assert tenant.said == "held"
        with Tenant(place, "host-b") as other:
            assert other.said == f"not held: {lock_of(place, 'host-b').holder()}"
            assert f"pid {tenant.pid} on host-a since" in other.said
        assert tenant.write() == "written"


def test_lock_05_a_host_that_stands_still_is_followed_by_another(place: Place) -> None:
    """LOCK-02, LOCK-05"""
    with Tenant(place, "host-a", timeout=SHORT) as tenant:
        tenant.stop()
        other = lock_of(place, "host-b", timeout=SHORT)
        until(other.acquire)
        tenant.wake()
        assert "on host-b took it over" in tenant.write()
        assert other.held()
        other.release()


def test_a_heartbeat_keeps_the_lock_past_its_time_out(filed: Place) -> None:
    with Tenant(filed, timeout=SHORT) as tenant:
        assert tenant.said == "held"
        first, lock = row_of(filed), lock_of(filed, timeout=SHORT)
        until(lambda: row_of(filed).beat_at > first.until)
        assert not lock.acquire()
        assert (row_of(filed).token, tenant.write()) == (1, "written")


def test_lock_04_the_holder_of_before_a_reboot_is_gone() -> None:
    """Its number may be another process's now: the machine's start tells."""
    here = Holder("a", "machine-1", "boot-2", "space", os.getpid(), this_process().started)
    assert not here.is_gone(here)
    assert replace(here, boot="boot-1").is_gone(here)
    assert replace(here, started="1").is_gone(here)
    assert replace(here, pid=2**22 + 1).is_gone(here)


def test_of_other_machines_and_containers_nothing_is_known() -> None:
    here, gone = this_process(), replace(this_process(), pid=2**22 + 1)
    assert gone.is_gone(here)
    assert not replace(gone, host="b").is_gone(here)
    assert not replace(gone, machine="b").is_gone(here)
    assert not replace(gone, space="pid:[2]").is_gone(here)
    nameless = replace(here, machine="")
    assert not replace(nameless, boot="b").is_gone(nameless)


def test_where_no_start_is_told_the_number_alone_is_asked_for() -> None:
    here = this_process()
    assert not replace(here, started="").is_gone(here)
    assert not replace(here, started="", pid=1).is_gone(here)
    assert replace(here, started="", pid=2**22 + 1).is_gone(here)


def test_lock_04_a_reboot_frees_what_a_time_out_would_hold_for_long(filed: Place) -> None:
    """The row of a machine that lost power while it had the lock without the file's."""
    rows = LockRows(FileAsking(Path(str(filed.file))), "process_vms")
    before = replace(this_process(), boot="before", machine="machine")
    assert rows.take(before, 600.0, None, guarded=False) == 1
    rows.link.close()
    now = replace(before, boot="after")
    latch = RunnerLock(Path(str(filed.file)).with_name("fleet.db.lock"))
    with Tenure(latch, lambda: _rows(filed), "process_vms", Terms(here=now)):
        assert row_of(filed).token == 2
    elsewhere = replace(now, host="elsewhere")
    rows = _rows(filed)
    assert rows.take(elsewhere, 600.0, rows.read(), guarded=False) == 3
    rows.link.close()
    assert not lock_of(filed).acquire()


def _rows(place: Place) -> LockRows:
    return LockRows(FileAsking(Path(str(place.file))), "process_vms")


def test_lock_02_a_lock_that_is_open_ends_its_run(filed: Place) -> None:
    """LOCK-02: the holder may live on, but another has the lock, and it writes nothing more."""
    with Tenant(filed) as tenant, Store.open(filed, at=AT) as store:
        row = row_of(filed)
        assert store.locks.clear(row) and not store.locks.clear(row)
        assert row_of(filed).is_open
        tenant.stop()
        with lock_of(filed) as lock:
            tenant.wake()
            # What it knew is believed for a second.
            until(lambda: tenant.write().startswith("the lock"))
            assert lock.held()


def test_a_lock_is_had_before_there_is_a_store_and_enrolled_then(tmp_path: Path) -> None:
    place = read_place(str(tmp_path / "new.db"))
    lock = lock_of(place, timeout=SHORT)
    with lock:
        assert lock.held() and lock.holder()
        assert not lock_of(place).acquire()
        Store.open(place, at=AT).close()
        with Store.preview(place, at=AT) as store:
            until(lambda: store.locks.all(AT.timestamp()))
        assert row_of(place).holder == this_process()
        with pytest.raises(LockHeld, match="pid"), lock_of(place):
            raise AssertionError("two runners at work")
    with pytest.raises(LockLost, match="it is not held"):
        lock.insist()


def test_one_store_has_a_lock_for_each_loop(filed: Place) -> None:
    """LOCK-01"""
    with lock_of(filed), loop_lock(filed, "label"), loop_lock(filed, "other") as other:
        assert other.held()
        assert not loop_lock(filed, "label").acquire()
        assert not loop_lock(filed, "process_vms").acquire()
        assert row_of(filed, "label").holder == this_process()


def test_no_lock_keeps_nobody_away() -> None:
    """LOCK-02"""
    with NoLock() as lock, NoLock():
        lock.insist()
        assert lock.acquire() and lock.held() and lock.holder() == ""


def test_a_store_that_refuses_writes_to_a_lost_lock(filed: Place) -> None:
    """LOCK-05: nothing is written to the store either, and the last run's word stands."""
    with Store.open(filed, at=AT) as store, lock_of(filed) as lock:
        store.fenced(lock.insist)
        store.settings.put("x", 1)
        lock.release()
        with pytest.raises(LockLost, match="the lock of process_vms is lost"):
            store.settings.put("x", 2)
        assert store.settings.get("x") == 1
        store.fenced()
        store.settings.put("x", 3)
