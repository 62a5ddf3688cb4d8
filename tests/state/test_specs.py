"""Specs in the database: revisions, deletes, and who came first."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from state.database import Database
from state.specs import Edit, Specs, StoredSpec, Superseded, written
from state.store import Store

SMALL = {"package": "small", "memory": "1GiB"}
LARGE = {"package": "large"}


def test_a_spec_is_read_as_it_was_put(store: Store, at: datetime) -> None:
    put = store.specs.put("web-1", SMALL, "ann@host", at)
    assert put == StoredSpec("web-1", 1, written(SMALL), "ann@host", at)
    assert store.specs.of("web-1") == put
    assert store.specs.all() == {"web-1": put}
    assert store.specs.of("web-2") is None


def test_each_edit_is_a_revision_that_stays(store: Store, at: datetime) -> None:
    store.specs.put("web-1", SMALL, "ann", at)
    store.specs.put("web-1", LARGE, "bob", at + timedelta(hours=1))
    store.specs.edit([Edit("web-1", None)], "cy", at + timedelta(hours=2))
    again = store.specs.put("web-1", SMALL, "ann", at + timedelta(hours=3))
    found = [(one.revision, one.document_json, one.author) for one in store.specs.history("web-1")]
    assert found == [
        (4, written(SMALL), "ann"),
        (3, None, "cy"),
        (2, written(LARGE), "bob"),
        (1, written(SMALL), "ann"),
    ]
    assert store.specs.of("web-1") == again
    second = store.specs.of("web-1", 2)
    assert second is not None and second.author == "bob"
    assert store.specs.of("web-1", 9) is None


def test_what_changes_nothing_makes_no_revision(store: Store, at: datetime) -> None:
    first = store.specs.put("web-1", SMALL, "ann", at)
    assert store.specs.put("web-1", SMALL, "bob", at + timedelta(hours=1)) == first
    assert store.specs.edit([Edit("web-2", None)], "bob", at)[0].document_json is None
    assert [len(store.specs.history(name)) for name in ("web-1", "web-2")] == [1, 0]


def test_an_edit_of_a_revision_that_stands_no_more_is_refused(store: Store, at: datetime) -> None:
    store.specs.put("web-1", SMALL, "ann", at, if_revision=0)
    store.specs.put("web-1", LARGE, "bob", at, if_revision=1)
    with pytest.raises(Superseded, match="revision 1 expected, revision 2 by bob stands"):
        store.specs.put("web-1", SMALL, "cy", at, if_revision=1)
    with pytest.raises(Superseded, match="none expected, revision 2 by bob stands"):
        store.specs.put("web-1", SMALL, "cy", at, if_revision=0)
    with pytest.raises(Superseded, match="revision 1 expected, none stands"):
        store.specs.edit([Edit("web-2", None, 1)], "cy", at)


def test_all_edits_are_made_or_none(store: Store, at: datetime) -> None:
    with pytest.raises(Superseded):
        store.specs.edit([Edit("web-1", SMALL), Edit("web-2", SMALL, 7)], "ann", at)
    assert store.specs.all() == {}
    assert store.specs.history("web-1") == []


@pytest.mark.parametrize("others", [0, 600])
def test_edits_of_one_name_are_made_in_their_order(store: Store, at: datetime, others: int) -> None:
    many = [Edit(f"x{number}", {}) for number in range(others)]
    documents = (SMALL, LARGE, None, SMALL, SMALL)
    found = store.specs.edit([*(Edit("a", one) for one in documents), *many], "ann", at)
    assert [one.revision for one in found[:5]] == [1, 2, 3, 4, 4]
    stands = store.specs.of("a")
    assert stands is not None and (stands.revision, stands.document_json) == (4, written(SMALL))
    assert [one.revision for one in store.specs.history("a")] == [4, 3, 2, 1]
    gone = store.specs.edit([Edit("a", LARGE, 4), Edit("a", None, 5)], "ann", at)
    assert [one.revision for one in gone] == [5, 6]
    assert sorted(store.specs.all()) == sorted(one.name for one in many)


def test_what_was_checked_is_stored_only_if_nothing_was_meanwhile(
    store: Store, at: datetime
) -> None:
    _, count = store.specs.after([])
    store.specs.put("web-2", LARGE, "bob", at)
    with pytest.raises(Superseded, match="edited meanwhile"):
        store.specs.edit([Edit("web-1", SMALL)], "ann", at, after=count)
    store.specs.edit([Edit("web-1", SMALL)], "ann", at, after=store.specs.after([])[1])
    assert sorted(store.specs.all()) == ["web-1", "web-2"]


def test_what_would_stand_bears_the_revision_that_it_would_get(store: Store, at: datetime) -> None:
    for document in (SMALL, None, LARGE, None):
        store.specs.edit([Edit("web-1", document)], "ann", at)
    store.specs.put("web-2", SMALL, "ann", at)
    store.specs.put("web-3", SMALL, "ann", at)
    edits = [Edit("web-1", SMALL), Edit("web-2", SMALL), Edit("web-3", None)]
    documents, count = store.specs.after(edits)
    assert {one.file: one.entries for one in documents} == {
        "db:web-1 revision 5": {"web-1": SMALL},
        "db:web-2 revision 1": {"web-2": SMALL},
    }
    assert count == 6


def test_text_that_is_no_json_breaks_its_own_vm_only(store: Store) -> None:
    with store._database.writing("spoil") as link:
        for row in ("'bad', 1, '{', 'x', '2026-01-01'", "'ok', 1, '{}', 'x', '2026-01-01'"):
            link.exec_driver_sql(f"INSERT INTO desired_vm VALUES ({row})")
    bad, good = store.specs.documents()
    assert not bad.entries and not bad.unreadable
    assert bad.broken == {"bad"}
    assert str(bad.faults[0]).startswith("db:bad revision 1: bad: not valid JSON")
    assert good.entries == {"ok": {}}


def test_specs_that_cannot_be_read_are_one_unreadable_document() -> None:
    database = Database.memory()
    (found,) = Specs(database).documents()
    assert found.unreadable
    assert "the specs cannot be read" in str(found.faults[0])
    database.close()


def test_a_run_is_stamped_with_the_commit_of_its_specs(path: Path, at: datetime) -> None:
    with Store.open(str(path), at=at) as opened:
        number = opened.journal.start_run(at, "--once", "r", commit="abc+dirty")
        opened.journal.start_run(at, "--once", "r")
        assert [run.commit for run in opened.journal.runs()] == ["", "abc+dirty"]
        assert opened.journal.runs()[1].id == number
