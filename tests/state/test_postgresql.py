"""What is PostgreSQL's own: its schema, its errors, its server that may go away."""

import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from state.database import Database, Lost, StoreError
from state.memory import Binding
from state.place import read_place
from state.revision import REVISIONS, make_current, revision_of, unsorted_columns
from state.store import Store, Unreadable
from state.tables import metadata
from tests.servers.postgres import GUARDED, PASSWORD, Postgres, programs


@pytest.fixture
def empty(postgres: Postgres, tmp_path: Path) -> str:
    """The URL of a database without any tables; its key beside nothing."""
    name = postgres.database("template0")
    return f"{postgres.url(name)}?key={tmp_path / 'keys' / 'fleet.key'}"


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Postgres]:
    """A server of this test's own, which may be stopped."""
    found = programs()
    if found is None:
        pytest.skip("needs PostgreSQL's server programs: apt-get install postgresql")
    server = Postgres(found)
    yield server
    server.close()


def database(url: str) -> Database:
    return Database.at(read_place(url))


def shape(found: Database) -> list[object]:
    """Every column and every constraint, as the server describes them."""
    described = (
        "SELECT table_name, column_name, data_type, is_nullable, collation_name"
        " FROM information_schema.columns WHERE table_name IN (SELECT relname FROM pg_class"
        " WHERE relnamespace = current_schema()::regnamespace) ORDER BY 1, 2",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = current_schema()::regnamespace ORDER BY 1, 2",
    )
    with found.reading("compare") as link:
        rows = [tuple(row) for asked in described for row in link.exec_driver_sql(asked)]
    return [row for row in rows if row[0] != "alembic_version"]


def test_the_first_open_makes_tables_and_a_key_for_its_owner_alone(
    empty: str, tmp_path: Path, at: datetime
) -> None:
    with Store.open(empty, at=at) as first, Store.open(empty, at=at) as second:
        assert (first.created, second.created) == (True, False)
        assert (first.id, first.vault.key) == (second.id, second.vault.key)
    key = tmp_path / "keys" / "fleet.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_many_that_make_a_store_at_once_make_one(empty: str, at: datetime) -> None:
    def opened(_number: int) -> str:
        with Store.open(empty, at=at) as store:
            return store.id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(opened, range(8)))) == 1


def test_a_preview_of_an_empty_database_makes_nothing(
    empty: str, tmp_path: Path, at: datetime
) -> None:
    with Store.preview(empty, at=at) as store:
        assert store.created and store.memories() == {}
        with pytest.raises(StoreError, match="may only be read here"):
            store.settings.put("x", 1)
    assert not (tmp_path / "keys").exists()
    found = database(empty)
    assert revision_of(found) is None
    found.close()


def test_a_preview_reads_and_refuses_every_write(empty: str, at: datetime) -> None:
    with Store.open(empty, at=at) as store:
        store.bindings.bind(Binding("web-1", "lab", 101, "web-1"))
    with Store.preview(empty, at=at) as preview:
        assert set(preview.memories()) == {"web-1"}
        for _ in range(2):
            with pytest.raises(StoreError, match="may only be read here"):
                preview.bindings.forget("web-1", at)


def test_a_lost_key_is_said_and_another_machines_key_refused(
    empty: str, tmp_path: Path, at: datetime
) -> None:
    Store.open(empty, at=at).close()
    key = tmp_path / "keys" / "fleet.key"
    key.unlink()
    with pytest.raises(Unreadable, match="key file of this database is missing; put it back"):
        Store.open(empty, at=at)
    assert not key.exists()
    key.write_text("ab" * 32)
    with pytest.raises(Unreadable, match="the key of another database"):
        Store.open(empty, at=at)


def test_a_key_made_among_files_that_are_committed_is_warned_of(
    empty: str, tmp_path: Path, at: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".git").mkdir()
    for _ in range(2):
        Store.open(empty, at=at).close()
    assert caplog.text.count("lies in a git repository: never commit it") == 1


def test_a_key_that_cannot_be_made_is_said(empty: str, tmp_path: Path, at: datetime) -> None:
    (tmp_path / "keys").touch()
    with pytest.raises(StoreError, match="name another key file"):
        Store.open(empty, at=at)


def test_two_schemas_of_one_database_are_two_stores(empty: str, at: datetime) -> None:
    found = database(empty)
    with found.writing("divide") as link:
        link.exec_driver_sql("CREATE SCHEMA other")
    found.close()
    other = f"{empty}2&options=-csearch_path%3Dother"
    with Store.open(empty, at=at) as first, Store.open(other, at=at) as second:
        assert first.id != second.id
        first.settings.put("x", 1)
        assert second.settings.get("x") is None


