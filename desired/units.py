"""Sizes and rates with their units written out, as a person writes them in a spec."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
_FACTORS = {"": 1, "K": KIB, "M": MIB, "G": GIB, "T": TIB}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?(?:([KMGT])(?:iB)?|B)")
_DURATION = re.compile(r"(\d{1,9}) ?(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?MB/s")


def parse_size(value: object) -> object:
    """Return bytes for `10GiB`, `512M` or `0`; K/M/G/T and KiB..TiB are powers of 1024.

    Raises ValueError for a number without a unit (but 0) and for GB/MB, which mean two things.
    """
    if value == 0 and not isinstance(value, bool):
        return 0
    if not isinstance(value, str):
        raise ValueError(f"expected a size with its unit such as 10GiB, seen {value!r}")
    match = _SIZE.fullmatch(value.strip())
    if not match:
        hint = (
            "; GB and MB are ambiguous: write GiB or MiB"
            if re.search(r"\d ?[KMGT]B$", value)
            else ""
        )
        raise ValueError(f"expected a size with its unit such as 10GiB, seen {value!r}{hint}")
    size = Decimal(match[1]) * _FACTORS[match[2] or ""]
    if size != int(size):
        raise ValueError(f"expected a whole number of bytes, seen {value!r}")
    return int(size)


def format_size(size: int) -> str:
    """Return the size in the largest unit that keeps it whole: `10 GiB`, `1536 MiB`."""
    for unit, factor in (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"


def parse_rate(value: object) -> object:
    """Return MB/s (Proxmox's: 1024 x 1024 bytes a second) for `12.5MB/s`; 0 is unlimited."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"expected a rate such as 12.5MB/s or 0 (unlimited), seen {value!r}")
    return float(match[1])


def parse_duration(value: object) -> object:
    """Return seconds for `90s`, `15min`, `24h` or `7d`. Raises ValueError for anything else."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"expected a duration such as 90s, 15min, 24h or 7d, seen {value!r}")
    return float(int(match[1]) * _SECONDS[match[2]])


def _compact(size: int) -> str | int:
    return format_size(size).replace(" ", "") if size else 0


def _exact(rate: float) -> str | int:
    return f"{Decimal(repr(rate)).normalize():f}MB/s" if rate else 0


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(_compact, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\d+(\.\d+)? ?([KMGT](iB)?|B)$"},
                {"const": 0},
            ],
            "examples": ["10GiB", "512MiB"],
        }
    ),
]
"""A size in bytes, written with its unit."""

Rate = Annotated[
    float,
    BeforeValidator(parse_rate),
    PlainSerializer(_exact, when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)? ?MB/s$"}, {"const": 0}]}
    ),
]
"""A NIC's rate in MB/s as Proxmox counts them (1024 x 1024 bytes)."""

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d+ ?(s|min|h|d)$", "examples": ["24h"]}),
]
"""A time span in seconds, written with its unit."""
