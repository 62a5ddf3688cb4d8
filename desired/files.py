"""The specs in a folder of YAML files: `fleet.yaml`, `packages/`, `pools/` and `vms/`."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

from desired.assemble import Assembler, cross_check
from desired.catalog import FleetFile
from desired.document import Document, read_document
from desired.draft import Drafter
from desired.errors import Place, SpecError, UnusableSource
from desired.naming import Namer
from desired.render import Renderer
from desired.report import Report
from desired.shared import read_shared
from desired.shelf import shelve
from desired.source import Fleet, RolledName

FLEET_FILE = "fleet.yaml"
SUFFIXES = (".yaml", ".yml")


class FileSource:
    """A folder as a source (design.md 7). `seed` keys the random parts of names.

    Files that have not changed since the last load are not parsed again.
    """

    def __init__(self, folder: Path, seed: bytes = b"") -> None:
        self._folder = folder
        self._seed = seed
        self._read: dict[str, tuple[bytes, Document]] = {}

    def load(self, names: Mapping[str, RolledName], at: datetime) -> Fleet:
        """Read the whole folder. Raises UnusableSource when nothing can be used at all."""
        with _no_collection():
            files = self._files()
            documents = {part: [self._document(*file) for file in files[part]] for part in files}
            self._read = {
                document.file: self._read[document.file]
                for part in documents.values()
                for document in part
            }
            revision = blake2b(digest_size=16)
            for file, (digest, _) in sorted(self._read.items()):
                inner = str(Path(file).relative_to(self._folder))
                revision.update(inner.encode() + b"\0" + digest)
            return self._fleet(documents, names, at, revision.hexdigest())

    def head(self) -> FleetFile:
        """Read `fleet.yaml` alone: which fleet this is and where its store stands.

        Raises UnusableSource.
        """
        document = self._document(*self._files()["fleet"][0])
        nothing = shelve([], Report())
        return read_shared(document, nothing, nothing, Report()).file

    def _files(self) -> dict[str, list[tuple[str, bytes]]]:
        if not self._folder.is_dir():
            raise _unusable(self._folder, "expected a folder with fleet.yaml, seen none")
        if not (self._folder / FLEET_FILE).is_file():
            hint = "expected this file; it names the fleet and its clusters"
            raise _unusable(self._folder / FLEET_FILE, hint)
        found = {"fleet": [self._folder / FLEET_FILE]}
        for part, paths in (
            ("packages", (self._folder / "packages").glob("*")),
            ("pools", (self._folder / "pools").glob("*")),
            ("vms", (self._folder / "vms").rglob("*")),
        ):
            found[part] = sorted(path for path in paths if self._is_ours(path))
        return {part: [_bytes(path) for path in paths] for part, paths in found.items()}

    def _is_ours(self, path: Path) -> bool:
        hidden = any(part.startswith(".") for part in path.relative_to(self._folder).parts)
        return path.suffix in SUFFIXES and not hidden

    def _document(self, file: str, content: bytes) -> Document:
        digest = blake2b(content, digest_size=16).digest()
        known = self._read.get(file)
        if known is None or known[0] != digest:
            try:
                text = content.decode()
            except UnicodeDecodeError as error:
                raise _unusable(Path(file), f"expected UTF-8 text: {error.reason}") from error
            known = self._read[file] = digest, read_document(file, text)
        return known[1]

    def _fleet(
        self,
        documents: Mapping[str, list[Document]],
        names: Mapping[str, RolledName],
        at: datetime,
        revision: str,
    ) -> Fleet:
        report = Report()
        packages = shelve(documents["packages"], report)
        pools = shelve(documents["pools"], report)
        shared = read_shared(documents["fleet"][0], packages, pools, report)
        vms = shelve(documents["vms"], report, of_vms=True)
        for key, fault in vms.broken.items():
            report.add(fault, key)
        if not vms.entries and not vms.broken:
            raise _unusable(self._folder / "vms", "expected at least one VM; none is defined")
        renderer = Renderer()
        expand = Drafter(shared, renderer, report).drafts
        drafts = [draft for entry in vms.entries.values() for draft in expand(entry)]
        Namer(renderer, report, names, self._seed, at).name_all(drafts)
        assemble = Assembler(shared, renderer, report).spec
        specs = {draft.key: spec for draft in drafts if (spec := assemble(draft))}
        known = {draft.key for draft in drafts}
        cross_check(drafts, specs, known | report.broken, shared, report)
        return Fleet(
            name=(file := shared.file).fleet,
            clusters=file.clusters,
            vms={key: spec for key, spec in specs.items() if key not in report.broken},
            templates=file.templates,
            pools=shared.pools,
            limits=file.limits,
            guard=file.guard,
            database=file.database,
            verify_every=file.verify_every,
            revision=revision,
            folder=str(self._folder),
            broken=frozenset(report.broken),
            errors=report.errors(),
            incomplete=vms.unreadable is not None,
        )


def _bytes(path: Path) -> tuple[str, bytes]:
    try:
        return str(path), path.read_bytes()
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from error


def _unusable(path: Path, message: str) -> UnusableSource:
    return UnusableSource((SpecError(Place(str(path)), "", message),))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector quiet: it would walk the growing trees again and again."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
