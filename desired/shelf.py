"""Named things from many files (packages, pools, VMs): what is usable, and what is not and why."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from re import Pattern
from re import compile as pattern

from desired.document import Document, Path
from desired.errors import Place
from desired.report import Fault, Report

NAME = pattern(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
"""What may be the key of a VM or of a group's item, or the name of a package or pool."""

BAD_NAME = "expected a name of letters, digits, hyphens, dots and underscores"


@dataclass(frozen=True, slots=True)
class Entry:
    """One named map of a file."""

    document: Document
    key: str
    tree: object

    def place(self, path: Path = (), at_key: bool = False) -> Place:
        """Return where the value at `path` below the entry stands."""
        return self.document.place((self.key, *path), at_key)


@dataclass(slots=True)
class Shelf:
    """Entries by name; `broken` are names whose entry cannot be used, with the reason."""

    entries: dict[str, Entry] = field(default_factory=dict)
    broken: dict[str, Fault] = field(default_factory=dict)
    unreadable: Fault | None = None

    def why_missing(self, name: str) -> Fault | None:
        """Return the fault for which a name is missing, if it may have been meant to exist."""
        return self.broken.get(name, self.unreadable)


def shelve(
    documents: Iterable[Document],
    report: Report,
    *,
    of_vms: bool = False,
    name: Pattern[str] = NAME,
    bad_name: str = BAD_NAME,
) -> Shelf:
    """Gather the entries of all files; a name that stands in two of them is usable in neither.

    `name` is what a key must be, `bad_name` says so.
    """
    shelf = Shelf()
    for document in documents:
        for error in document.faults:
            fault = Fault(error.place, error.field, error.message, shared=not of_vms)
            report.add(fault)
            if document.unreadable:
                shelf.unreadable = shelf.unreadable or fault
                shelf.broken |= dict.fromkeys(sorted(document.broken), fault)
            elif error.field:
                shelf.broken[error.field] = fault
        for key, tree in document.entries.items():
            entry = Entry(document, key, tree)
            if name.fullmatch(key):
                _put(shelf, entry, report)
            else:
                _refuse(shelf, entry, f"{bad_name}, seen {key!r}", report)
    for unusable in shelf.broken:
        shelf.entries.pop(unusable, None)
    return shelf


def _put(shelf: Shelf, entry: Entry, report: Report) -> None:
    first = shelf.entries.get(entry.key)
    if first is None:
        shelf.entries[entry.key] = entry
    else:
        _refuse(shelf, entry, f"defined twice, first at {first.place()}", report)


def _refuse(shelf: Shelf, entry: Entry, message: str, report: Report) -> None:
    fault = Fault(entry.place((), at_key=True), entry.key, message)
    report.add(fault)
    shelf.broken[entry.key] = fault
