"""Specs of VMs in the database: what stands now, and every revision that ever stood.

The database source of `desired` (design 3): each spec is one document, as a file would hold it
under its key. Revisions of a name count from 1 and go on after a delete.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, select, true

from desired.document import Document
from desired.record import read_record, unreadable_records
from state import tables
from state.database import Database, StoreError, row_of, upsert

FEW = 500
"""Edits whose names go into a query."""

_STANDING = select(tables.desired_vm).order_by(tables.desired_vm.c.name)
_HISTORY = tables.desired_vm_history
_NEWEST = select(_HISTORY.c.name, func.max(_HISTORY.c.revision)).group_by(_HISTORY.c.name)


@dataclass(frozen=True, slots=True)
class StoredSpec:
    """One VM's document as JSON at one revision; without a document it was deleted then."""

    name: str
    revision: int
    document_json: str | None
    author: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Edit:
    """A document to be stored under a name, or None to delete it.

    `if_revision` is the revision that must stand now: 0 that none does, None that any may.
    """

    name: str
    document: Mapping[str, object] | None
    if_revision: int | None = None


class Superseded(StoreError):
    """Another revision stands than the one that the edit was made on."""


class Specs:
    """Specs by name. UNIQUE: the name, and (name, revision) in the history."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, StoredSpec]:
        """What stands now, by name."""
        with self._database.reading("read the specs") as link:
            rows = link.execute(_STANDING)
            return {row.name: StoredSpec(*row) for row in rows}

    def of(self, name: str, revision: int | None = None) -> StoredSpec | None:
        """What stands under a name now, or stood there as the given revision (a delete too)."""
        table = tables.desired_vm if revision is None else tables.desired_vm_history
        statement = select(table).where(table.c.name == name)
        if revision is not None:
            statement = statement.where(table.c.revision == revision)
        with self._database.reading(f"read the spec {name}") as link:
            row = link.execute(statement).first()
        return StoredSpec(*row) if row else None

    def history(self, name: str) -> list[StoredSpec]:
        """Every revision of a name, the newest first."""
        columns = tables.desired_vm_history.c
        statement = select(tables.desired_vm_history).where(columns.name == name)
        with self._database.reading(f"read the history of the spec {name}") as link:
            rows = link.execute(statement.order_by(columns.revision.desc()))
            return [StoredSpec(*row) for row in rows]

    def after(self, edits: Iterable[Edit]) -> tuple[list[Document], int]:
        """The documents as they would stand after the edits, and how many edits there ever were.

        The number is for `edit`: what was checked is stored only if nothing else was meanwhile.
        """
        with self._database.reading("read the specs") as link:
            stands = {row.name: StoredSpec(*row) for row in link.execute(_STANDING)}
            last = {name: int(revision) for name, revision in link.execute(_NEWEST)}
            count = _count(link)
        found = {name: document_of(stored) for name, stored in stands.items()}
        for one in edits:
            stored = stands.get(one.name)
            if one.document is None:
                found.pop(one.name, None)
            elif stored is None or stored.document_json != written(one.document):
                text, revision = written(one.document), last.get(one.name, 0) + 1
                found[one.name] = read_record(one.name, revision, text)
        return list(found.values()), count

    def put(
        self,
        name: str,
        document: Mapping[str, object],
        author: str,
        at: datetime,
        if_revision: int | None = None,
    ) -> StoredSpec:
        """Store one document; see `edit`."""
        return self.edit([Edit(name, document, if_revision)], author, at)[0]

    def edit(
        self, edits: Sequence[Edit], author: str, at: datetime, after: int | None = None
    ) -> list[StoredSpec]:
        """Make all edits or none; answers what stands under each name then.

        An edit that changes nothing makes no revision. With `after` there must have been exactly
        so many edits before. Raises Superseded.
        """
        with self._database.writing("store specs") as link:
            if after is not None and _count(link) != after:
                raise Superseded("specs were edited meanwhile, so what was checked is out of date")
            return _edit(link, edits, author, at)

    def documents(self) -> list[Document]:
        """What stands now as documents of `desired`; one that is unreadable if nothing can be."""
        try:
            return [document_of(stored) for stored in self.all().values()]
        except StoreError as error:
            return [unreadable_records(str(error))]


def document_of(stored: StoredSpec) -> Document:
    """Return a stored spec as the document that `desired` reads it from."""
    return read_record(stored.name, stored.revision, stored.document_json or "")


def written(document: Mapping[str, object]) -> str:
    """Return a document as the JSON that is stored: equal documents give equal text."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _count(link: Connection) -> int:
    return link.execute(select(func.count()).select_from(tables.desired_vm_history)).scalar_one()


def _edit(link: Connection, edits: Sequence[Edit], author: str, at: datetime) -> list[StoredSpec]:
    table, history = tables.desired_vm, tables.desired_vm_history
    stands = {
        row.name: StoredSpec(*row) for row in link.execute(_STANDING.where(_among(table, edits)))
    }
    newest = _NEWEST.where(_among(history, edits))
    last = {name: int(number) for name, number in link.execute(newest)}
    made: list[StoredSpec] = []
    found: list[StoredSpec] = []
    for one in edits:
        stood, text = stands.get(one.name), _text(one)
        _insist(one, stood)
        if text == (stood.document_json if stood else None):
            found.append(stood or StoredSpec(one.name, last.get(one.name, 0), None, author, at))
            continue
        last[one.name] = last.get(one.name, 0) + 1
        fresh = StoredSpec(one.name, last[one.name], text, author, at)
        made.append(fresh)
        found.append(fresh)
        stands.pop(one.name, None)
        if text is not None:
            stands[one.name] = fresh
    if made:
        link.execute(insert(history), [row_of(one, history) for one in made])
    gone = [one.name for one in made if one.name not in stands]
    for name in gone:
        link.execute(delete(table).where(table.c.name == name))
    names = {one.name for one in made} - {*gone}
    upsert(link, table, [row_of(stands[name], table) for name in sorted(names)])
    return found


def _among(table: Table, edits: Sequence[Edit]) -> ColumnElement[bool]:
    """The names of a few edits; for many, reading the whole table is as quick."""
    return table.c.name.in_([one.name for one in edits]) if len(edits) <= FEW else true()


def _text(one: Edit) -> str | None:
    return None if one.document is None else written(one.document)


def _insist(one: Edit, stands: StoredSpec | None) -> None:
    seen = stands.revision if stands else 0
    if one.if_revision in (None, seen):
        return
    wanted = f"revision {one.if_revision}" if one.if_revision else "none"
    found = f"revision {seen} by {stands.author}" if stands else "none"
    raise Superseded(
        f"spec {one.name}: {wanted} expected, {found} stands; read it again and edit that"
    )
