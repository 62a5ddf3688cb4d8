"""Which jobs a site has: code and metadata of the same base name, below `handlers_dir`."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from desired.document import Document, read_document
from desired.errors import Place, SpecError
from desired.model import Bool, Model
from desired.wording import dotted, near, wrongs
from reconciler.own.metadata import Metadata, fits

SUFFIXES = (".yaml", ".yml", ".json")
M = TypeVar("M", bound=Model)
PLUGIN = ("plugin.yaml", "plugin.yml", "plugin.json")


class Plugin(Model):
    """`plugin.yaml` of a folder of jobs; with `active: false` all of them are suspended."""

    name: str = Field(min_length=1, max_length=80)
    description: str = Field("", max_length=500)
    active: Bool = True


@dataclass(frozen=True, slots=True)
class OwnJob:
    """One job with its sound metadata; `digest` names code and metadata as they stand.

    `config` are the values for its `config_fields`, those of secrets being references.
    """

    name: str
    code: Path
    metadata: Metadata
    digest: str
    config: Mapping[str, object] = field(default_factory=dict)
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Every job that can be run, and what is wrong with others.

    `broken` are those whose code is there though they cannot run: they are not orphaned.
    """

    jobs: tuple[OwnJob, ...] = ()
    errors: tuple[SpecError, ...] = ()
    warnings: tuple[str, ...] = ()
    broken: frozenset[str] = frozenset()


NAME = re.compile(r"[a-z][a-z0-9_]{0,39}(@[A-Za-z0-9][A-Za-z0-9_.-]{0,39})?")
"""A job's name: its base name, and of which plugin it is: `report@billing`."""

Given = Mapping[str, Mapping[str, object]]
"""`jobs:` of fleet.yaml: values by job and field."""


def find(
    fleet: Path,
    handlers_dir: str | None,
    given: Given,
    installed: Iterable[tuple[str, Path]] = (),
    taken: Collection[str] = (),
) -> Found:
    """Return the jobs below `handlers_dir` of a fleet's folder, and those that are installed.

    What is wrong with one stops no other. Names that are `taken` are those of built-in jobs.
    """
    finder = Finder(fleet, given, taken)
    if handlers_dir is not None:
        finder.folder(Path(fleet, handlers_dir))
    for name, code in installed:
        finder.installed(name, code)
    return finder.found()


