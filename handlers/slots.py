"""The order of slots: `net2` comes before `net10`."""

import re
from collections.abc import Iterable


def number(slot: str) -> int:
    """The number at a slot's end: 10 of `net10`; -1 without one (`system` comes first)."""
    match = re.search(r"\d+$", slot)
    return int(match[0]) if match else -1


def in_order(slots: Iterable[str]) -> list[str]:
    """Return the slots by number, then by bus."""
    return sorted(slots, key=lambda slot: (number(slot), slot))
