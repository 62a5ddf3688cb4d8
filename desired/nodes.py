"""Strict YAML: the nodes of a text, and the plain values that they stand for.

Plain scalars follow YAML 1.2 (`no`, `010`, MAC addresses and dates are text), keys are always
text, a duplicate key is trouble, and neither nesting nor aliases can exhaust the machine.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import yaml

Tree = dict[str, object]

MAX_VALUES = 200_000
"""Values in one entry, aliases followed: far more than a spec, far less than an alias bomb."""

MAX_DEPTH = 100
"""Levels of maps and lists within each other."""

SAFE_DEPTH = 2000
"""Levels that the C parser takes without a bound; counting them costs a tenth of the time."""

_TAG = "tag:yaml.org,2002:"

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
    """PyYAML's C parser with the plain scalars of YAML 1.2 only."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool]) -> str:
        """Return the tag of a node that names none."""
        if kind is yaml.ScalarNode:
            for pattern, tag in _PLAIN.get((value or "")[:1], ()) if implicit[0] else ():
                if pattern.fullmatch(value or ""):
                    return tag
            return _TAG + "str"
        return _TAG + ("map" if kind is yaml.MappingNode else "seq")


class _BoundedLoader(_Loader):
    """The same for text that may be nested so deep that the parser would overflow the stack."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def descend_resolver(self, parent: yaml.Node | None, index: object) -> None:
        """Count a level; the parser calls this for each node."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = parent.start_mark if parent else None
            raise yaml.MarkedYAMLError(problem=f"nested over {MAX_DEPTH} deep", problem_mark=mark)

    def ascend_resolver(self) -> None:
        """Leave a level."""
        self._depth -= 1


class Trouble(Exception):
    """What is wrong with a node, and where it starts."""

    def __init__(self, node: yaml.Node, text: str) -> None:
        super().__init__(text)
        self.node = node


@lru_cache(maxsize=64)
def root_node(text: str) -> yaml.Node | None:
    """Return the only document of a text, None if it is empty. Raises yaml.YAMLError."""
    # No text is nested deeper than it has brackets and its longest line has characters.
    deepest = text.count("[") + text.count("{") + max(map(len, text.splitlines()), default=0)
    loader = _Loader(text) if deepest < SAFE_DEPTH else _BoundedLoader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def is_text(plain: str) -> bool:
    """Whether an unquoted scalar of these letters would be read as text."""
    return not any(pattern.fullmatch(plain) for pattern, _ in _PLAIN.get(plain[:1], ()))


def plain_value(node: yaml.Node) -> object:
    """Return what a node stands for. Raises Trouble."""
    return _value(node, iter(range(MAX_VALUES)), ())


def key_text(node: yaml.Node) -> str:
    """Return a key as it is written. Raises Trouble if it is no scalar."""
    if not isinstance(node, yaml.ScalarNode):
        raise Trouble(node, "expected text as a key")
    return str(node.value)


def _value(node: yaml.Node, left: Iterator[int], inside: tuple[int, ...]) -> object:
    """Return the plain value of a node; `inside` are the ids of the nodes around it."""
    if next(left, None) is None:
        raise Trouble(node, f"more than {MAX_VALUES} values; do not nest aliases")
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if len(inside) > MAX_DEPTH:
        raise Trouble(node, f"nested over {MAX_DEPTH} deep")
    if id(node) in inside:
        raise Trouble(node, "an alias to itself")
    inside = (*inside, id(node))
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        return _map(node, left, inside)
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        return [_value(item, left, inside) for item in node.value]
    raise Trouble(node, f"the tag {_short(node.tag)} is not allowed")


def _map(node: yaml.MappingNode, left: Iterator[int], inside: tuple[int, ...]) -> Tree:
    own: Tree = {}
    inherited: Tree = {}
    for key_node, value_node in node.value:
        if key_node.tag == _TAG + "merge":
            sequence = isinstance(value_node, yaml.SequenceNode)
            for source in value_node.value if sequence else (value_node,):
                tree = _value(source, left, inside)
                if not isinstance(tree, dict):
                    raise Trouble(source, "expected a map to merge with <<")
                inherited = {**tree, **inherited}
            continue
        key = key_text(key_node)
        if key in own:
            line = next(k.start_mark.line + 1 for k, _ in node.value if k.value == key)
            raise Trouble(key_node, f"duplicate key {key} (first on line {line})")
        own[key] = _value(value_node, left, inside)
    return {**inherited, **own} if inherited else own


def _scalar(node: yaml.ScalarNode) -> object:
    text: str = node.value
    if node.tag == _TAG + "str":
        return text
    try:
        match node.tag.removeprefix(_TAG):
            case "merge":
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
        raise Trouble(node, f"{text!r} does not fit its tag") from None
    raise Trouble(node, f"the tag {_short(node.tag)} is not allowed")


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag


def child_node(
    node: yaml.Node | None, part: str | int
) -> tuple[yaml.Mark | None, yaml.Node] | None:
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
    hits = (child_node(source, part) for source in merged)
    return next((hit for hit in hits if hit), None)
