"""One VM's document as a database holds it: JSON, placed by name and revision, not by line."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import yaml

from desired.document import Document, read_document
from desired.errors import Place, SpecError
from desired.nodes import Tree, root_node

DATABASE = "db"
"""What stands where a file's path would."""


class Records(Protocol):
    """Specs of VMs that are kept in a database: one document a VM.

    Where they cannot be read at all it answers one document that is unreadable.
    """

    def documents(self) -> Sequence[Document]: ...


def read_record(name: str, revision: int, text: str) -> Document:
    """Return the document of one VM; text that is no JSON breaks that VM alone."""
    where = f"{DATABASE}:{name} revision {revision}"
    try:
        tree = json.loads(text, object_pairs_hook=_map, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        fault = SpecError(Place(where, 0, 0), name, f"not valid JSON: {error}")
        return Document(where, text, {}, (fault,), frozenset({name}), positioned=False)
    return Document(where, text, {name: tree}, positioned=False)


def read_bare(file: str, content: bytes) -> Document:
    """Read one VM's document alone: what stands under its key in a file of VMs."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        fault = SpecError(Place(file), "", f"expected UTF-8 text: {error.reason}")
        return Document(file, "", {}, (fault,), unreadable=True)
    document = read_document(file, text)
    if document.faults:
        return document
    root = root_node(text)
    if not isinstance(root, yaml.MappingNode):
        message = "expected a document such as {package: small}, or {}; seen nothing"
        return replace(document, faults=(SpecError(Place(file), "", message),))
    hidden = {str(key.value) for key, _ in root.value} - set(document.entries)
    faults = [SpecError(document.place((name,), True), name, "unknown key") for name in hidden]
    return replace(document, faults=tuple(faults))


def unreadable_records(why: str) -> Document:
    """Return what stands for all specs of a database when none of them could be read."""
    fault = SpecError(Place(DATABASE, 0, 0), "", f"the specs cannot be read: {why}")
    return Document(DATABASE, "", {}, (fault,), unreadable=True, positioned=False)


def _map(pairs: list[tuple[str, object]]) -> Tree:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise ValueError("a key stands twice in one map")
    return tree


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no number of JSON")
