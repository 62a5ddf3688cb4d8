"""Places that were chosen: what is still open about each, and why it was that one."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, Select, or_, select, update

from state import tables
from state.database import Database, upsert
from state.placing import Choice, Placing


class Placements:
    """One place a VM; the choice stays when nothing is open about it any more."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, key: str, placing: Placing, at: datetime) -> None:
        """Keeps a VM's place and the choice in place of those before."""
        row = {
            "key": key,
            "node": placing.node,
            "target": placing.target,
            "storages": placing.storages,
            "problem": placing.problem,
            "choice": msgspec.to_builtins(placing.choice),
            "at": at,
        }
        with self._database.writing(f"keep the place of {key}") as link:
            upsert(link, tables.placements, [row])

    def leave(self, key: str, node: str = "", problem: str = "") -> None:
        """Nothing is to be migrated any more: it is where it should be, or there is a problem."""
        changed = {"node": node, "target": None, "storages": "", "problem": problem}
        with self._database.writing(f"settle the place of {key}") as link:
            columns = tables.placements.c
            link.execute(update(tables.placements).where(columns.key == key).values(changed))

    def choice(self, key: str) -> tuple[Choice, datetime] | None:
        """What was chosen for a key and when; None when it was not placed by us."""
        columns = tables.placements.c
        with self._database.reading(f"read the place of {key}") as link:
            wanted = select(columns.choice, columns.at).where(columns.key == key)
            row = link.execute(wanted).first()
        if row is None or row.choice is None:
            return None
        return msgspec.convert(row.choice, Choice), row.at

    def targets(self) -> dict[str, str]:
        """The nodes that VMs are still to be migrated to, by key."""
        columns = tables.placements.c
        with self._database.reading("read where VMs are to go") as link:
            wanted = select(columns.key, columns.target).where(columns.target.is_not(None))
            return {row.key: row.target for row in link.execute(wanted)}


def open_places(link: Connection, keys: list[str] | None) -> dict[str, Placing]:
    """The places by key about which something is open; of some keys, or all."""
    columns = tables.placements.c
    wanted: Select[tuple[str, str, str | None, str, str]] = select(
        columns.key, columns.node, columns.target, columns.storages, columns.problem
    ).where(or_(columns.target.is_not(None), columns.problem != ""))
    if keys is not None:
        wanted = wanted.where(columns.key.in_(keys))
    return {row.key: Placing(*row[1:]) for row in link.execute(wanted)}
