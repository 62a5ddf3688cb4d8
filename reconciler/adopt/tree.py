"""Specs as trees of plain values: leaves by path, and what one tree says beyond another."""

from collections.abc import Iterator, Mapping

from reconciler.express.patch import Path, put
from reconciler.express.words import Tree


def leaves(tree: Mapping[str, object], path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yield (path, value) of everything that is no map, and of maps that are empty."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def has(tree: object, path: Path) -> bool:
    """Whether something, be it null, stands at the path."""
    for name in path:
        if not isinstance(tree, dict) or name not in tree:
            return False
        tree = tree[name]
    return True


def gap(tree: Tree, path: Path) -> Path | None:
    """Return the shortest beginning of the path that the tree has not; None if it has all."""
    for length in range(1, len(path) + 1):
        if not has(tree, path[:length]):
            return path[:length]
    return None


def silenced(tree: Tree, below: Mapping[str, object]) -> Tree:
    """Return the tree with a null wherever only what it is laid over says something."""
    found = copied(tree)
    for path, value in leaves(below):
        missing = gap(found, path)
        if missing and value is not None and _is_map(found, missing[:-1]):
            put(found, missing, None)
    return found


def beyond(tree: Tree, below: Tree) -> Tree:
    """Return what is to be laid over `below` so that it says the same as the tree."""
    found: Tree = {}
    known = dict(leaves(below))
    for path, value in leaves(tree):
        if path not in known or not same(known[path], value):
            put(found, path, {} if value == {} else value)
    for path, value in leaves(below):
        missing = gap(tree, path)
        if missing and value is not None:
            put(found, missing, None)
    return found


def same(one: object, other: object) -> bool:
    """Whether two values are one: `True` is not 1."""
    return type(one) is type(other) and one == other


def copied(tree: Tree) -> Tree:
    """Return the tree with maps of its own."""
    return {
        name: copied(value) if isinstance(value, dict) else value for name, value in tree.items()
    }


def _is_map(tree: Tree, path: Path) -> bool:
    below: object = tree
    for name in path:
        below = below.get(name) if isinstance(below, dict) else None
    return isinstance(below, dict)
