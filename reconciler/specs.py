"""Editing the specs of the database: nothing is stored that the whole fleet would not take."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from desired.catalog import SourceName
from desired.document import Document
from desired.errors import SpecError, UnusableSource
from desired.files import FileSource, read_folder
from desired.nodes import Tree
from desired.report import Fault, Report
from desired.shelf import shelve
from desired.source import Fleet
from desired.wording import shown
from reconciler.location import fleet_place
from state.database import StoreError
from state.specs import Edit, StoredSpec, document_of, written
from state.store import Store

VMS = "vms"
"""The folder of VMs in a fleet's folder, and in one that specs were exported to."""


class RefusedSpecs(Exception):
    """The fleet would be broken by an edit; the text is every error, nothing was stored."""

    def __init__(self, errors: Iterable[SpecError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))


@dataclass(slots=True)
class _Given:
    """Records that are given."""

    found: Sequence[Document] = ()

    def documents(self) -> Sequence[Document]:
        return self.found


@dataclass(frozen=True, slots=True)
class Batch:
    """Edits, and where the documents come from, by name, if they stand in files."""

    edits: tuple[Edit, ...]
    origins: Mapping[str, Document] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where specs are edited: the fleet's folder and its store. `used` says that it reads them."""

    folder: Path
    store: Store
    sources: tuple[SourceName, ...]

    @property
    def used(self) -> bool:
        return "database" in self.sources

    def fresh(self, batch: Batch) -> list[Edit]:
        """Return the edits that change what stands."""
        stands = self.store.specs.all()
        texts = {name: stored.document_json for name, stored in stands.items()}
        return [
            one
            for one in batch.edits
            if texts.get(one.name) != (None if one.document is None else written(one.document))
        ]

    def store_batch(self, batch: Batch, author: str, at: datetime) -> list[StoredSpec]:
        """Check the edits and make all of them. Raises RefusedSpecs, Superseded, UnusableSource."""
        count = self.check(batch, at)
        return self.store.specs.edit(batch.edits, author, at, after=count)

    def check(self, batch: Batch, at: datetime) -> int:
        """Raise RefusedSpecs if the fleet would have more errors than it has, or an edited VM any.

        Answers how many edits there were, for `Specs.edit`. A fleet that does not read the
        database yet is checked as if it read nothing else. Deleting alone is never refused.
        """
        stands = self.store.specs.documents()
        documents, count = self.store.specs.after(batch.edits)
        fresh = {edit.name for edit in self.fresh(batch) if edit.document is not None}
        if not fresh:
            return count
        given = _Given(stands)
        wanted: tuple[SourceName, ...] = self.sources if self.used else ("database",)
        source = FileSource(self.folder, self.store.vault.key, given, wanted)
        names = self.store.bindings.names()
        try:
            before = frozenset(source.load(names, at).errors)
        except UnusableSource as error:
            before = frozenset(error.errors)
        given.found = [_placed(document, fresh, batch.origins) for document in documents]
        fleet = source.load(names, at)
        refused = [error for error in fleet.errors if error not in before]
        if not refused and any(_group(key) in fresh for key in fleet.broken):
            refused = [one for one in fleet.errors if one.vm is None or _group(one.vm) in fresh]
        if refused:
            raise RefusedSpecs(refused)
        return count


@contextmanager
def open_desk(
    folder: Path, database: str | None, at: datetime | None, *, preview: bool = False
) -> Iterator[Desk]:
    """Open the store of a fleet to edit its specs; the VMs in files are not read yet.

    Raises UnusableSource, StoreError, SecretError.
    """
    head = FileSource(folder).head()
    begin = Store.preview if preview else Store.open
    with begin(fleet_place(folder, database), at=at or datetime.now(UTC)) as store:
        yield Desk(folder, store, head.sources)


def read_fleet(folder: Path, database: str | None, at: datetime) -> Fleet:
    """Read the specs wherever they stand, to look at them: stored names and seed play no part.

    Raises UnusableSource, StoreError, SecretError.
    """
    if "database" not in FileSource(folder).head().sources:
        return FileSource(folder).load({}, at)
    with open_desk(folder, database, at, preview=True) as desk:
        return FileSource(folder, records=desk.store.specs).load({}, at)


def tree_of(stored: StoredSpec | None) -> Tree | None:
    """Return the document of a revision, None of a delete. Raises StoreError when it is no map."""
    if stored is None or stored.document_json is None:
        return None
    document = document_of(stored)
    tree = document.entries.get(stored.name)
    if not isinstance(tree, dict):
        told = [str(fault) for fault in document.faults] or [f"{document.file}: expected a map"]
        raise StoreError(told[0])
    return tree


def read_batch(folder: Path) -> Batch:
    """Return the VMs of a folder's `vms/` (or of the folder itself) as edits.

    Raises RefusedSpecs when a file cannot be read whole, UnusableSource when there is no folder.
    """
    inner = folder / VMS
    documents = read_folder(inner if inner.is_dir() else folder)
    report = Report()
    shelf = shelve(documents, report, of_vms=True)
    for entry in shelf.entries.values():
        if not isinstance(entry.tree, dict):
            message = f"expected a map such as {{package: small}}, seen {shown(entry.tree)}"
            report.add(Fault(entry.place(), entry.key, message))
    if report.found:
        raise RefusedSpecs(report.errors())
    entries = shelf.entries.values()
    return Batch(
        tuple(Edit(entry.key, entry.tree) for entry in entries if isinstance(entry.tree, dict)),
        {entry.key: replace(entry.document, entries={entry.key: entry.tree}) for entry in entries},
    )


def _placed(document: Document, fresh: Iterable[str], origins: Mapping[str, Document]) -> Document:
    """Return the document that errors shall point at: in a file where an edit came from one."""
    (name,) = _names(document)
    return origins[name] if name in fresh and name in origins else document


def _group(key: str) -> str:
    return key.partition("/")[0]


def _names(document: Document) -> list[str]:
    return [*document.entries, *document.broken]
