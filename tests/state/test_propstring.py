"""Property strings: Proxmox's grammar and its normal form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.propstring import parse, parse_boolean, render, render_number

KEYS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=12)
VALUES = st.text(st.characters(exclude_characters=",", codec="utf-8"), min_size=1)


@given(st.dictionaries(KEYS, VALUES, max_size=6), st.none() | KEYS)
def test_what_is_rendered_reads_back_equal(fields: dict[str, str], default: str | None) -> None:
    assert parse(render(fields, default), default) == fields


@given(st.dictionaries(KEYS, VALUES, max_size=6), st.none() | KEYS)
def test_the_normal_form_is_stable(fields: dict[str, str], default: str | None) -> None:
    normal = render(fields, default)
    assert render(parse(normal, default), default) == normal


def test_default_key_comes_bare_then_the_required_then_the_rest_by_name() -> None:
    fields = {"z": "1", "a": "2", "must": "3", "file": "local:1"}
    assert render(fields, "file", ("must", "file", "absent")) == "local:1,must=3,a=2,z=1"


def test_a_default_value_that_could_not_be_read_bare_is_written_with_its_key() -> None:
    assert render({"file": "/a=b"}, "file") == "file=/a=b"
    assert render({"file": " "}, "file") == "file= "


def test_values_keep_their_equal_signs() -> None:
    assert parse("serial=YWJj==,base64=1") == {"serial": "YWJj==", "base64": "1"}


def test_blank_parts_are_skipped() -> None:
    assert parse(" ") == parse("") == parse(", ,") == {}


@pytest.mark.parametrize(
    ("text", "default", "says"),
    [
        ("bare", None, "expected key=value"),
        ("key=", None, "expected key=value"),
        ("=value", None, "expected key=value"),
        ("a=1,a=2", None, "stands twice"),
        ("virtio,model=virtio", "model", "stands twice"),
    ],
)
def test_what_proxmox_cannot_read_is_refused(text: str, default: str | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text, default)


@pytest.mark.parametrize("fields", [{"": "1"}, {"a": ""}, {"a=b": "1"}, {"a": "1,2"}])
def test_what_could_not_be_read_back_is_not_rendered(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="cannot stand"):
        render(fields)


@pytest.mark.parametrize("text", ["1", "on", "Yes", "TRUE", " 1 "])
def test_true_words(text: str) -> None:
    assert parse_boolean(text) is True


@pytest.mark.parametrize("text", ["0", "off", "No", "false", ""])
def test_false_words(text: str) -> None:
    assert parse_boolean(text) is False


def test_other_words_are_no_boolean() -> None:
    with pytest.raises(ValueError, match="maybe"):
        parse_boolean("maybe")


@pytest.mark.parametrize(
    ("number", "text"),
    [(12.5, "12.5"), (100.0, "100"), (0, "0"), (0.25, "0.25"), (1e15, "1" + "0" * 15)],
)
def test_numbers_print_without_exponent(number: float, text: str) -> None:
    assert render_number(number) == text
