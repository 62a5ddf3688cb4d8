"""A store of each kind, and the moment at which the tests begin."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from state.memory import Binding
from state.store import Store
from tests.stores import KINDS, stores_on, where


@pytest.fixture
def at() -> datetime:
    return datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "fleet.db"


@pytest.fixture(params=KINDS)
def place(path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a store may be made, on each kind of database in turn."""
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with stores_on(server):
        yield where(path)


@pytest.fixture
def store(place: str, at: datetime) -> Iterator[Store]:
    """A new store of either kind that knows web-1 (lab/101) and web-2 (lab/102)."""
    with Store.open(place, at=at) as opened:
        yield peopled(opened, at)


@pytest.fixture
def filed(path: Path, at: datetime) -> Iterator[Store]:
    """The same in the SQLite file `path`."""
    with Store.open(str(path), at=at) as opened:
        yield peopled(opened, at)


def peopled(store: Store, at: datetime) -> Store:
    store.bindings.bind(Binding("web-1", "lab", 101, "web-1", created_at=at))
    store.bindings.bind(Binding("web-2", "lab", 102, "web-2", created_at=at))
    return store
