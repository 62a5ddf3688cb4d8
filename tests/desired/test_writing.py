"""What is written is read again as the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from desired.document import read_document
from desired.writing import yaml_text

scalars = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(some.characters(exclude_categories=["Cs"]))
    | some.text("0123456789-+.:~<eEnulytr'\" #\n", max_size=6)
)
trees = some.dictionaries(
    some.text(some.characters(exclude_categories=["Cs"]), min_size=1).filter(
        lambda key: not key.startswith(".")
    ),
    some.recursive(
        scalars,
        lambda below: (
            some.lists(below) | some.dictionaries(some.text("abc 1:-", min_size=1), below)
        ),
        max_leaves=8,
    ),
)


@given(trees)
def test_what_is_written_is_read_as_the_same(tree: dict[str, object]) -> None:
    found = read_document("x.yaml", yaml_text(tree))
    assert not found.faults
    assert found.entries == tree


@pytest.mark.parametrize("text", ["no", "010", "-.5", "1.", "null", "~", "<<", "12:30:00", ""])
def test_text_that_somebody_would_take_for_something_else_is_quoted(text: str) -> None:
    assert yaml_text({"a": text}) == f"a: '{text}'\n"


def test_a_part_that_stands_twice_is_written_twice() -> None:
    part = {"size": "1GiB"}
    assert yaml_text({"a": part, "b": part}) == "a:\n  size: 1GiB\nb:\n  size: 1GiB\n"


def test_keys_keep_their_order() -> None:
    assert yaml_text({"b": 1, "a": {"d": [1], "c": {}}}) == "b: 1\na:\n  d:\n  - 1\n  c: {}\n"
