"""The spec under which each VM last settled: what differs from it was changed outside."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from state import tables
from state.database import KEYS_IN_ONE_QUERY, Database, upsert


@dataclass(frozen=True, slots=True)
class AppliedSpec:
    """A VM's spec as JSON, and when the VM was last seen to be as it says after a change."""

    key: str
    document: str
    at: datetime


class Applied:
    """One spec a VM."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, key: str) -> AppliedSpec | None:
        """The spec of a key; None when its VM never settled."""
        columns = tables.applied.c
        with self._database.reading(f"read the applied spec of {key}") as link:
            row = link.execute(select(tables.applied).where(columns.key == key)).first()
        return AppliedSpec(*row) if row else None

    def all(self) -> dict[str, str]:
        """Every document, by key."""
        columns = tables.applied.c
        with self._database.reading("read the applied specs") as link:
            rows = link.execute(select(columns.key, columns.document).order_by(columns.key))
            return {row.key: row.document for row in rows}

    def documents(self, keys: Collection[str]) -> dict[str, str]:
        """The documents of these keys, of those that ever settled, in one query."""
        columns = tables.applied.c
        statement = select(columns.key, columns.document)
        if len(keys) <= KEYS_IN_ONE_QUERY:
            statement = statement.where(columns.key.in_(sorted(keys)))
        with self._database.reading("read the applied specs") as link:
            return {row.key: row.document for row in link.execute(statement) if row.key in keys}

    def put(self, *specs: AppliedSpec) -> None:
        """Keeps VMs' specs in place of those before, in one transaction."""
        rows = [{"key": one.key, "document": one.document, "at": one.at} for one in specs]
        if rows:
            with self._database.writing("keep applied specs") as link:
                upsert(link, tables.applied, rows)
