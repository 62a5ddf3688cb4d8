"""A document of a database, read as strictly as a file."""

import pytest

from desired.record import read_record, unreadable_records


def test_a_record_is_the_document_of_one_vm() -> None:
    found = read_record("web-1", 3, '{"package":"small","tags":["a"]}')
    assert found.entries == {"web-1": {"package": "small", "tags": ["a"]}}
    assert str(found.place(("web-1", "tags", 0))) == "db:web-1 revision 3"
    assert not found.faults


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Expecting property name"),
        ('{"a": 1, "a": 2}', "a key stands twice"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_text_that_is_no_json_breaks_that_vm(text: str, words: str) -> None:
    found = read_record("web-1", 3, text)
    assert not found.entries and not found.unreadable
    assert found.broken == {"web-1"}
    assert str(found.faults[0]).startswith("db:web-1 revision 3: web-1: not valid JSON")
    assert words in str(found.faults[0])


def test_records_that_could_not_be_read_may_hold_anything() -> None:
    found = unreadable_records("disk on fire")
    assert found.unreadable and not found.broken
    assert str(found.faults[0]) == "db: the specs cannot be read: disk on fire"
