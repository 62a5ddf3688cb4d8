"""The store of a large fleet."""

import time
from datetime import datetime

import pytest

from state import tables
from state.database import row_of, upsert
from state.memory import Binding, Lease
from state.store import Store

VMS = 10_000


@pytest.mark.nightly
def test_ten_thousand_memories_are_gathered_in_half_a_second(store: Store, at: datetime) -> None:
    keys = {f"vm-{number}": number for number in range(VMS)}
    bindings = [
        Binding(key, "lab", 1000 + number, key, uuid="0f" * 16, ready_at=at)
        for key, number in keys.items()
    ]
    leases = [
        Lease(key, "net0", "ipv4", 0, f"10.{number // 250}.0.{number % 250}", 16, "public")
        for key, number in keys.items()
    ]
    marks = [{"key": key, "use": "password", "value": "0" * 32} for key in keys]
    with store._database.writing("fill") as link:
        upsert(link, tables.bindings, [row_of(one, tables.bindings) for one in bindings])
        upsert(link, tables.leases, [row_of(one, tables.leases) for one in leases])
        upsert(link, tables.fingerprints, marks)
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        assert len(store.memories()) == VMS + 2
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 0.5
