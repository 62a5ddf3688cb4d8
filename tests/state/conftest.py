"""A store in a scratch folder, and the moment at which the tests begin."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from state.memory import Binding
from state.store import Store


@pytest.fixture
def at() -> datetime:
    return datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "fleet.db"


@pytest.fixture
def store(path: Path, at: datetime) -> Iterator[Store]:
    """A new store that knows web-1 (lab/101) and web-2 (lab/102)."""
    with Store.open(str(path), at=at) as opened:
        opened.bindings.bind(Binding("web-1", "lab", 101, "web-1", created_at=at))
        opened.bindings.bind(Binding("web-2", "lab", 102, "web-2", created_at=at))
        yield opened
