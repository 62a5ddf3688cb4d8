"""Names and values in the one form that state/drivers.py promises, and as providers want them."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from state.drivers import RRset

ADDRESSES = frozenset({"A", "AAAA"})
NAMES = frozenset({"CNAME", "DNAME", "MX", "NS", "PTR", "SOA", "SRV"})
"""Types whose values hold names."""

Row = tuple[str, str, int, str, str]
"""One record: name, type, TTL, value and mark."""


def plain_name(text: str) -> str:
    """A name in lower case without its last dot; the root stays a dot."""
    return text.lower().removesuffix(".") or "."


def plain_value(kind: str, text: str) -> str:
    """A value as we compare it: names as `plain_name`, addresses in their shortest form."""
    if kind in NAMES:
        return " ".join(plain_name(word) for word in text.split())
    if kind in ADDRESSES:
        try:
            return str(ip_address(text))
        except ValueError:
            return text.lower()
    return text


def dotted(text: str) -> str:
    """An absolute name as zone files and most APIs write it."""
    return text if text.endswith(".") else f"{text}."


def dotted_value(kind: str, text: str) -> str:
    """A value with the last dot of the name in it, where its type holds one (DNS-06)."""
    return dotted(text) if kind in NAMES else text


def relative(name: str, zone: str) -> str:
    """A record's name below its zone; `@` for the zone itself."""
    return "@" if name == zone else name.removesuffix(f".{zone}")


def absolute(name: str, zone: str) -> str:
    """The name that a zone's own record has: `@`, relative, or absolute with a last dot."""
    if name in ("@", ""):
        return zone
    return plain_name(name) if name.endswith(".") else f"{name.lower()}.{zone}"


def rrsets(rows: Iterable[Row]) -> tuple[RRset, ...]:
    """Records gathered by name and type, sorted; TTL and mark are those of the first that has."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row[0], row[1]), []).append(row)
    return tuple(_rrset(found[key]) for key in sorted(found))


def _rrset(rows: Sequence[Row]) -> RRset:
    name, kind, ttl, _, _ = rows[0]
    mark = next((row[4] for row in rows if row[4]), "")
    return RRset(name, kind, ttl, frozenset(row[3] for row in rows if row[3]), mark)
