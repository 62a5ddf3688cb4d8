"""A backup is one file of one moment, and a store again when it is put back."""

import os
import sqlite3
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from state.backup import back_up, restore_words
from state.database import StoreError
from state.place import file_place, read_place
from state.store import Store
from tests.servers.postgres import GUARDED, PASSWORD, Postgres
from tests.state.furnish import everything, furnish


def test_a_backup_of_a_file_is_taken_while_it_is_in_use(
    filed: Store, path: Path, tmp_path: Path, at: datetime
) -> None:
    saved = tmp_path / "saved dir" / "fleet.db"
    saved.parent.mkdir()
    filed.settings.put("x", 1)
    size = back_up(file_place(path), saved)
    filed.settings.put("x", 2)
    assert (saved.stat().st_size, saved.stat().st_mode & 0o777) == (size, 0o600)
    assert [one.name for one in saved.parent.iterdir()] == ["fleet.db"]
    filed.close()
    words = restore_words(file_place(path), saved)
    subprocess.run(words, shell=True, check=True)
    with Store.open(str(path), at=at) as again:
        assert again.settings.get("x") == 1


def test_a_restore_throws_away_the_log_of_a_killed_process(tmp_path: Path) -> None:
    words = restore_words(file_place(Path("/var/x.db")), tmp_path / "saved.db")
    assert words.startswith("rm -f /var/x.db-wal /var/x.db-shm && cp ")


def test_a_file_that_is_there_is_not_overwritten(filed: Store, path: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.db"
    saved.write_text("precious")
    with pytest.raises(StoreError, match="is there already; give a name that is free"):
        back_up(file_place(path), saved)
    assert saved.read_text() == "precious"


def test_a_store_that_is_not_there_or_broken_leaves_no_backup(
    filed: Store, path: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.db"
    with pytest.raises(StoreError, match="there is no store yet"):
        back_up(file_place(tmp_path / "none.db"), saved)
    with pytest.raises(StoreError, match="check the folder and its rights"):
        back_up(file_place(path), tmp_path / "none" / "saved.db")
    filed.close()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"back up: .*not a database"):
        back_up(file_place(path), saved)
    assert not list(tmp_path.glob("saved*"))


def test_what_is_not_sound_is_not_kept(filed: Store, path: Path, tmp_path: Path) -> None:
    filed.close()
    with sqlite3.connect(path) as link:
        link.execute("PRAGMA writable_schema=on")
        link.execute("DELETE FROM sqlite_master WHERE name = 'ix_effects_effect_at'")
    link.close()
    with pytest.raises(StoreError, match="not sound"):
        back_up(file_place(path), tmp_path / "saved.db")


def test_a_backup_of_a_server_comes_back_with_pg_restore(
    postgres: Postgres, tmp_path: Path, at: datetime
) -> None:
    name, other = postgres.database(), postgres.database("template0")
    url = postgres.url(name, GUARDED).replace("@", ":pg-s3cret%2F%40x@")
    place = read_place(url, key=tmp_path / "fleet.key")
    with Store.open(place, at=at) as store:
        furnish(store, at)
        saved = tmp_path / "saved.dump"
        assert back_up(place, saved) == saved.stat().st_size
        assert saved.stat().st_mode & 0o777 == 0o600
        words = restore_words(place, saved)
        assert "s3cret" not in words and words.startswith("pg_restore --no-owner --dbname=")
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        subprocess.run(words.replace(name, other), shell=True, check=True, env=environment)
        with Store.open(read_place(url.replace(name, other), key=place.key), at=at) as again:
            assert again.id == store.id
            assert everything(again) == everything(store)


def test_without_pg_dump_the_command_is_told(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = read_place(postgres.url("x"), key=tmp_path / "k")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match=r"pg_dump is not installed here.*--file=") as refused:
        back_up(place, tmp_path / "saved.dump")
    assert str(refused.value).count(".part") == 0


def test_what_pg_dump_says_is_told(postgres: Postgres, tmp_path: Path) -> None:
    place = read_place(postgres.url("none-such"), key=tmp_path / "k")
    with pytest.raises(StoreError, match=r"pg_dump: .*does not exist"):
        back_up(place, tmp_path / "saved.dump")
    assert not list(tmp_path.iterdir())
