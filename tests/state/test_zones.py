"""The store's room of DNS, on both kinds of database."""

from dataclasses import replace
from datetime import datetime, timedelta

from state.drivers import RRset
from state.store import Store
from state.zones import CachedZone, OwnedRecord

ZONE = "example.net@bind"


def row(at: datetime, name: str, *keys: str) -> OwnedRecord:
    held = frozenset({"192.0.2.7", "192.0.2.8"})
    return OwnedRecord(ZONE, f"{name}.example.net", "A", keys, held, frozenset(), 300, at)


def test_what_is_written_is_read_again_zone_by_zone(store: Store, at: datetime) -> None:
    first, second = row(at, "a", "web-1"), row(at, "b", "web-1", 'wéb_"2"')
    store.zones.put([first, second])
    store.zones.put([])
    assert store.zones.owned(ZONE) == {first.id: first, second.id: second}
    assert store.zones.owned("example.net@other") == {}
    assert store.zones.all() == (first, second)


def test_a_vms_records_are_found_by_its_whole_key(store: Store, at: datetime) -> None:
    rows = [row(at, "a", "web-1"), row(at, "b", 'wéb_"2"', "web-1"), row(at, "c", "web-11", "web%")]
    store.zones.put(rows)
    assert store.zones.of("web-1") == (rows[0], rows[1])
    assert store.zones.of('wéb_"2"') == (rows[1],)
    assert store.zones.of("web%") == (rows[2],)
    assert store.zones.of("web") == ()


def test_a_row_gives_way_to_the_newer_and_is_forgotten(store: Store, at: datetime) -> None:
    first = row(at, "a", "web-1")
    later = replace(first, held=frozenset(), pending=frozenset({"192.0.2.9"}))
    store.zones.put([first])
    store.zones.put([later])
    assert store.zones.owned(ZONE) == {later.id: later}
    assert later.wrote(frozenset({"192.0.2.9"})) and not later.wrote(frozenset())
    store.zones.forget(ZONE, [later.id])
    assert store.zones.all() == ()


def test_a_zone_is_dirty_until_it_was_read_and_again_once_it_is_written(
    store: Store, at: datetime
) -> None:
    assert store.zones.cached(ZONE) == CachedZone(ZONE)
    assert store.zones.records(ZONE) == ()
    records = (RRset("a.example.net", "A", 60, frozenset({"192.0.2.7"}), "ours"),)
    read = CachedZone(ZONE, "7", at + timedelta(seconds=1), False, "", records)
    store.zones.keep(read)
    assert store.zones.cached(ZONE) == replace(read, records=())
    assert store.zones.records(ZONE) == records
    store.zones.settle(ZONE, "quiet")
    assert store.zones.cached(ZONE).settled == "quiet"
    for _ in range(2):
        store.zones.mark_dirty(ZONE)
        found = store.zones.cached(ZONE)
        assert (found.dirty, found.settled) == (True, "")
        assert store.zones.records(ZONE) == records
    store.zones.settle(ZONE, "not while it is dirty")
    assert store.zones.cached(ZONE).settled == ""
