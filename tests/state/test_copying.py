"""A store moves whole, from either kind of database to either kind, or not at all."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import event

from state import vault
from state.copying import Copied, NotEmpty, copy_store, count_of, vacant
from state.database import Database, StoreError
from state.journal import Journal
from state.place import Place, file_place, read_place
from state.store import Store, Unreadable
from state.tables import metadata
from tests.servers.postgres import Postgres
from tests.state.furnish import everything, furnish
from tests.stores import KINDS

Ends = tuple[Place, Place]


@pytest.fixture(params=[(one, other) for one in KINDS for other in KINDS], ids="-".join)
def ends(request: pytest.FixtureRequest, tmp_path: Path, at: datetime) -> Ends:
    """A furnished store of one kind, and where there is nothing of another."""
    places = []
    for number, kind in enumerate(request.param):
        path = tmp_path / str(number) / "fleet.db"
        if kind == "sqlite":
            places.append(file_place(path))
        else:
            server: Postgres = request.getfixturevalue("postgres")
            places.append(read_place(server.url(server.database("template0")), key=path))
    with Store.open(places[0], at=at) as store:
        furnish(store, at)
    return places[0], places[1]


def copied(source: Place, target: Place) -> tuple[Copied, ...]:
    giving, taking = Database.readonly_at(source), vacant(target)
    try:
        return copy_store(giving, taking, lambda _: None)
    finally:
        giving.close()
        taking.close()


def test_everything_arrives_and_goes_on(ends: Ends, at: datetime) -> None:
    source, target = ends
    told = copied(source, target)
    vault.hand_key(source.key, target.key)
    tables = [table.name for table in metadata.sorted_tables]
    assert [one.table for one in told] == [name for name in tables if name != "locks"]
    assert all(one.rows for one in told)
    with Store.open(source, at=at) as old, Store.open(target, at=at) as new:
        assert (new.id, new.created) == (old.id, False)
        there, here = everything(new), everything(old)
        assert here.pop("locks") and not there.pop("locks")
        assert there == here
        secret = new.vault.reveal("web-1", "password")
        assert secret is not None and secret.reveal() == "s3cret"
        assert new.journal.start_run(at, "x", "r") == 2
        assert new.outbox.add("ready", "web-2", at, {})


def test_a_target_with_anything_in_it_is_refused_and_left_alone(ends: Ends, at: datetime) -> None:
    source, target = ends
    with Store.open(target, at=at) as theirs:
        theirs.settings.put("mine", 1)
        before = everything(theirs)
        with pytest.raises(NotEmpty, match=r"holds a store already .*; give an empty database"):
            copied(source, target)
        assert everything(theirs) == before


def test_what_is_not_the_same_over_there_is_not_kept(ends: Ends, at: datetime) -> None:
    """A target that stores something else than it was given: nothing of it stays."""
    source, target = ends
    giving, taking = Database.readonly_at(source), vacant(target)

    def garbled(*given: object) -> tuple[object, object]:
        statement, parameters = str(given[2]), given[3]
        if "INTO conditions" in statement.replace('"', ""):
            statement = statement.replace("VALUES", "/* garbled */ VALUES")
            parameters = garble(parameters)
        return statement, parameters

    event.listen(taking._engine, "before_cursor_execute", garbled, retval=True)
    with pytest.raises(StoreError, match=r"table conditions: expected 1 rows .* nothing was kept"):
        copy_store(giving, taking, lambda _: None)
    with taking.reading("count") as link:
        assert sum(count_of(link, table).rows for table in metadata.sorted_tables) == 0
    giving.close()
    taking.close()


def garble(parameters: object) -> object:
    if isinstance(parameters, list):
        return [garble(one) for one in parameters]
    if isinstance(parameters, dict):
        return {name: garble(value) for name, value in parameters.items()}
    if isinstance(parameters, tuple):
        return tuple(garble(value) for value in parameters)
    return "a" if parameters == "ä" else parameters


@pytest.fixture
def crowded(filed: Store, at: datetime) -> Iterator[Store]:
    """A store with more rows than are moved at once."""
    for number in range(30):
        run = filed.journal.start_run(at, f"run {number}", "r")
        filed.journal.finish_run(run, at, {})
    yield filed


def test_rows_are_moved_in_bunches(
    crowded: Store, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.copying.ROWS_AT_ONCE", 7)
    target = file_place(tmp_path / "new.db")
    copied(file_place(path), target)
    database = Database.at(target)
    assert [run.command for run in Journal(database).runs()] == [
        f"run {number}" for number in reversed(range(30))
    ]
    database.close()


def test_where_there_is_no_store_there_is_nothing_to_copy(tmp_path: Path) -> None:
    empty = vacant(file_place(tmp_path / "empty.db"))
    target = vacant(file_place(tmp_path / "new.db"))
    with pytest.raises(StoreError, match="there is no store to copy"):
        copy_store(empty, target, lambda _: None)
    empty.close()
    target.close()


def test_a_key_is_handed_over_once_and_never_over_another(filed: Store, path: Path) -> None:
    source, target = path.with_name("fleet.db.key"), path.with_name("new") / "k"
    assert vault.hand_key(source, target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert vault.read_key(target) == filed.vault.key
    assert not vault.hand_key(source, target)
    target.write_text("ab" * 32)
    with pytest.raises(Unreadable, match="another store's key lies there"):
        vault.hand_key(source, target)
