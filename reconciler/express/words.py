"""Values in the words of a spec."""

from collections.abc import Mapping

from desired.units import format_size

Tree = dict[str, object]
"""A part of a spec, as YAML has it."""


def size(number: int) -> str | int:
    """`10GiB`; 0 stands without a unit."""
    return format_size(number).replace(" ", "") if number else 0


def rate(number: float | None) -> str | int:
    """`12.5MB/s`; 0 is unlimited."""
    return f"{number:g}MB/s" if number else 0


def amount(number: float) -> int | float:
    """A number without needless decimals."""
    return int(number) if number == int(number) else round(number, 6)


def known(**fields: object) -> Tree:
    """Those of some fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def section(name: str, fields: Mapping[str, object]) -> Tree:
    """The fields under one key; nothing at all without any."""
    return {name: dict(fields)} if fields else {}
