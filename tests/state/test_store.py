"""Opening the store: what is made, what is refused and what each refusal says to do."""

import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy.exc import StatementError

from state import engines
from state.memory import Attempt, Binding, Hold, Intent, Lease, Memory, OpenTask
from state.store import Store, StoreError, Taken, Unreadable


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_first_open_makes_folder_file_and_key_for_their_owner_alone(
    path: Path, at: datetime
) -> None:
    with Store.open(f"sqlite:///{path}", at=at) as store:
        assert store.created
        assert len(bytes.fromhex(store.id)) == 4
    assert mode(path.parent) == 0o700
    assert mode(path) == mode(path.with_name("fleet.db.key")) == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == ["fleet.db", "fleet.db.key"]


def test_id_and_key_stay(path: Path, at: datetime) -> None:
    with Store.open(str(path), at=at) as first, Store.open(str(path), at=at) as second:
        assert (second.id, second.created) == (first.id, False)
        assert second.vault.key == first.vault.key


def test_a_relative_url_is_under_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: datetime
) -> None:
    monkeypatch.chdir(tmp_path)
    Store.open("sqlite:///here.db", at=at).close()
    assert (tmp_path / "here.db").exists()


@pytest.mark.parametrize("url", ["mysql://me:hunter2@db/x", "sqlite://", "sqlite:///"])
def test_another_url_is_refused_without_showing_its_password(url: str, at: datetime) -> None:
    with pytest.raises(Unreadable, match=r"a path, `sqlite:////folder/file.db` or") as seen:
        Store.open(url, at=at)
    assert "hunter2" not in str(seen.value)


def test_a_database_at_head_opens_without_alembic_or_cryptography(path: Path, at: datetime) -> None:
    Store.open(str(path), at=at).close()
    script = (
        "import sys, datetime as d; from state.store import Store;"
        f"Store.open({str(path)!r}, at=d.datetime.now(d.UTC)).memories();"
        "print([name for name in ('alembic', 'cryptography', 'sqlalchemy.orm')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_file_that_is_no_database_is_refused(path: Path, at: datetime) -> None:
    Store.open(str(path), at=at).close()
    path.write_text("not a database, but as long as one\n" * 1000)
    with pytest.raises(Unreadable, match=r"not a database; restore it from a backup"):
        Store.open(str(path), at=at)


def test_a_broken_file_is_refused(filed: Store, path: Path, at: datetime) -> None:
    filed.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(Unreadable, match="rebuild-state"):
        Store.open(str(path), at=at).memories()


@pytest.mark.parametrize(
    "tables",
    [
        "CREATE TABLE theirs (x)",
        "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('77')",
    ],
)
def test_another_programs_database_is_refused(path: Path, at: datetime, tables: str) -> None:
    Store.open(str(path), at=at).close()
    path.unlink()
    with sqlite3.connect(path) as theirs:
        theirs.executescript(tables)
    theirs.close()
    with pytest.raises(Unreadable, match="another program's database"):
        Store.open(str(path), at=at)


def test_a_newer_revision_is_refused(path: Path, at: datetime) -> None:
    Store.open(str(path), at=at).close()
    with sqlite3.connect(path) as link:
        link.execute("UPDATE alembic_version SET version_num = '9999'")
    link.close()
    with pytest.raises(Unreadable, match=r"newer reconcile \(revision 9999, .* install that"):
        Store.open(str(path), at=at)


def test_a_lost_key_file_is_said_and_not_replaced(path: Path, at: datetime) -> None:
    Store.open(str(path), at=at).close()
    key = path.with_name("fleet.db.key")
    key.unlink()
    with pytest.raises(Unreadable, match="key file of this database is missing; put it back"):
        Store.open(str(path), at=at)
    assert not key.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ab" * 32, "the key of another database"),
        ("ab", "32 bytes expected, seen 1"),
        ("zz", "no key in it"),
    ],
)
def test_a_wrong_key_file_is_refused(path: Path, at: datetime, text: str, said: str) -> None:
    Store.open(str(path), at=at).close()
    path.with_name("fleet.db.key").write_text(text)
    with pytest.raises(Unreadable, match=said):
        Store.open(str(path), at=at)


def test_a_key_that_others_can_read_is_warned_of(
    path: Path, at: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    Store.open(str(path), at=at).close()
    path.with_name("fleet.db.key").chmod(0o644)
    Store.open(str(path), at=at).close()
    assert "chmod 600" in caplog.text


def test_a_lost_database_starts_anew_under_the_key_that_is_there(
    filed: Store, path: Path, at: datetime
) -> None:
    filed.close()
    path.unlink()
    with Store.open(str(path), at=at) as again:
        assert again.created
        assert again.id != filed.id
        assert again.vault.key == filed.vault.key


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, at: datetime) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="check owner and rights, or give `database:` another"):
        Store.open(str(tmp_path / "file" / "fleet.db"), at=at)


