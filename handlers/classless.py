"""Reverse zones smaller than an octet (RFC 2317): which addresses each of them is for."""

import re
from dataclasses import dataclass

_FIRST = re.compile(r"(\d{1,3})([/_-])(\d{1,3})")


@dataclass(frozen=True, slots=True)
class OctetRange:
    """The addresses below `parent` (`2.0.192.in-addr.arpa`) whose last octet is in a range."""

    parent: str
    first: int
    last: int

    def holds(self, name: str) -> bool:
        """Whether an address's own reverse name, `5.2.0.192.in-addr.arpa`, is of this range."""
        octet, _, parent = name.partition(".")
        return parent == self.parent and octet.isdigit() and self.first <= int(octet) <= self.last


def classless(zone: str) -> OctetRange | None:
    """Return what a zone's name delegates: `0/26.…`, `0-26.…` (a prefix) or `0-63.…` (a range).

    Both stand in zones of this world; a hyphen means a range where that makes a whole subnet.
    None for a zone that is cut at a label.
    """
    label, _, parent = zone.partition(".")
    match = _FIRST.fullmatch(label)
    if match is None or len(parent.split(".")) != 5 or not parent.endswith(".in-addr.arpa"):
        return None
    first, sign, second = int(match[1]), match[2], int(match[3])
    if sign == "-" and _is_subnet(first, second - first + 1):
        return OctetRange(parent, first, second)
    if 25 <= second <= 32 and first <= 255:
        size = 1 << (32 - second)
        start = first - first % size
        return OctetRange(parent, start, start + size - 1)
    if sign == "-" and first <= second <= 255:
        return OctetRange(parent, first, second)
    return None


def _is_subnet(first: int, size: int) -> bool:
    return size > 1 and size & (size - 1) == 0 and first % size == 0 and first + size <= 256