@dataclass(slots=True)
class Finder:
    """Reads one folder of jobs and its plugins."""

    fleet: Path
    given: Given
    taken: Collection[str] = ()
    jobs: list[OwnJob] = field(default_factory=list)
    errors: list[SpecError] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def folder(self, folder: Path) -> None:
        """Read a folder, then each below it that has a `plugin.yaml`."""
        if not folder.is_dir():
            text = "expected the folder that handlers_dir of fleet.yaml names, seen none"
            self.errors.append(SpecError(Place(str(folder), 0, 0), "", text))
            return
        self._pairs(folder)
        for inner in sorted(one for one in folder.iterdir() if one.is_dir()):
            said = next((inner / name for name in PLUGIN if (inner / name).is_file()), None)
            if said is None:
                continue
            plugin = self._read(said, Plugin)
            names = self._pairs(inner, f"@{inner.name}")
            if plugin is None or not plugin.active:
                self.jobs = [
                    replace(job, suspended=True) if job.name in names else job for job in self.jobs
                ]

    def installed(self, name: str, code: Path) -> None:
        """Read a job of an installed package."""
        beside = (code.with_suffix(suffix) for suffix in SUFFIXES)
        said = next((one for one in beside if one.is_file()), None)
        if code.is_file() and said is not None:
            self._job(name, code, said)
            return
        wanted = code if said else code.with_suffix(".yaml")
        text = f"expected this file, which the entry point {name} means"
        self.errors.append(SpecError(Place(str(wanted), 0, 0), "", text))
        self.broken.add(name)

    def found(self) -> Found:
        """What was found in all."""
        for name in sorted(self.given.keys() - {job.name for job in self.jobs} - self.broken):
            self._wrong(self.fleet / "fleet.yaml", ("jobs", name), "no such job")
        warnings = [f"{one.name}: {one.metadata.warning}" for one in self.jobs]
        said_of = tuple(text for text in warnings if not text.endswith(": "))
        jobs = tuple(sorted(self.jobs, key=lambda job: job.name))
        return Found(jobs, tuple(self.errors), said_of, frozenset(self.broken))

    def _pairs(self, folder: Path, suffix: str = "") -> set[str]:
        """Read each pair of code and metadata; return the names of the sound ones."""
        code = {one.stem: one for one in sorted(folder.glob("*.py")) if _is_job(one)}
        every = (one for one in sorted(folder.iterdir()) if one.suffix in SUFFIXES)
        said: dict[str, Path] = {}
        for path in every:
            if path.name in PLUGIN or path.name.startswith((".", "_")):
                continue
            if path.stem in said:
                self._wrong(path, (), f"{said[path.stem].name} is of the same job; drop one")
                self.broken.add(path.stem + suffix)
            said.setdefault(path.stem, path)
        for stem in sorted(code.keys() | said.keys()):
            name = stem + suffix
            if stem not in said:
                self._wrong(code[stem], (), f"expected {stem}.yaml or {stem}.json beside it")
                self.broken.add(name)
            elif stem not in code:
                self._wrong(said[stem], (), f"expected the code {stem}.py beside it")
            elif name not in self.broken:
                self._job(name, code[stem], said[stem])
        return {job.name for job in self.jobs if job.code.parent == folder}

    def _job(self, name: str, code: Path, said: Path) -> None:
        if name in self.taken or not NAME.fullmatch(name):
            hint = "a name that no built-in job has, of lower-case letters, digits and _"
            self._wrong(code, (), f"expected {hint} (at most 40)")
            self.broken.add(name)
            return
        metadata = self._read(said, Metadata)
        if metadata is None or (config := self._config(name, metadata)) is None:
            self.broken.add(name)
            return
        if metadata.script not in (None, code.name):
            self._wrong(said, ("script",), f"expected {code.name}, the file of the same base name")
            self.broken.add(name)
            return
        digest = blake2b(code.read_bytes() + b"\0" + said.read_bytes(), digest_size=8)
        self.jobs.append(OwnJob(name, code, metadata, digest.hexdigest(), config))

    def _config(self, name: str, metadata: Metadata) -> Mapping[str, object] | None:
        """The job's values by the fleet, else by default; None where any is wrong."""
        given, before = self.given.get(name, {}), len(self.errors)
        file = self.fleet / "fleet.yaml"
        for key in sorted(given.keys() - metadata.config_fields.keys()):
            hint = near(key, list(metadata.config_fields))
            self._wrong(file, ("jobs", name, key), f"unknown key{hint}")
        values: dict[str, object] = {}
        for key, one in metadata.config_fields.items():
            value = given.get(key, one.default)
            if value is None and one.required:
                self._wrong(file, ("jobs", name, key), f"expected {one.label or one.type}")
            elif value is not None and not fits(one.type, value):
                self._wrong(file, ("jobs", name, key), f"expected a {one.type}")
            values[key] = list(value) if isinstance(value, tuple) else value
        return values if len(self.errors) == before else None

    def _read(self, path: Path, model: type[M]) -> M | None:
        """Return what a file says, or None once its errors are told."""
        document = _document(path)
        if document.faults:
            self.errors += document.faults
            return None
        try:
            return model.model_validate(dict(document.entries))
        except ValidationError as error:
            self.errors += _faults(document, error, model)
            return None

    def _wrong(self, path: Path, where: tuple[str, ...], message: str) -> None:
        place = _document(path).place(where) if where else Place(str(path))
        self.errors.append(SpecError(place, dotted(where), message))


def _is_job(path: Path) -> bool:
    return not path.name.startswith((".", "_", "test_")) and path.name != "conftest.py"


def _document(path: Path) -> Document:
    """Read a file of metadata; JSON is YAML to whom looks for places, once it is sound."""
    file = str(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fault = SpecError(Place(file), "", f"cannot be read: {error}")
        return Document(file, "", {}, (fault,), unreadable=True)
    if path.suffix == ".json":
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            place = Place(file, error.lineno, error.colno)
            fault = SpecError(place, "", f"not valid JSON: {error.msg}")
            return Document(file, text, {}, (fault,), unreadable=True)
        text = text.replace("\t", " ")
    return read_document(file, text)


def _faults(document: Document, error: ValidationError, model: type[Model]) -> Iterator[SpecError]:
    for wrong in wrongs(error, dict(document.entries), model):
        place = document.place(wrong.path, wrong.at_key)
        yield SpecError(place, dotted(wrong.path), wrong.message)