def test_a_folder_in_the_place_of_the_file_is_said(path: Path, at: datetime) -> None:
    path.mkdir(parents=True)
    path.with_name("fleet.db.key").write_text("ab" * 32)
    with pytest.raises(StoreError, match="unable to open database file; check owner and rights"):
        Store.open(str(path), at=at)


def test_a_preview_of_nothing_makes_nothing(tmp_path: Path, at: datetime) -> None:
    """DEP: a dry run writes nothing anywhere."""
    with Store.preview(str(tmp_path / "new" / "fleet.db"), at=at) as store:
        assert store.created
        assert store.memories() == {}
        with pytest.raises(StoreError, match="may only be read here"):
            store.settings.put("x", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_preview_reads_what_is_there_and_changes_nothing(filed: Store, at: datetime) -> None:
    where = Path(filed._database.where)
    filed.close()
    before = where.read_bytes()
    with Store.preview(str(where), at=at) as preview:
        assert not preview.created
        assert set(preview.memories()) == {"web-1", "web-2"}
        with pytest.raises(StoreError, match="may only be read here"):
            preview.bindings.forget("web-1", at)
    assert where.read_bytes() == before


def test_a_database_held_by_another_program_is_said(
    path: Path, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0)
    with Store.open(str(path), at=at) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program has kept it for more than"):
            store.settings.put("x", 1)
        other.close()
        store.settings.put("x", 1)


def test_a_full_disk_is_said_and_nothing_is_half_written(filed: Store, at: datetime) -> None:
    with filed._database.writing("shrink the disk") as link:
        link.exec_driver_sql("PRAGMA max_page_count=1")
    with pytest.raises(StoreError, match="make room on its disk"):
        for number in range(200):
            filed.outbox.add(f"event-{number}", "web-1", at, {"text": "x" * 4000})


def test_naive_moments_are_refused(store: Store) -> None:
    with pytest.raises(StatementError, match="an aware moment expected"):
        store.attempts.fail("web-1", "cpu", "", datetime(2026, 1, 1), datetime(2026, 1, 2))


def test_moments_of_any_zone_come_back_as_the_same_in_utc(store: Store, at: datetime) -> None:
    local = at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    store.holds.put(Hold("web-1", "", local))
    assert store.holds.all()["web-1"].at == at
    assert store.holds.all()["web-1"].at.tzinfo is UTC


def test_memories_gather_every_row_of_a_vm(store: Store, at: datetime) -> None:
    task = OpenTask("UPID:pve1:1", "web-1", "lab", "exists", at)
    intent = Intent("web-1", "start", at, 0, "why")
    hold = Hold("web-1", "maintenance", at, at + timedelta(hours=1))
    first = Lease("web-1", "net0", "ipv4", 0, "10.0.0.9", 24, "public", "10.0.0.1", ("1.1.1.1",))
    leases = (
        first,
        replace(first, ordinal=1, address="10.0.0.3"),
        replace(first, family="ipv6", address="2001:db8::1"),
        replace(first, nic="net1", address="10.0.0.1"),
    )
    for lease in reversed(leases):
        store.leases.take(lease)
    store.tasks.open(task)
    store.intents.put(intent)
    store.holds.put(hold)
    store.vault.set_fingerprint("web-1", "tags", "a,b")
    attempt = store.attempts.fail("web-1", "cpu", "no", at, at + timedelta(minutes=1))
    assert attempt == Attempt("web-1", "cpu", 1, "no", at, at + timedelta(minutes=1))
    assert store.memories()["web-1"] == Memory(
        binding=Binding("web-1", "lab", 101, "web-1", created_at=at),
        leases=leases,
        task=task,
        attempts={"cpu": attempt},
        intents={"start": intent},
        fingerprints={"tags": "a,b"},
        hold=hold,
    )


def test_memories_of_some_keys_are_exactly_those(store: Store) -> None:
    many = {"web-2", *(f"none-{number}" for number in range(600))}
    assert set(store.memories(["web-2", "none"])) == {"web-2", "none"}
    assert store.memories(["web-2", "none"])["none"] == Memory()
    assert set(store.memories(many)) == many
    assert store.memories(many)["web-2"].binding is not None


def test_a_temporary_store_lives_in_memory_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: datetime
) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.temporary(at=at) as store:
        store.bindings.bind(Binding("a", "lab", 100, "a"))
        with pytest.raises(Taken):
            store.bindings.bind(Binding("a", "lab", 101, "a"))
        assert store.bindings.vmids("lab") == {100}
    assert list(tmp_path.iterdir()) == []


def test_a_rebuilt_store_bears_the_id_that_the_markers_name(
    store: Store, place: str, at: datetime
) -> None:
    store.adopt("0123abcd", at)
    assert store.id == "0123abcd"
    with Store.open(place, at=at) as again:
        assert (again.id, again.created) == ("0123abcd", False)
