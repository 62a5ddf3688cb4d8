"""`db check` finds what is broken, and says what to do."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from state.database import Database, StoreError
from state.place import Place, file_place, read_place
from state.revision import REVISIONS
from state.soundness import Finding, examine
from state.store import Store
from tests.servers.postgres import Postgres
from tests.state.furnish import furnish
from tests.stores import KINDS

CHECKS = ["revision", "storage", "shape", "references", "rows", "key"]


@pytest.fixture(params=KINDS)
def examined(request: pytest.FixtureRequest, path: Path, at: datetime) -> Iterator[Place]:
    """A furnished store of each kind, in a database that is thrown away."""
    place = file_place(path)
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        place = read_place(server.url(server.database()), key=path)
    with Store.open(place, at=at) as store:
        furnish(store, at)
    yield place


def spoil(place: Place, *statements: str) -> None:
    with closing(Database.at(place)) as database, database.writing("spoil") as link:
        for statement in statements:
            link.exec_driver_sql(statement)


def wrong(place: Place, at: datetime) -> list[Finding]:
    return [one for one in examine(place, at) if not one.ok]


def test_a_whole_store_is_whole(examined: Place, at: datetime) -> None:
    findings = examine(examined, at)
    assert [one.what for one in findings] == CHECKS
    assert all(one.ok for one in findings), findings
    assert findings[-1].text == f"{examined.key}, 1 secrets open"


def shape(place: Place, at: datetime) -> set[str]:
    (found,) = (one for one in wrong(place, at) if one.what == "shape")
    return set(found.text.split("; "))


def test_a_column_or_an_index_that_is_missing_is_found(examined: Place, at: datetime) -> None:
    """What others keep beside ours is theirs."""
    spoil(
        examined,
        "DROP INDEX ix_effects_effect_at",
        "CREATE TABLE theirs (x int)",
        "ALTER TABLE cache RENAME COLUMN digest TO digests",
    )
    assert shape(examined, at) == {
        "missing: index effects ix_effects_effect_at",
        "missing: column cache digest",
        "unexpected: column cache digests",
    }


def test_a_constraint_that_is_missing_is_found(path: Path, filed: Store, at: datetime) -> None:
    spoil(
        file_place(path),
        "DROP TABLE tasks",
        "CREATE TABLE tasks (upid TEXT NOT NULL, key TEXT NOT NULL, cluster TEXT NOT NULL,"
        " handler TEXT NOT NULL, started_at DATETIME NOT NULL, PRIMARY KEY (upid))",
        "DROP TABLE forgotten",
        "CREATE TABLE forgotten (cluster TEXT NOT NULL, vmid TEXT NOT NULL, key TEXT,"
        " at DATETIME NOT NULL, PRIMARY KEY (cluster, vmid))",
        "CREATE INDEX ix_forgotten_key ON forgotten (key)",
    )
    assert shape(file_place(path), at) == {
        "missing: constraint tasks uq_tasks_key",
        "different: type forgotten vmid TEXT INTEGER",
        "different: nullable forgotten key True False",
    }


def test_a_rule_that_a_server_lost_is_found(postgres: Postgres, path: Path, at: datetime) -> None:
    place = read_place(postgres.url(postgres.database()), key=path)
    Store.open(place, at=at).close()
    spoil(
        place,
        "ALTER TABLE vm_runs DROP CONSTRAINT ck_vm_runs_result",
        'ALTER TABLE holds ALTER why TYPE text COLLATE "en-x-icu"',
    )
    assert shape(place, at) == {
        "vm_runs: constraint ck_vm_runs_result is missing",
        "holds.why: sorted by language",
    }


def test_a_row_that_refers_to_nothing_is_found(examined: Place, at: datetime) -> None:
    if examined.file:
        database = Database.at(examined)
        with database.reading("spoil") as link:
            link.exec_driver_sql("COMMIT")
            link.exec_driver_sql("PRAGMA foreign_keys=off")
            link.exec_driver_sql("DELETE FROM bindings WHERE key = 'web-1'")
            link.exec_driver_sql("BEGIN")
        database.close()
    else:
        spoil(
            examined,
            "ALTER TABLE leases DROP CONSTRAINT fk_leases_key_bindings",
            "DELETE FROM bindings WHERE key = 'web-1'",
            "ALTER TABLE leases ADD CONSTRAINT fk_leases_key_bindings FOREIGN KEY (key)"
            " REFERENCES bindings (key) ON UPDATE CASCADE ON DELETE RESTRICT NOT VALID",
        )
    found = {one.what: one.text for one in wrong(examined, at)}
    assert found["references"] == "2 rows of leases refer to no bindings"
    if not examined.file:
        assert "fk_leases_key_bindings is not valid" in found["storage"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE bindings SET phase = 'nowhere'",
        "UPDATE outbox SET detail = '{'",
    ],
)
def test_a_value_that_is_none_is_found(examined: Place, at: datetime, statement: str) -> None:
    if not examined.file and "outbox" in statement:
        with pytest.raises(StoreError, match="invalid input syntax for type json"):
            spoil(examined, statement)
        return
    spoil(examined, statement)
    rows = next(one for one in wrong(examined, at) if one.what == "rows")
    assert "a row cannot be read" in rows.text and rows.text.endswith("restore a backup")


def test_a_secret_that_does_not_open_and_a_lost_key_are_found(
    examined: Place, at: datetime
) -> None:
    spoil(examined, "UPDATE secrets SET sealed = x'78'" if examined.file else
          "UPDATE secrets SET sealed = '\\x78'")  # fmt: skip
    (key,) = wrong(examined, at)
    assert "web-1: the secret password does not open" in key.text
    examined.key.unlink()
    (key,) = wrong(examined, at)
    assert "key file of this database is missing" in key.text


def test_an_older_store_is_to_be_migrated(examined: Place, at: datetime) -> None:
    spoil(examined, f"UPDATE alembic_version SET version_num = '{REVISIONS[0]}'")
    (revision,) = wrong(examined, at)
    assert revision.text.startswith(f"{REVISIONS[0]}, this reconcile has {REVISIONS[-1]}")
    assert "reconcile db migrate" in revision.text


def test_a_broken_page_is_found(path: Path, filed: Store, at: datetime) -> None:
    furnish_some(filed, at)
    filed.close()
    whole = path.read_bytes()
    page = whole.index(b"needle-7")
    path.write_bytes(whole[: page - 40] + b"\xff" * 400 + whole[page + 360 :])
    found = {one.what: one.text for one in wrong(file_place(path), at)}
    assert {"storage", "rows"} & set(found)


def furnish_some(store: Store, at: datetime) -> None:
    for number in range(60):
        store.settings.put(f"needle-{number}", "x" * 200)


def test_where_there_is_no_store_there_is_nothing_to_check(tmp_path: Path, at: datetime) -> None:
    with pytest.raises(StoreError, match="there is no store yet"):
        examine(file_place(tmp_path / "none.db"), at)
    assert list(tmp_path.iterdir()) == []
