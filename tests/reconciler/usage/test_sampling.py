"""Counters are read off the rows that every tick reads, for our machines alone."""

from datetime import UTC, datetime, timedelta

import pytest

from handlers.marker import marker_tag
from reconciler.usage.sampling import sample
from state.memory import Binding
from state.observed import ClusterView, VMRow
from state.store import Store

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BINDINGS = {101: Binding("web-1", "lab", 101, "web-1")}
TAG = (marker_tag("demo"),)


@pytest.fixture
def store() -> Store:
    return Store.temporary(at=START)


def look(store: Store, minutes: float, received: int, **row: object) -> None:
    at = START + timedelta(minutes=minutes)
    fields = {"tags": TAG, "status": "running", "uptime": 86_400 + int(minutes * 60), **row}
    seen = VMRow(101, "pve1", netin=received, netout=2 * received, **fields)  # type: ignore[arg-type]
    sample(store, ClusterView("lab", at, vms={101: seen}), BINDINGS, "demo", UTC)


def hours(store: Store) -> list[tuple[int, int, int]]:
    found = store.usage.hours(None, START, START + timedelta(days=1))
    return [(one.hour.hour, one.bytes_in, one.bytes_out) for one in found]


def test_use_01_an_hour_is_written_once_when_it_is_over(store: Store) -> None:
    for minutes, received in ((0, 100), (1, 150), (58, 400), (61, 500), (62, 500)):
        look(store, minutes, received)
    assert hours(store) == [(12, 366, 733)]
    open_hour = store.usage.meters("lab").by_vmid[101].open
    assert (open_hour.bytes_in, open_hour.bytes_out) == (34, 67)


def test_a_row_without_our_tag_may_be_another_machine_and_is_not_metered(store: Store) -> None:
    look(store, 0, 100)
    look(store, 1, 10**9, tags=())
    look(store, 2, 300)
    assert store.usage.meters("lab").by_vmid[101].open.bytes_in == 200


def test_the_hour_of_a_machine_that_was_stopped_is_closed_all_the_same(store: Store) -> None:
    look(store, 0, 100)
    look(store, 1, 150)
    look(store, 61, 0, status="stopped", uptime=0)
    assert hours(store) == [(12, 50, 100)]


def test_what_a_machine_used_is_kept_when_it_is_no_longer_ours(store: Store) -> None:
    look(store, 0, 100)
    look(store, 1, 150)
    sample(store, ClusterView("lab", START + timedelta(minutes=2)), {}, "demo", UTC)
    assert hours(store) == [(12, 50, 100)]
    assert store.usage.meters("lab").by_vmid == {}


def test_a_tick_that_sees_nothing_move_writes_nothing(store: Store) -> None:
    look(store, 0, 100)
    before = store.usage.meters("lab")
    look(store, 0, 100, status="unknown", uptime=0)
    assert store.usage.meters("lab") == before
