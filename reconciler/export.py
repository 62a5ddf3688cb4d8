"""The specs of the database as files of YAML: what an export would write, and writing it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from desired.files import read_folder
from desired.shelf import NAME
from desired.writing import yaml_text
from reconciler.specs import VMS, tree_of
from state.database import StoreError
from state.specs import StoredSpec


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file: `+` new, `~` there but saying something else, `=` there and saying the same."""

    path: Path
    text: str
    mark: Literal["+", "~", "="]


def exports(folder: Path, specs: Iterable[StoredSpec]) -> list[ExportedFile]:
    """Return the file of each spec below `folder/vms`. Raises StoreError, UnusableSource."""
    inner = folder / VMS
    there = {one.file: one for one in read_folder(inner)} if inner.is_dir() else {}
    found = []
    for stored in specs:
        tree = tree_of(stored)
        if not NAME.fullmatch(stored.name) or tree is None:
            raise StoreError(f"spec {stored.name!r} is no name for a file; delete it")
        path = inner / f"{stored.name}.yaml"
        known = there.get(str(path))
        wanted = {stored.name: tree}
        same = known is not None and not known.faults and known.entries == wanted
        mark: Literal["+", "~", "="] = "=" if same else "~" if path.exists() else "+"
        found.append(ExportedFile(path, yaml_text(wanted), mark))
    return found


def write(file: ExportedFile) -> None:
    """Write one file, and the folder that it lies in."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    file.path.write_text(file.text)
