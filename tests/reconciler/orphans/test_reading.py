"""The corners of a reading: folders that are not there, a git that fails, specs of old."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from desired.source import Fleet
from reconciler.orphans.reading import odd, unread
from reconciler.orphans.removal import removed_by
from reconciler.orphans.tombstone import absent_spec
from state.applied import AppliedSpec
from state.journal import Run
from state.store import Store
from tests.engine import AT, binding, fleet, spec


def fleet_in(folder: Path, **fields: object) -> Fleet:
    return fleet(spec(), folder=str(folder), **fields)


def test_a_fleet_without_a_folder_of_vms_is_whole(tmp_path: Path) -> None:
    """All its specs stand in the database."""
    assert odd(fleet_in(tmp_path)) == ""
    (tmp_path / "vms").mkdir()
    assert "is an empty folder" in odd(fleet_in(tmp_path))


def test_what_cannot_be_read_names_nothing(tmp_path: Path) -> None:
    """No fleet.yaml; then one whose files of VMs, which it leaves out, are no text."""
    store = Store.temporary(at=AT)
    assert unread(fleet_in(tmp_path), store) == {}
    text = "fleet: law\nsources: [database]\nclusters: {demo: {simulated: {}}}\n"
    (tmp_path / "fleet.yaml").write_text(text)
    assert unread(fleet_in(tmp_path), store) == {}
    (tmp_path / "vms").mkdir()
    (tmp_path / "vms" / "a.yaml").write_bytes(b"\xff")
    assert unread(fleet_in(tmp_path), store) == {}
    (tmp_path / "vms" / "a.yaml").write_text("a: {}\nb: [\n")
    assert set(unread(fleet_in(tmp_path), store).values()) <= {str(tmp_path / "vms")}


def test_where_git_tells_nothing_nobody_is_named(tmp_path: Path) -> None:
    store = Store.temporary(at=AT)
    known = fleet_in(tmp_path, commit="0123456789abcdef0123456789abcdef01234567")
    assert removed_by(known, store, "web-1", None) == ""
    last = Run(1, AT, "once", "r1", commit="fedcba")
    assert removed_by(known, store, "web-1", last) == ""
    assert removed_by(replace(known, commit=""), store, "web-1", last) == ""


def test_an_old_edit_in_the_database_is_not_the_removal(tmp_path: Path) -> None:
    """The spec went to a file after that; what took it away since the last run is another thing."""
    store = Store.temporary(at=AT)
    store.specs.put("web-1", {"package": "small"}, "ann", AT)
    later = Run(1, AT + timedelta(hours=1), "once", "r1")
    assert removed_by(fleet_in(tmp_path), store, "web-1", later) == ""


def test_the_last_spec_says_what_counts_at_the_end() -> None:
    last = spec(protection=True, tags=["web"], memory="1GiB")
    kept = AppliedSpec("web-1", last.document(), AT)
    found = absent_spec(binding(), kept)
    assert (found.state, found.protection, found.memory) == ("absent", True, None)
    assert absent_spec(binding(), None).name == "web-1"


def test_a_spec_that_this_version_does_not_take_counts_for_nothing() -> None:
    odd_one = AppliedSpec("web-1", json.dumps({"protection": "sure", "cluster": "demo"}), AT)
    found = absent_spec(binding(), odd_one)
    assert (found.state, found.protection) == ("absent", None)
