"""Whether this reading of the specs may be taken for all there is: what makes it odd (design 4)."""

from pathlib import Path

from desired.errors import UnusableSource
from desired.files import FileSource, read_folder
from desired.source import Fleet
from state.store import Store

VMS = "vms"


def odd(fleet: Fleet) -> str:
    """Say what keeps a reading from counting at all; empty when it was whole."""
    if fleet.errors or fleet.broken or fleet.incomplete:
        return "the specs have errors"
    empty = _hollow(Path(fleet.folder) / VMS)
    if empty is not None:
        return f"{empty} is an empty folder: is something not mounted, or a submodule not there?"
    return ""


def _hollow(folder: Path) -> Path | None:
    """Return a folder of specs with nothing in it: git keeps none, so its content is missing."""
    if not folder.is_dir():
        return None
    folders = [folder, *(one for one in folder.rglob("*") if one.is_dir())]
    return next((one for one in sorted(folders) if not any(one.iterdir())), None)


def unread(fleet: Fleet, store: Store) -> dict[str, str]:
    """Return the names whose specs stand in a source that `sources:` leaves out, with its name."""
    try:
        sources = FileSource(Path(fleet.folder)).head().sources
    except UnusableSource:
        return {}
    found: dict[str, str] = {}
    if "database" not in sources:
        found |= dict.fromkeys(store.specs.all(), "the database")
    folder = Path(fleet.folder) / VMS
    if "files" not in sources and folder.is_dir():
        names = (name for one in _documents(folder) for name in (*one[0], *one[1]))
        found |= dict.fromkeys(names, f"{folder}")
    return found


def _documents(folder: Path) -> list[tuple[list[str], list[str]]]:
    try:
        return [(list(one.entries), list(one.broken)) for one in read_folder(folder)]
    except UnusableSource:
        return []
