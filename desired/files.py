"""The specs in a folder of YAML files: `fleet.yaml`, `packages/`, `pools/`, `zones/`, `vms/`.

Letters for notices stand beside them, in `notices/`.

The VMs may stand in a database too, or only there (`sources:` of `fleet.yaml`).
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

from desired.assemble import Assembler, cross_check
from desired.catalog import FleetFile, SourceName
from desired.document import Document, read_document
from desired.draft import Drafter
from desired.errors import Place, SpecError, UnusableSource
from desired.legacy import read_legacy
from desired.letters import read_letters
from desired.naming import Namer
from desired.record import DATABASE, Records
from desired.render import Renderer
from desired.report import Fault, Report
from desired.shared import read_shared
from desired.shelf import shelve
from desired.source import Fleet, RolledName
from desired.zonefiles import read_zones

FLEET_FILE = "fleet.yaml"
SUFFIXES = (".yaml", ".yml")
LEGACY = ".legacy"
"""The suffix of lists of single addresses, below `pools/`."""


class FileSource:
    """A folder as a source (design.md 7). `seed` keys the random parts of names.

    `records` are the specs of the database, asked for only if `sources:` names it; without them
    such a fleet is incomplete. `sources` go before those of `fleet.yaml`; a `bare` fleet may be
    without any VM. Files that have not changed since the last load are not parsed again.
    """

    def __init__(
        self,
        folder: Path,
        seed: bytes = b"",
        records: Records | None = None,
        sources: Sequence[SourceName] = (),
        bare: bool = False,
    ) -> None:
        self._folder = folder
        self._seed = seed
        self._records = records
        self._sources = sources
        self._bare = bare
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
            return self._fleet(documents, names, at)

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
            ("zones", (self._folder / "zones").glob("*")),
            ("vms", (self._folder / "vms").rglob("*")),
        ):
            suffixes = (*SUFFIXES, LEGACY) if part == "pools" else SUFFIXES
            found[part] = sorted(path for path in paths if _is_ours(path, self._folder, suffixes))
        return {part: [_bytes(path) for path in paths] for part, paths in found.items()}

    def _letters(self) -> list[tuple[str, bytes]]:
        """The fleet's own letters for notices."""
        paths = sorted((self._folder / "notices").glob("*.j2"))
        return [_bytes(path) for path in paths if _is_ours(path, self._folder, (".j2",))]

    def _document(self, file: str, content: bytes) -> Document:
        digest = blake2b(content, digest_size=16).digest()
        known = self._read.get(file)
        if known is None or known[0] != digest:
            read = read_legacy if file.endswith(LEGACY) else read_document
            known = self._read[file] = digest, read(file, _text(file, content))
        return known[1]

    def _fleet(
        self,
        documents: Mapping[str, list[Document]],
        names: Mapping[str, RolledName],
        at: datetime,
    ) -> Fleet:
        report = Report()
        packages = shelve(documents["packages"], report)
        pools = shelve(documents["pools"], report)
        shared = read_shared(documents["fleet"][0], packages, pools, report)
        zones = read_zones(documents["zones"], report)
        shared.letters = read_letters(self._letters(), report)
        sources = self._sources or shared.file.sources
        held = self._held(documents["vms"], sources)
        vms = shelve((one for part in held.values() for one in part), report, of_vms=True)
        for key, fault in vms.broken.items():
            report.add(fault, key)
        empty = [name for name, part in held.items() if not any(map(_says_something, part))]
        if not (vms.entries or vms.broken or self._bare):
            raise self._nothing(empty, report)
        for name in empty:
            report.add(self._empty(name))
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
            images=file.images,
            pools=shared.pools,
            zones=zones,
            limits=file.limits,
            guard=file.guard,
            placement=file.placement,
            rollout=file.rollout,
            prune=file.prune,
            database=file.database,
            verify_every=file.verify_every,
            quarantine=file.quarantine,
            schedule=file.schedule,
            metrics=file.metrics,
            notices=file.notices,
            letters=shared.letters,
            handlers_dir=file.handlers_dir,
            jobs=file.jobs,
            revision=self._revision(documents, held),
            folder=str(self._folder),
            broken=frozenset(report.broken),
            errors=report.errors(),
            incomplete=bool(empty) or len(held) < len(sources) or vms.unreadable is not None,
        )

    def _held(
        self, files: Sequence[Document], sources: Sequence[SourceName]
    ) -> dict[SourceName, Sequence[Document]]:
        """Return the documents of VMs by source; what was not given to be asked is left out."""
        held: dict[SourceName, Sequence[Document]] = {"files": files} if "files" in sources else {}
        if "database" in sources and self._records is not None:
            held["database"] = self._records.documents()
        return held

    def _revision(
        self,
        documents: Mapping[str, Sequence[Document]],
        held: Mapping[SourceName, Sequence[Document]],
    ) -> str:
        revision = blake2b(digest_size=16)
        read = [one.file for part, found in documents.items() if part != "vms" for one in found]
        for file in sorted([*read, *(one.file for one in held.get("files", ()))]):
            inner = str(Path(file).relative_to(self._folder))
            revision.update(inner.encode() + b"\0" + self._read[file][0])
        digests: dict[str, bytes] = {}
        for record in held.get("database", ()):
            # Records that are about to be stored may stand in one file: its text is hashed once.
            if record.text not in digests:
                digests[record.text] = blake2b(record.text.encode(), digest_size=16).digest()
            revision.update(record.file.encode() + b"\0" + digests[record.text])
        return revision.hexdigest()

    def _nothing(self, empty: Sequence[SourceName], report: Report) -> UnusableSource:
        """Say why there is no VM at all: a source could not be read, or each of them is empty."""
        for name in empty:
            report.add(self._empty(name))
        return UnusableSource(report.errors())

    def _empty(self, name: SourceName) -> Fault:
        if name == "files":
            place = Place(str(self._folder / "vms"))
            return Fault(place, "", "expected at least one VM; none is defined")
        advice = "`reconcile spec put` or `import` stores one, `sources:` says where specs stand"
        return Fault(
            Place(DATABASE, 0, 0), "", f"expected at least one VM; none is stored; {advice}"
        )


def read_folder(folder: Path) -> list[Document]:
    """Read every YAML file below a folder, as those of VMs are. Raises UnusableSource."""
    if not folder.is_dir():
        raise _unusable(folder, "expected a folder of YAML files, seen none")
    paths = sorted(path for path in folder.rglob("*") if _is_ours(path, folder))
    return [read_document(file, _text(file, content)) for file, content in map(_bytes, paths)]


def _is_ours(path: Path, folder: Path, suffixes: Sequence[str] = SUFFIXES) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix in suffixes and not hidden


def _text(file: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _unusable(Path(file), f"expected UTF-8 text: {error.reason}") from error


def _says_something(document: Document) -> bool:
    return bool(document.entries or document.broken or document.unreadable)


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
