"""Where the stores of a test lie: files, or databases of a PostgreSQL server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.postgres import Postgres

KINDS = ("sqlite", "postgresql")
_servers: list[Postgres] = []


def where(database: Path) -> str:
    """The place of the store that a test calls by the path of a file."""
    return _servers[-1].where(database) if _servers else str(database)


def lose(database: Path) -> None:
    """Lose a store with its key, as a broken disk would."""
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()
    if _servers:
        _servers[-1].lose(database)


@contextmanager
def stores_on(server: Postgres | None) -> Iterator[None]:
    """Inside, stores lie on that server; without one, in files."""
    if server is None:
        yield
        return
    _servers.append(server)
    try:
        yield
    finally:
        _servers.pop().recycle()
