"""Two processes on one store: each slot is run once."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from state.store import Store
from tests.reconciler.loops.jobs import loop_lab
from tests.reconciler.loops.rivals import run_side_by_side
from tests.stores import KINDS, stores_on

BEGIN = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
HOURS = 6


@pytest.fixture(params=KINDS)
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder whose stores are of each kind of database in turn."""
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with stores_on(server):
        yield tmp_path


def test_lock_01_of_two_processes_one_runs_each_slot(folder: Path) -> None:
    """LOCK-01, LOCK-03, FRM-15"""
    lab = loop_lab(folder, "schedule: {every: {process_vms: 0}}")
    with Store.open(lab.where, at=BEGIN):
        pass
    lines = run_side_by_side(lab.fleet, lab.where, folder / "ledger", BEGIN, HOURS)
    assert lines == [f"{hour:02} {hour + 1}" for hour in range(HOURS)]
    with Store.preview(lab.where, at=BEGIN) as store:
        row = store.loops.of("ledger")
    assert (row.status, row.number, row.processed) == ("success", HOURS, 1)
