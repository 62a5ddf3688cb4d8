"""Small pieces of a driver's tests: a rrset, its creation, and what came of a batch."""

from collections.abc import Sequence

from state.drivers import Applied, DNSError, RRChange, RRset, ZoneDriver


def rrset(name: str, kind: str, *values: str, ttl: int = 300, mark: str = "") -> RRset:
    """One rrset."""
    return RRset(name, kind, ttl, frozenset(values), mark)


def create(*rrsets: RRset) -> list[RRChange]:
    """The changes that create these rrsets."""
    return [RRChange(None, one) for one in rrsets]


def put(driven: ZoneDriver, *changes: RRChange) -> None:
    """Apply changes that must all go well."""
    assert errors(driven.apply(changes)) == [None] * len(changes)


def errors(applied: Sequence[Applied]) -> list[DNSError | None]:
    """The error of each change, in their order."""
    return [one.error for one in applied]


def held(driven: ZoneDriver, *kinds: str) -> list[RRset]:
    """What the zone holds of these types, but for the address that HestiaCP's template puts in."""
    found = driven.read()
    assert list(found) == sorted(found)
    return [one for one in found if one.type in kinds and "192.0.2.250" not in one.values]
