"""The strict reading of YAML, and where values stand."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from desired.document import read_document
from desired.errors import Place
from desired.nodes import MAX_VALUES

Plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20)
)
Trees = st.dictionaries(
    st.text("abcxyz-", min_size=1, max_size=8),
    st.recursive(
        Plain,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text("abc01", min_size=1, max_size=4), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    max_size=5,
)


def test_plain_scalars_are_those_of_yaml_1_2() -> None:
    text = (
        "mac: 52:54:00:12:34:56\nno: no\non: on\noctal: 010\nclock: 12:30\nday: 2026-01-01\n"
        "power: 1e3\narrows: <<\nint: -7\nfloat: 1.5\ndot: .\nyes: true\nnull: ~\nempty:\n"
        'quoted: "5"\n101: vmid\n'
    )
    assert read_document("f.yaml", text).entries == {
        "mac": "52:54:00:12:34:56",
        "no": "no",
        "on": "on",
        "octal": "010",
        "clock": "12:30",
        "day": "2026-01-01",
        "power": "1e3",
        "arrows": "<<",
        "int": -7,
        "float": 1.5,
        "dot": ".",
        "yes": True,
        "null": None,
        "empty": None,
        "quoted": "5",
        "101": "vmid",
    }


@given(Trees)
def test_what_is_dumped_is_read_back(tree: dict[str, object]) -> None:
    text = yaml.safe_dump(tree, allow_unicode=True)
    assert read_document("f.yaml", text).entries == tree


def test_merge_keys_yield_to_own_keys_and_earlier_maps() -> None:
    text = ".a: &a {x: 1, y: 1}\n.b: &b {x: 2, z: 2}\nc: {<<: [*a, *b], y: 3}\nd: {<<: *b}\n"
    document = read_document("f.yaml", text)
    assert document.entries == {"c": {"x": 1, "z": 2, "y": 3}, "d": {"x": 2, "z": 2}}
    assert document.place(("c", "z")) == Place("f.yaml", 2, 18)
    assert document.place(("d", "x")) == Place("f.yaml", 2, 12)


def test_places_are_those_of_scalars_and_of_the_keys_of_maps() -> None:
    document = read_document("f.yaml", "a:\n  b: [1, {c: 2}]\n  d:\n    e: 5\n")
    assert document.place(("a", "b", 0)) == Place("f.yaml", 2, 7)
    assert document.place(("a", "b", 1)) == Place("f.yaml", 2, 10)
    assert document.place(("a", "b", 1, "c")) == Place("f.yaml", 2, 14)
    assert document.place(("a", "b", 1, "c"), at_key=True) == Place("f.yaml", 2, 11)
    assert document.place(("a", "d")) == Place("f.yaml", 3, 3)
    assert document.place(("a", "d", "missing", "more")) == Place("f.yaml", 3, 3)
    assert document.place(("a", "b", 9)) == Place("f.yaml", 2, 3)
    assert document.place(()) == Place("f.yaml", 1, 1)
    assert read_document("e.yaml", "").place(("a",)) == Place("e.yaml")


def test_an_alias_bomb_is_refused() -> None:
    rungs = ["a0: &a0 [" + "x, " * 9 + "x]"]
    rungs += [f"a{n}: &a{n} [" + f"*a{n - 1}, " * 9 + f"*a{n - 1}]" for n in range(1, 7)]
    document = read_document("f.yaml", "\n".join(rungs))
    assert f"more than {MAX_VALUES} values" in str(document.faults[0])
    assert "a0" in document.entries


def test_text_that_is_no_text_is_unreadable() -> None:
    document = read_document("f.yaml", "a: \x00")
    assert document.unreadable
    assert "is no text" in str(document.faults[0])


def test_a_tag_on_a_list_or_map_is_refused() -> None:
    document = read_document("f.yaml", "a: !!set {x: null}\nb: !mine [1]\n")
    assert [error.message for error in document.faults] == [
        "the tag !!set is not allowed",
        "the tag !mine is not allowed",
    ]
    assert document.broken == {"a", "b"}


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000 + "x"])
def test_deep_nesting_is_an_error_and_no_crash(text: str) -> None:
    document = read_document("f.yaml", f"a:\n  {text}")
    assert "nested over 100 deep" in document.faults[0].message


def test_deep_nesting_by_aliases_is_an_error() -> None:
    rungs = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000))]
    document = read_document("f.yaml", "\n".join(rungs))
    assert "a99" in document.entries
    assert document.faults[0].message == "nested over 100 deep"
