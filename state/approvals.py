"""What a person allowed: sets of changes, each of which passes once."""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, delete, insert, select, update

from state import tables
from state.database import Database, StoreError, row_of, upsert


@dataclass(frozen=True, slots=True)
class Approval:
    """A set of changes allowed under a plan's digest, until a moment.

    `changes_json` is JSON: an object whose names are the hashes of the changes (the values say in
    words what they are), or a list of the hashes.
    """

    digest: str
    changes_json: str
    until: datetime
    by: str
    at: datetime


class Approvals:
    """Approvals by digest, and the changes that each lets pass."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def grant(self, digest: str, changes_json: str, until: datetime, by: str, at: datetime) -> None:
        """Allows each change of the set once; granting again renews what was used up."""
        hashes = [*json.loads(changes_json)]
        if not all(isinstance(one, str) for one in hashes):
            raise StoreError(f"approval {digest}: hashes of changes expected, seen {changes_json}")
        approval = Approval(digest, changes_json, until, by, at)
        rows = [{"digest": digest, "change": one, "used_at": None} for one in hashes]
        with self._database.writing(f"grant {digest}") as link:
            upsert(link, tables.approvals, [row_of(approval, tables.approvals)])
            link.execute(delete(tables.approved).where(tables.approved.c.digest == digest))
            if rows:
                link.execute(insert(tables.approved), rows)

    def granted(self, digest: str, at: datetime) -> Approval | None:
        """The approval of a digest while it lasts."""
        columns = tables.approvals.c
        statement = select(tables.approvals).where(columns.digest == digest, columns.until > at)
        with self._database.reading(f"read approval {digest}") as link:
            row = link.execute(statement).first()
        return Approval(*row) if row else None

    def open_changes(self, at: datetime) -> set[str]:
        """The hashes of changes that would pass now; nothing is used up."""
        with self._database.reading("read approved changes") as link:
            return {change for change, _digest in link.execute(_unused(at))}

    def use(self, change_hash: str, at: datetime) -> bool:
        """Lets a change pass, once per approval; the one that ends first is used up first."""
        columns = tables.approved.c
        with self._database.writing(f"use the approval of {change_hash}") as link:
            row = link.execute(_unused(at).where(columns.change == change_hash)).first()
            if row is None:
                return False
            # Where two programs may get here at once, only one of them finds it unused.
            used = link.execute(
                update(tables.approved)
                .where(
                    columns.digest == row.digest,
                    columns.change == change_hash,
                    columns.used_at.is_(None),
                )
                .values(used_at=at)
            )
        return used.rowcount == 1


def _unused(at: datetime) -> Select[str, str]:
    columns = tables.approved.c
    return (
        select(columns.change, columns.digest)
        .join_from(tables.approved, tables.approvals)
        .where(columns.used_at.is_(None), tables.approvals.c.until > at)
        .order_by(tables.approvals.c.until, columns.digest, columns.change)
    )
