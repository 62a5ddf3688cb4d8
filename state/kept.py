"""Backups that outlive their VM for a while, by the policy that its spec had (C-22)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from state import tables
from state.database import Database, row_of, upsert


@dataclass(frozen=True, slots=True)
class KeptBackups:
    """The backups of one machine that is gone: made from `since` to `ended_at`, kept `until`."""

    cluster: str
    vmid: int
    since: datetime
    key: str
    ended_at: datetime
    until: datetime


class Kept:
    """Rows by (cluster, vmid, since): a vmid is used again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[KeptBackups, ...]:
        """Every machine whose backups are kept, the first to go first."""
        columns = tables.kept_backups.c
        statement = select(tables.kept_backups).order_by(columns.until, columns.vmid)
        with self._database.reading("read kept backups") as link:
            return tuple(KeptBackups(*row) for row in link.execute(statement))

    def drop(self, kept: KeptBackups) -> None:
        """Its backups are gone, or a person sees to them."""
        columns = tables.kept_backups.c
        mine = (columns.cluster == kept.cluster, columns.vmid == kept.vmid)
        with self._database.writing(f"drop the kept backups of {kept.key}") as link:
            link.execute(delete(tables.kept_backups).where(*mine, columns.since == kept.since))


def insert_kept(link: Connection, kept: KeptBackups) -> None:
    """Keeps a machine's backups, in a transaction of the caller's."""
    upsert(link, tables.kept_backups, [row_of(kept, tables.kept_backups)])
