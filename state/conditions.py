"""What stands out about each VM, for `status` and `why`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from state import tables
from state.database import Database, row_of


@dataclass(frozen=True, slots=True)
class Condition:
    """As in Kubernetes: a type that is or is not so, why, in words, and since when."""

    key: str
    type: str
    status: bool
    reason: str
    message: str
    since: datetime


class Conditions:
    """Conditions by (key, type)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(self, key: str, conditions: Sequence[Condition]) -> bool:
        """Writes a key's conditions if they differ; tells whether they did.

        `since` moves only when a type's status turns, and makes no difference by itself.
        """
        return key in self.replace_many({key: conditions})

    def replace_many(self, wanted: Mapping[str, Sequence[Condition]], of: str = "") -> set[str]:
        """Does it for several keys in one transaction, none if none differs; those written.

        The conditions of a job, whose handlers are named `JOB.part`, are replaced by that job
        alone; `of` names it.
        """
        stored = {
            key: [one for one in conditions if _job_of(one) == of]
            for key, conditions in self.all().items()
        }
        differing = {key for key in wanted if _differ(stored.get(key, ()), wanted[key])}
        if differing:
            with self._database.writing("write conditions") as link:
                for key in sorted(differing):
                    _write(link, key, stored.get(key, ()), wanted[key])
        return differing

    def all(self) -> dict[str, tuple[Condition, ...]]:
        """Every key's conditions, by type."""
        found: dict[str, tuple[Condition, ...]] = {}
        columns = tables.conditions.c
        with self._database.reading("read conditions") as link:
            rows = link.execute(select(tables.conditions).order_by(columns.key, columns.type))
            for row in rows:
                found[row.key] = (*found.get(row.key, ()), Condition(*row))
        return found


def _job_of(condition: Condition) -> str:
    """The job whose handler raised it; empty for one of the VM itself."""
    job, dot, _part = condition.reason.partition(".")
    return job if dot else ""


def _differ(stored: Sequence[Condition], wanted: Sequence[Condition]) -> bool:
    def meaning(conditions: Sequence[Condition]) -> set[tuple[str, bool, str, str]]:
        return {(one.type, one.status, one.reason, one.message) for one in conditions}

    return meaning(stored) != meaning(wanted)


def _write(
    link: Connection, key: str, stored: Sequence[Condition], wanted: Sequence[Condition]
) -> None:
    since = {(one.type, one.status): one.since for one in stored}
    rows = [
        row_of(
            replace(one, key=key, since=since.get((one.type, one.status), one.since)),
            tables.conditions,
        )
        for one in wanted
    ]
    columns = tables.conditions.c
    types = {one.type for one in (*stored, *wanted)}
    link.execute(delete(tables.conditions).where(columns.key == key, columns.type.in_(types)))
    if rows:
        link.execute(insert(tables.conditions), rows)
