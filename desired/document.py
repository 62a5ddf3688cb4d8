"""One YAML file: its entries under a strict reading, and where each value stands.

Plain scalars follow YAML 1.2 (`no`, `010`, MAC addresses and dates are text), keys are always
text, and a duplicate key is an error. Positions are looked up only when an error needs one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import yaml

from desired.errors import Place, SpecError

Path = tuple[str | int, ...]
Tree = dict[str, object]

MAX_VALUES = 200_000
"""Values in one entry, aliases followed: far more than a spec, far less than an alias bomb."""

MAX_DEPTH = 100
"""Levels of maps and lists within each other."""

_TAG = "tag:yaml.org,2002:"
_ENTRY = re.compile(r"^([^\s#:][^:\n]*?)\s*:(?:\s|$)", re.M)


_PLAIN: dict[str, list[tuple[re.Pattern[str], str]]] = {}
for _name, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)", "-+0123456789."),
    ("merge", r"<<", "<"),
):
    for _letter in _first:
        _PLAIN.setdefault(_letter, []).append((re.compile(_pattern), _TAG + _name))


class _Loader(yaml.CSafeLoader):
    """PyYAML's C parser with the plain scalars of YAML 1.2 only, and a bound on its recursion."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def descend_resolver(self, parent: yaml.Node | None, index: object) -> None:
        """Count a level: the parser calls this for each node, and would overflow the stack."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = parent.start_mark if parent else None
            raise yaml.MarkedYAMLError(problem=f"nested over {MAX_DEPTH} deep", problem_mark=mark)

    def ascend_resolver(self) -> None:
        """Leave a level."""
        self._depth -= 1

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool]) -> str:
        """Return the tag of a node that names none."""
        if kind is yaml.ScalarNode:
            for pattern, tag in _PLAIN.get((value or "")[:1], ()) if implicit[0] else ():
                if pattern.fullmatch(value or ""):
                    return tag
            return _TAG + "str"
        return _TAG + ("map" if kind is yaml.MappingNode else "seq")


class _Trouble(Exception):
    """What is wrong with a node, and where it starts."""

    def __init__(self, node: yaml.Node, text: str) -> None:
        super().__init__(text)
        self.node = node


@dataclass(frozen=True, slots=True)
class Document:
    """A file's top-level entries; `broken` names those that could not be read.

    `unreadable` says that the text is no YAML map at all, so nobody knows what it meant to hold.
    """

    file: str
    text: str = field(repr=False)
    entries: Mapping[str, object]
    faults: tuple[SpecError, ...] = ()
    broken: frozenset[str] = frozenset()
    unreadable: bool = False

    @property
    def may_template(self) -> bool:
        """Whether any of its text may be a template: a cheap look that saves most walks."""
        return "{{" in self.text or "{%" in self.text or "{#" in self.text

    def place(self, path: Path, at_key: bool = False) -> Place:
        """Return where the value at `path` (or its key) stands, or what of the path there is."""
        node = _root(self.text)
        mark = node.start_mark if node else None
        for depth, part in enumerate(path, 1):
            found = _child(node, part)
            if found is None:
                break
            key, node = found
            last = depth == len(path)
            scalar = isinstance(node, yaml.ScalarNode)
            mark = node.start_mark if key is None or (scalar and not (last and at_key)) else key
        return _place(self.file, mark)


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
        root = _root(text)
    except yaml.MarkedYAMLError as error:
        return _unreadable(file, text, _place(file, error.problem_mark), _problem(error, text))
    except yaml.YAMLError as error:
        return _unreadable(file, text, Place(file), f"is no text: {error}".split("\n")[0])
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == _TAG + "null"):
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
            key = _key(key_node)
            if key in first:
                raise _Trouble(key_node, f"duplicate key (first on line {first[key]})")
            first[key] = key_node.start_mark.line + 1
            if not key.startswith("."):
                entries[key] = _value(node, _budget(), ())
        except _Trouble as trouble:
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


@lru_cache(maxsize=64)
def _root(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _place(file: str, mark: yaml.Mark | None) -> Place:
    return Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)


def _budget() -> Iterator[int]:
    return iter(range(MAX_VALUES))


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _Trouble(node, "expected text as a key")
    return str(node.value)


def _value(node: yaml.Node, budget: Iterator[int], inside: tuple[int, ...]) -> object:
    """Return the plain value of a node; `inside` are the ids of the nodes around it."""
    if next(budget, None) is None:
        raise _Trouble(node, f"more than {MAX_VALUES} values; do not nest aliases")
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if len(inside) > MAX_DEPTH:
        raise _Trouble(node, f"nested over {MAX_DEPTH} deep")
    if id(node) in inside:
        raise _Trouble(node, "an alias to itself")
    inside = (*inside, id(node))
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        return _map(node, budget, inside)
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        return [_value(item, budget, inside) for item in node.value]
    raise _Trouble(node, f"the tag {_short(node.tag)} is not allowed")


def _map(node: yaml.MappingNode, budget: Iterator[int], inside: tuple[int, ...]) -> Tree:
    own: Tree = {}
    inherited: Tree = {}
    for key_node, value_node in node.value:
        if key_node.tag == _TAG + "merge":
            sequence = isinstance(value_node, yaml.SequenceNode)
            for source in value_node.value if sequence else (value_node,):
                tree = _value(source, budget, inside)
                if not isinstance(tree, dict):
                    raise _Trouble(source, "expected a map to merge with <<")
                inherited = {**tree, **inherited}
            continue
        key = _key(key_node)
        if key in own:
            line = next(k.start_mark.line + 1 for k, _ in node.value if k.value == key)
            raise _Trouble(key_node, f"duplicate key {key} (first on line {line})")
        own[key] = _value(value_node, budget, inside)
    return {**inherited, **own} if inherited else own


def _scalar(node: yaml.ScalarNode) -> object:
    text = str(node.value)
    try:
        match node.tag.removeprefix(_TAG):
            case "str" | "merge":
                return text
            case "int":
                return int(text)
            case "bool":
                return {"true": True, "false": False}[text.lower()]
            case "null":
                return None
            case "float":
                return float(text)
    except (ValueError, KeyError):
        raise _Trouble(node, f"{text!r} does not fit its tag") from None
    raise _Trouble(node, f"the tag {_short(node.tag)} is not allowed")


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Mark | None, yaml.Node] | None:
    """Return the key's mark and the value's node of one step, `<<` included."""
    if isinstance(node, yaml.SequenceNode):
        inside = isinstance(part, int) and part < len(node.value)
        return (None, node.value[part]) if inside else None
    if not isinstance(node, yaml.MappingNode):
        return None
    merged: list[yaml.Node] = []
    for key, value in node.value:
        if key.value == part:
            return key.start_mark, value
        if key.tag == _TAG + "merge":
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
    hits = (_child(source, part) for source in merged)
    return next((hit for hit in hits if hit), None)
