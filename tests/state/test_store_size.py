"""The store of a large fleet asks no more questions than that of a small one."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import Engine, event

from state.memory import Binding, Lease
from state.store import Store


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every SQL statement from now on."""
    seen: list[str] = []

    def note(*given: object) -> None:
        seen.append(str(given[2]))

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


def test_memories_of_many_take_as_many_queries_as_those_of_one(
    store: Store, at: datetime, statements: list[str]
) -> None:
    counts = []
    for number in range(300):
        key = f"vm-{number}"
        lease = Lease(key, "net0", "ipv4", 0, f"10.0.{number // 250}.{number % 250}", 16, "public")
        store.bindings.bind(Binding(key, "lab", 1000 + number, key, created_at=at), [lease])
        if number in (0, 299):
            statements.clear()
            assert len(store.memories([f"vm-{n}" for n in range(number + 1)])) == number + 1
            counts.append(len(statements))
    assert counts[0] == counts[1]
    assert counts[0] < 15
