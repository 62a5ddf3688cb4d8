"""One YAML file: its entries under a strict reading, and where each value stands.

Positions are looked up only when an error needs one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import yaml

from desired.errors import Place, SpecError
from desired.nodes import Tree, Trouble, child_node, key_text, plain_value, root_node

Path = tuple[str | int, ...]

_ENTRY = re.compile(r"^([^\s#:][^:\n]*?)\s*:(?:\s|$)", re.M)


@dataclass(frozen=True, slots=True)
class Document:
    """A file's top-level entries; `broken` names those that could not be read.

    `unreadable` says that the text is no YAML map at all, so nobody knows what it meant to hold.
    One that is not `positioned` is no file: its places have no line. Entries that no YAML holds
    stand at `places`.
    """

    file: str
    text: str = field(repr=False)
    entries: Mapping[str, object]
    faults: tuple[SpecError, ...] = ()
    broken: frozenset[str] = frozenset()
    unreadable: bool = False
    positioned: bool = True
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def may_template(self) -> bool:
        """Whether any of its text may be a template: a cheap look that saves most walks."""
        return _has_templates(self.text)

    def place(self, path: Path, at_key: bool = False) -> Place:
        """Return where the value at `path` (or its key) stands, or what of the path there is."""
        if not self.positioned:
            return Place(self.file, 0, 0)
        if self.places:
            return self.places.get(str(path[0]), Place(self.file)) if path else Place(self.file)
        node = root_node(self.text)
        mark = node.start_mark if node else None
        for depth, part in enumerate(path, 1):
            found = child_node(node, part)
            if found is None:
                break
            key, node = found
            last = depth == len(path)
            scalar = isinstance(node, yaml.ScalarNode)
            mark = node.start_mark if key is None or (scalar and not (last and at_key)) else key
        return _place(self.file, mark)


@lru_cache(maxsize=64)
def _has_templates(text: str) -> bool:
    """Kept by text: each of a file's entries asks it of the whole file."""
    return "{{" in text or "{%" in text or "{#" in text


def step(tree: object, part: str | int) -> object:
    """Return what lies one step below a tree. Raises LookupError if nothing does."""
    if isinstance(tree, dict):
        found: object = tree[part]
        return found
    if isinstance(tree, list) and isinstance(part, int):
        return tree[part]
    raise LookupError(part)


def read_document(file: str, text: str) -> Document:
    """Read a YAML map; every duplicate key and odd tag is a fault of its own entry."""
    try:
        root = root_node(text)
    except yaml.MarkedYAMLError as error:
        return _unreadable(file, text, _place(file, error.problem_mark), _problem(error, text))
    except yaml.YAMLError as error:
        return _unreadable(file, text, Place(file), f"is no text: {error}".split("\n")[0])
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == "tag:yaml.org,2002:null"):
        return Document(file, text, {})
    if not isinstance(root, yaml.MappingNode):
        return _unreadable(file, text, Place(file), "expected a map of names")
    return _entries(file, text, root)


def _entries(file: str, text: str, root: yaml.MappingNode) -> Document:
    entries: Tree = {}
    first: dict[str, int] = {}
    faults: list[SpecError] = []
    broken: set[str] = set()
    for key_node, node in root.value:
        try:
            key = key_text(key_node)
            if key in first:
                raise Trouble(key_node, f"duplicate key (first on line {first[key]})")
            first[key] = key_node.start_mark.line + 1
            if not key.startswith("."):
                entries[key] = plain_value(node)
        except Trouble as trouble:
            name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            faults.append(SpecError(_place(file, trouble.node.start_mark), name, str(trouble)))
            broken |= {name} - {""}
    for key in broken:
        entries.pop(key, None)
    return Document(file, text, entries, tuple(faults), frozenset(broken))


def _unreadable(file: str, text: str, place: Place, message: str) -> Document:
    """Return a document without entries that still names what its lines seem to define."""
    names = frozenset(name.strip("\"'") for name in _ENTRY.findall(text))
    return Document(file, text, {}, (SpecError(place, "", message),), names, unreadable=True)


def _problem(error: yaml.MarkedYAMLError, text: str) -> str:
    line = text.splitlines()[error.problem_mark.line :][:1] if error.problem_mark else []
    hint = "; indent with spaces, never with tabs" if line and line[0].startswith("\t") else ""
    return f"not valid YAML: {error.problem}{hint}"


def _place(file: str, mark: yaml.Mark | None) -> Place:
    return Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
