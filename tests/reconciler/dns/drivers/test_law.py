"""Whatever a batch holds: what a driver confirms is in force, what it refuses is as it was."""

from collections.abc import Sequence
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from state.drivers import RRChange, RRset, ZoneDriver
from tests.servers.providers import Ground, driver

Key = tuple[str, str]
VALUES = {
    "A": ("192.0.2.1", "192.0.2.2"),
    "AAAA": ("2001:db8::1", "2001:db8::2"),
    "CNAME": ("one.example.net", "two.example.net"),
}
NAMES = ("a", "b", "*")
_zones = count(1)


def rrsets(kind: str, name: str) -> SearchStrategy[RRset | None]:
    """A rrset of that type and name in the zone `ZONE`, or none."""
    most = 1 if kind == "CNAME" else 2
    values = st.frozensets(st.sampled_from(VALUES[kind]), min_size=1, max_size=most)
    ttls = st.sampled_from((300, 600))
    return st.none() | st.builds(RRset, st.just(name), st.just(kind), ttls, values)


@st.composite
def batches(draw: st.DrawFn) -> list[RRset | bool | None]:
    """For each name and type: whether the old rrset is known as it is, and the new one."""
    return [
        draw(one)
        for name in NAMES
        for kind in VALUES
        for one in (st.sampled_from((True, True, True, False)), rrsets(kind, name))
    ]


def held(driven: ZoneDriver, zone: str) -> dict[Key, RRset]:
    """The zone's records below its own name."""
    return {(one.name, one.type): one for one in driven.read() if one.name != zone}


def changes(
    drawn: Sequence[RRset | bool | None], before: dict[Key, RRset], zone: str
) -> list[RRChange]:
    """The batch that leads from what is held to what was drawn, with some wrong ideas of it."""
    found = []
    keys = [(f"{name}.{zone}", kind) for name in NAMES for kind in VALUES]
    for (name, kind), known, new in zip(keys, drawn[::2], drawn[1::2], strict=True):
        old = before.get((name, kind))
        if known is False:
            stale = RRset(name, kind, 300, frozenset(VALUES[kind][:1]))
            old = None if old and old.values == stale.values else stale
        wanted = RRset(name, kind, new.ttl, new.values) if isinstance(new, RRset) else None
        if old != wanted:
            found.append(RRChange(old, wanted))
    return found


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(rounds=st.lists(batches(), min_size=2, max_size=3))
def test_what_is_confirmed_is_in_force_and_what_is_refused_is_as_it_was(
    ground: Ground, rounds: list[list[RRset | bool | None]]
) -> None:
    """C18: and nothing else of the zone has changed."""
    zone = ground.zone(f"law{next(_zones)}.example")
    driven = driver(ground, zone)
    for drawn in rounds:
        before = held(driven, zone)
        expected = dict(before)
        for applied in driven.apply(changes(drawn, before, zone)):
            about = applied.change.rrset
            if applied.error is None:
                expected.pop((about.name, about.type), None)
                if applied.change.new is not None:
                    expected[about.name, about.type] = applied.change.new
        assert held(driven, zone) == expected
