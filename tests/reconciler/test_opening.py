"""Opening a fleet keeps the garbage collector from walking its specs, and leaves it as it was."""

import gc
import shutil
from pathlib import Path

import pytest

from desired.errors import UnusableSource
from reconciler.config import open_preview

SAMPLE = Path(__file__).parents[2] / "desired" / "fleet"


def test_specs_are_out_of_the_collector_while_the_fleet_is_open(tmp_path: Path) -> None:
    before = gc.get_freeze_count()
    with open_preview(SAMPLE, str(tmp_path / "store.db"), None) as opened:
        assert len(opened.fleet.vms) == 12
        assert gc.get_freeze_count() > before + 1000
        assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_a_collector_that_was_off_stays_off(tmp_path: Path) -> None:
    gc.disable()
    try:
        with open_preview(SAMPLE, str(tmp_path / "store.db"), None):
            assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_fleet_that_cannot_be_used_leaves_the_collector_on(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "fleet")
    shutil.rmtree(tmp_path / "fleet" / "vms")
    with (
        pytest.raises(UnusableSource),
        open_preview(tmp_path / "fleet", str(tmp_path / "store.db"), None),
    ):
        raise AssertionError
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