def test_migrations_from_nothing_make_what_the_tables_say(postgres: Postgres) -> None:
    migrated, created = (
        database(f"{postgres.url(postgres.database('template0'))}?key=k") for _ in range(2)
    )
    with migrated.writing("start") as link:
        link.exec_driver_sql("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)")
    make_current(migrated)
    make_current(created)
    assert shape(migrated) == shape(created)
    with migrated.reading("compare") as link:
        assert compare_metadata(MigrationContext.configure(link), metadata) == []
        assert unsorted_columns(link) == []
    assert revision_of(migrated) == REVISIONS[-1]
    migrated.close()
    created.close()


def test_text_sorts_by_its_bytes_as_in_sqlite(empty: str, at: datetime) -> None:
    with Store.open(empty, at=at) as store:
        for number, key in enumerate(("ä", "a-b", "B", "a/1", "ab")):
            store.bindings.bind(Binding(key, "lab", 100 + number, key))
        assert list(store.bindings.all()) == ["B", "a-b", "a/1", "ab", "ä"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (["CREATE TABLE theirs (x int)"], "another program's database"),
        (
            [
                "CREATE TABLE alembic_version (version_num text)",
                "CREATE TABLE bindings (key text)",
                "INSERT INTO alembic_version VALUES ('9999')",
            ],
            "newer reconcile .revision 9999",
        ),
    ],
)
def test_what_is_not_ours_is_refused(empty: str, at: datetime, made: list[str], said: str) -> None:
    found = database(empty)
    with found.writing("spoil") as link:
        for statement in made:
            link.exec_driver_sql(statement)
    found.close()
    with pytest.raises(Unreadable, match=said):
        Store.open(empty, at=at)


def test_an_older_database_is_not_upgraded_by_a_look_at_it(empty: str, at: datetime) -> None:
    Store.open(empty, at=at).close()
    found = database(empty)
    with found.writing("age") as link:
        link.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{REVISIONS[-2]}'")
    found.close()
    with pytest.raises(StoreError, match=r"older reconcile .*reconcile db migrate"):
        Store.preview(empty, at=at)


def test_a_password_is_asked_for_and_never_shown(postgres: Postgres, at: datetime) -> None:
    name = postgres.database()
    right = postgres.url(name, GUARDED).replace("@", ":pg-s3cret%2F%40x@") + "?key=/nowhere/k"
    found = database(right)
    assert found.kind == "postgresql" and revision_of(found) == REVISIONS[-1]
    found.close()
    with pytest.raises(StoreError, match="password authentication failed") as refused:
        Store.open(right.replace("s3cret", "s4cret"), at=at)
    assert "s4cret" not in str(refused.value) and PASSWORD not in repr(refused.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://ann@127.0.0.1:1/x?key=k", "is the server up and reached"),
        ("{server}/none-such?key=k", "does not exist.*are user, password and name right"),
    ],
)
def test_a_server_that_does_not_answer_says_what_to_look_at(
    postgres: Postgres, url: str, said: str, at: datetime
) -> None:
    with pytest.raises(Lost, match=said):
        Store.open(url.format(server=postgres.url("").rstrip("/")), at=at)


def test_a_user_without_rights_is_said(empty: str, at: datetime, postgres: Postgres) -> None:
    Store.open(empty, at=at).close()
    name = empty.partition("?")[0].rpartition("/")[2]
    postgres.sql("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    guest = empty.replace(postgres.url(name), postgres.url(name, "guest"))
    with pytest.raises(StoreError, match=r"permission denied.*grant the user what it lacks"):
        Store.open(guest, at=at).memories()
    postgres.sql("DROP ROLE guest")


def test_a_writer_that_another_keeps_waiting_is_told(empty: str, at: datetime) -> None:
    Store.open(empty, at=at).close()
    hasty = f"{empty}&options=-clock_timeout%3D50ms"
    first = database(empty)
    with Store.open(hasty, at=at) as second:
        with (
            first.writing("linger"),
            pytest.raises(StoreError, match="another program has kept it for more than 20 s"),
        ):
            second.settings.put("x", 1)
        second.settings.put("x", 1)
    first.close()


def test_a_server_that_goes_away_ends_this_store_and_loses_nothing(
    mortal: Postgres, tmp_path: Path, at: datetime
) -> None:
    """One error, the same for every thread; what was committed is there for the next run."""
    url = mortal.where(tmp_path / "fleet.db")
    with Store.open(url, at=at) as store:
        store.settings.put("x", 1)
        mortal.stop("fast")
        with pytest.raises(Lost, match="the next run goes on from there") as lost:
            store.settings.put("x", 2)
        mortal.start()
        with pytest.raises(Lost) as still:
            store.settings.get("x")
        assert str(still.value) == str(lost.value)
    with Store.open(url, at=at) as again:
        assert again.settings.get("x") == 1


def test_a_missing_driver_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, at: datetime
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'pve-reconcile\[postgresql\]'"):
        Store.open("postgresql://ann@127.0.0.1:1/x?key=k", at=at)
