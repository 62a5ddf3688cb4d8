"""The files that an adoption writes, against those that are there; and reading them back."""

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from desired.document import Document
from desired.files import FLEET_FILE, FileSource, read_folder
from desired.source import Fleet
from desired.writing import yaml_text
from reconciler.adopt.kinds import Kinds
from state.store import Store

PACKAGES, VMS, LONE = "packages", "vms", "single"
WATCHED = "  drift: alert\n"
LIFT = "  drift: alert  # observe-only: take this line out to have the VM kept as its spec says\n"
HEAD = """\
# Written by `reconcile adopt`: VMs that others made, as they are.
# While `drift: alert` stands with a VM, nothing but the fleet's marks is written to it.
"""
HEAD_OF_PACKAGES = "# Written by `reconcile adopt`: what VMs of one size have in common.\n"


@dataclass(frozen=True, slots=True)
class Batch:
    """Where one adoption's files stand; those of another one stay."""

    name: str = "adopted"

    @property
    def packages(self) -> str:
        return f"{PACKAGES}/{self.name}.yaml"

    @property
    def folder(self) -> str:
        return f"{VMS}/{self.name}"

    def holds(self, inner: str) -> bool:
        return inner == self.packages or inner.startswith(f"{self.folder}/")


@dataclass(frozen=True, slots=True)
class AdoptedFile:
    """`+` new, `~` there but saying something else, `=` there and the same, `-` there, not wanted.

    `inner` is its path below the fleet's folder.
    """

    inner: str
    text: str
    mark: Literal["+", "~", "=", "-"]


def batch_of(folder: Path, bound: Collection[str], vmids: Collection[int]) -> Batch:
    """Return the first batch that holds nothing but specs of these VMs, none of them bound yet."""
    number = 1
    while True:
        batch = Batch() if number == 1 else Batch(f"adopted-{number}")
        entries = [one.entries for one in _documents(folder / batch.folder)]
        ours = (_is_ours(key, spec, bound, vmids) for part in entries for key, spec in part.items())
        if all(ours):
            return batch
        number += 1


def _is_ours(key: str, spec: object, bound: Collection[str], vmids: Collection[int]) -> bool:
    return key not in bound and isinstance(spec, dict) and spec.get("adopt") in vmids


def _documents(folder: Path) -> list[Document]:
    return read_folder(folder) if folder.is_dir() else []


def texts_of(kinds: Kinds, batch: Batch) -> dict[str, str]:
    """Return each file's text by its path below the fleet's folder."""
    groups: defaultdict[str, dict[str, object]] = defaultdict(dict)
    for key, entry in sorted(kinds.entries.items()):
        groups[kinds.of.get(key, LONE)][key] = entry
    found = {
        f"{batch.folder}/{name}.yaml": HEAD + yaml_text(group).replace(WATCHED, LIFT)
        for name, group in sorted(groups.items())
    }
    if kinds.packages:
        found[batch.packages] = HEAD_OF_PACKAGES + yaml_text(dict(kinds.packages))
    return found


def compared(folder: Path, texts: Mapping[str, str], batch: Batch) -> list[AdoptedFile]:
    """Return what writing these files below a folder would do there."""
    found = []
    for inner, text in sorted(texts.items()):
        path = folder / inner
        same = path.is_file() and path.read_text() == text
        found.append(AdoptedFile(inner, text, "=" if same else "~" if path.exists() else "+"))
    there = [folder / batch.packages, *sorted((folder / batch.folder).glob("*.yaml"))]
    inners = [str(path.relative_to(folder)) for path in there if path.is_file()]
    return found + [AdoptedFile(one, "", "-") for one in inners if one not in texts]


def write(folder: Path, files: Iterable[AdoptedFile]) -> None:
    """Make the folder so; each file appears whole or not at all."""
    for one in files:
        path = folder / one.inner
        if one.mark == "-":
            path.unlink()
        elif one.mark != "=":
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f".{path.name}.new")
            fresh.write_text(one.text)
            fresh.replace(path)


def read_back(
    folder: Path, texts: Mapping[str, str], batch: Batch, store: Store, at: datetime
) -> Fleet:
    """Return the fleet as it would be with these very files. Raises UnusableSource."""
    with tempfile.TemporaryDirectory(prefix="reconcile-") as scratch:
        copy = Path(scratch)
        shutil.copy(folder / FLEET_FILE, copy / FLEET_FILE)
        for part in (PACKAGES, "pools", VMS):
            for path in sorted((folder / part).rglob("*.y*ml")):
                inner = str(path.relative_to(folder))
                if not batch.holds(inner):
                    _put(copy / inner, path.read_bytes())
        for inner, text in texts.items():
            _put(copy / inner, text.encode())
        head = FileSource(copy).head()
        sources = tuple(dict.fromkeys(("files", *head.sources)))
        source = FileSource(copy, store.vault.key, store.specs, sources, bare=True)
        return source.load(store.bindings.names(), at)


def packages_beside(folder: Path, batch: Batch) -> set[str]:
    """Return the packages that stand in other files than this batch's."""
    documents = _documents(folder / PACKAGES)
    others = [one for one in documents if not batch.holds(str(Path(one.file).relative_to(folder)))]
    return {name for document in others for name in document.entries}


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
