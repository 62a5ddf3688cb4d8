"""Bodies and queries as pve-http-server reads them."""

import pytest

from reconciler.sim.errors import Refusal
from reconciler.sim.http.forms import decode_form, decode_json


def test_forms_repeat_keys_and_end_values_early() -> None:
    assert decode_form("a=1&b=x+y%2B;c=&d&a=2&a=3&e=f=g&&") == {
        "a": ["1", "2", "3"],
        "b": "x y+",
        "c": "",
        "d": None,
        "e": "f",
    }
    assert decode_form("") == {}
    assert decode_form("n=%C3%BC%FF") == {"n": "ü\ufffd"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"description":', "malformed JSON string, neither tag, array, object, number, string or"
         ' atom, at character offset 15 (before "(end of string)")'),
        (b'{"a":1 "b"', ", or } expected while parsing object/hash, at character offset 7"),
        (b"[1]", "Not a HASH reference"),
    ],
)  # fmt: skip
def test_broken_json_gets_perls_words(body: bytes, words: str) -> None:
    with pytest.raises(Refusal) as refused:
        decode_json(body)
    assert refused.value.status == 500
    assert refused.value.reason.startswith(words)
