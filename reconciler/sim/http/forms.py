"""Bodies and queries as pve-http-server reads them, oddities included.

Source: PVE/APIServer/AnyEvent.pm (extract_params, decode_urlencoded).
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from reconciler.sim.errors import Refusal

PLACE = "at /usr/local/share/perl/5.36.0/PVE/APIServer/AnyEvent.pm line 917."
PARTS = re.compile("[&;]")
COMPLAINTS = {
    "Expecting value": "malformed JSON string, neither tag, array, object, number, string or atom",
    "Expecting ',' delimiter": ", or } expected while parsing object/hash",
    "Expecting ':' delimiter": "':' expected",
    "Unterminated string starting at": "unexpected end of string while parsing JSON string",
    "Extra data": "garbage after JSON object",
}


def plain(text: str) -> str:
    """Percent and plus decoding; bytes that are no UTF-8 are replaced."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    return unquote_to_bytes(text).decode("utf-8", "replace")


def decode_form(text: str) -> dict[str, Any]:
    """A query or form body: `;` separates like `&`, a repeated key gives a list, a second `=`
    ends the value, a key without `=` has no value."""
    found: dict[str, Any] = {}
    if not text:
        return found
    for part in PARTS.split(text):
        if not part:
            continue
        pieces = part.split("=")
        key = plain(pieces[0])
        if len(pieces) == 1:
            found[key] = None
            continue
        value: Any = plain(pieces[1])
        old = found.get(key)
        if old is not None:
            value = [*old, value] if isinstance(old, list) else [old, value]
        found[key] = value
    return found


def decode_json(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises 500 with the words of Perl's JSON decoder."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        what = COMPLAINTS.get(error.msg, "malformed JSON string")
        rest = text[error.pos : error.pos + 20] or "(end of string)"
        raise Refusal(
            500, f'{what}, at character offset {error.pos} (before "{rest}") {PLACE}\n'
        ) from None
    if not isinstance(found, dict):
        raise Refusal(500, f"Not a HASH reference {PLACE}\n")
    return found
