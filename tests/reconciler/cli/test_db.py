"""`reconcile db` as a person meets it: words, JSON, exit statuses."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli, main
from reconciler.lock import RunnerLock
from state.database import Database
from state.place import file_place
from state.revision import REVISIONS
from state.store import Store
from tests.servers.postgres import GUARDED, PASSWORD, Postgres
from tests.state.furnish import everything, furnish

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A fleet with a furnished store in `lab.db` beside it."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    (folder / "fleet.yaml").write_text("fleet: lab\nclusters: {lab: {simulated: {}}}\n")
    with Store.open(str(tmp_path / "lab.db"), at=AT) as store:
        furnish(store, AT)
    return folder


def call(fleet: Path, *words: str, database: str = "") -> Result:
    where = database or str(fleet.parent / "lab.db")
    return CliRunner().invoke(cli, ["--fleet", str(fleet), "--database", where, "db", *words])


def status_of(fleet: Path, monkeypatch: pytest.MonkeyPatch, *words: str, database: str = "") -> int:
    """The exit status of the command itself, which turns errors into words."""
    where = database or str(fleet.parent / "lab.db")
    given = ["reconcile", "--fleet", str(fleet), "--database", where, "db", *words]
    monkeypatch.setattr("sys.argv", given)
    return main()


@pytest.fixture
def served(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty database of a user who is asked for a password."""
    monkeypatch.setenv("PG_WORD", PASSWORD)
    name = postgres.database("template0")
    return postgres.url(name, f"{GUARDED}:env:PG_WORD")


def test_a_whole_store_is_said_to_be_whole(fleet: Path) -> None:
    done = call(fleet, "check")
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == f"{fleet.parent / 'lab.db'}: whole"
    told = json.loads(call(fleet, "check", "--output", "json").output)
    assert told["ok"] and [one["what"] for one in told["checks"]][:2] == ["revision", "storage"]


def test_a_broken_store_ends_with_1(fleet: Path) -> None:
    database = Database.file(fleet.parent / "lab.db")
    with database.writing("spoil") as link:
        link.exec_driver_sql("DROP INDEX ix_effects_effect_at")
    database.close()
    done = call(fleet, "check")
    assert done.exit_code == 1
    assert "WRONG" in done.output and "missing: index effects ix_effects_effect_at" in done.output
    assert done.output.splitlines()[-1].endswith("not whole")


def test_migrating_twice_is_as_good_as_once(fleet: Path) -> None:
    path = fleet.parent / "old.db"
    from_nothing = call(fleet, "migrate", database=str(path))
    assert from_nothing.output.startswith(f"{path}: made with revision {REVISIONS[-1]}; its key: ")
    again = call(fleet, "migrate", database=str(path))
    assert again.output == f"{path}: revision {REVISIONS[-1]}, nothing to do\n"
    told = json.loads(call(fleet, "migrate", "--output", "json", database=str(path)).output)
    stands = {"database": str(path), "before": REVISIONS[-1], "after": REVISIONS[-1]}
    assert told == {"schema_version": 1, **stands}


def test_an_older_store_is_brought_up_to_date(fleet: Path) -> None:
    path = fleet.parent / "old.db"
    path.with_name("old.db.key").write_text("ab" * 32)
    path.with_name("old.db.key").chmod(0o600)
    database = Database.file(path)
    with database.writing("begin") as link:
        link.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    database.close()
    done = call(fleet, "migrate", database=str(path))
    assert done.output == f"{path}: revision none -> {REVISIONS[-1]}\n"
    assert call(fleet, "check", database=str(path)).exit_code == 0


def test_a_newer_store_is_refused(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database.file(fleet.parent / "lab.db")
    with database.writing("age") as link:
        link.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    assert status_of(fleet, monkeypatch, "migrate") == 1


def test_a_backup_says_what_else_to_save(fleet: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.db"
    done = call(fleet, "backup", str(saved))
    assert done.exit_code == 0
    assert f"save it too, elsewhere: {fleet.parent / 'lab.db.key'}" in done.output
    told = json.loads(call(fleet, "backup", f"{saved}2", "--output", "json").output)
    assert told["bytes"] == Path(told["file"]).stat().st_size
    assert told["restore"].startswith("rm -f ")


def test_a_store_goes_to_a_server_and_back(fleet: Path, served: str, tmp_path: Path) -> None:
    there = call(fleet, "copy", "--to", served)
    assert there.exit_code == 0, there.output
    assert "leases                      2 rows" in there.output
    assert f"key copied to {fleet / 'lab.key'}" in there.output
    assert PASSWORD not in there.output
    assert call(fleet, "check", database=served).exit_code == 0
    back = call(fleet, "copy", "--to", str(tmp_path / "b.db"), "--output", "json", database=served)
    told = json.loads(back.output)
    assert (told["from"], told["key"]["copied"]) == (served.replace(":env:PG_WORD", ""), True)
    assert {one["table"]: one["rows"] for one in told["tables"]}["leases"] == 2
    with (
        Store.open(str(fleet.parent / "lab.db"), at=AT) as old,
        Store.open(str(tmp_path / "b.db"), at=AT) as new,
    ):
        there, here = everything(old), everything(new)
        assert there.pop("locks") and not here.pop("locks")
        assert there == here
        assert old.vault.key == new.vault.key


def test_a_copy_onto_a_store_changes_nothing_and_leaves_no_key(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "other" / "x.db"
    with Store.open(str(target), at=AT) as other:
        other.settings.put("mine", 1)
    assert status_of(fleet, monkeypatch, "copy", "--to", str(target)) == 1
    file_place(target).key.unlink()
    assert status_of(fleet, monkeypatch, "copy", "--to", str(target)) == 1
    assert not file_place(target).key.exists()


def test_a_copy_of_nothing_or_into_itself_is_refused(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none, new = str(tmp_path / "none.db"), str(tmp_path / "new.db")
    assert status_of(fleet, monkeypatch, "copy", "--to", new, database=none) == 1
    assert status_of(fleet, monkeypatch, "copy", "--to", str(fleet.parent / "lab.db")) == 64
    assert not Path(none).exists() and not Path(new).exists()


def test_nothing_is_copied_or_migrated_while_a_runner_is_at_work(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunnerLock(fleet.parent / "lab.db.lock"):
        assert status_of(fleet, monkeypatch, "copy", "--to", str(tmp_path / "new.db")) == 75
        assert status_of(fleet, monkeypatch, "migrate") == 75
