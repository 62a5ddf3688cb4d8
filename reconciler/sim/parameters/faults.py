"""What may be wrong with one value, in Proxmox's words.

Source: pve-common PVE/JSONSchema.pm (check_prop).
"""

from __future__ import annotations

import re
from collections.abc import Callable

INTEGER = re.compile(r"[+-]?\d+\Z")
NUMBER = re.compile(r"[+-]?(\d+\.\d+|\d+\.|\.\d+|\d+)([eE][+-]?\d+)?\Z")
TRUE = frozenset(("1", "on", "yes", "true"))
FALSE = frozenset(("0", "off", "no", "false"))
LIST_BREAK = re.compile(r"[,;\s\0]+")

UNKNOWN_KEY = (
    "property is not defined in schema and the schema does not allow additional properties"
)
MISSING = "property is missing and it is not optional"

Format = Callable[[str], object]
Errors = dict[str, str]


class FormatError(ValueError):
    """A value has the wrong form; the text is Proxmox's, without the final newline."""


def add(errors: Errors, path: str, text: str) -> None:
    """Proxmox joins several errors of one key with a backslash and an n (single quotes in Perl)."""
    errors[path] = f"{errors[path]}\\n{text}" if path in errors else text


def format_fault(check: Format | None, text: str) -> str | None:
    if check is None:
        return None
    try:
        check(text)
    except FormatError as error:
        return f"invalid format - {error}\n"
    return None


def list_fault(check: Format, text: str) -> str | None:
    for one in split_list(text):
        wrong = format_fault(check, one)
        if wrong is not None:
            return wrong
    return None


def range_fault(text: str, minimum: float | None, maximum: float | None) -> str | None:
    number = float(text)
    if maximum is not None and number > maximum:
        return f"value must have a maximum value of {maximum}"
    if minimum is not None and number < minimum:
        return f"value must have a minimum value of {minimum}"
    return None


def length_fault(text: str, minimum: int | None, maximum: int | None) -> str | None:
    if maximum is not None and len(text) > maximum:
        return f"value may only be {maximum} characters long"
    if minimum is not None and len(text) < minimum:
        return f"value must be at least {minimum} characters long"
    return None


def enum_fault(text: str, allowed: tuple[str, ...]) -> str:
    listed = ", ".join(allowed)
    return f"value '{text}' does not have a value in the enumeration '{listed}'"


def matches(pattern: str, text: str) -> bool:
    """Perl's m/^PATTERN$/: a final newline is let through."""
    return re.fullmatch(f"(?:{pattern})\\n?", text) is not None


def split_list(text: str) -> list[str]:
    """The parts of a `-list` value, separated by comma, semicolon or white space."""
    return [one for one in LIST_BREAK.split(text.strip()) if one]
