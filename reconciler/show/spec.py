"""What `reconcile spec` prints: documents, lists, histories, differences."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from desired.writing import yaml_text
from reconciler.show.text import Paint, json_when, show_when, table
from reconciler.specs import tree_of
from state.api import Json
from state.specs import StoredSpec


@dataclass(frozen=True, slots=True)
class Difference:
    """Two documents of one name, each with what it is called; None where there is none."""

    name: str
    before: str
    after: str
    old: Mapping[str, object] | None
    new: Mapping[str, object] | None

    @property
    def differs(self) -> bool:
        return self.old != self.new


def render_document(tree: Mapping[str, object], output: str) -> str:
    """Return a document as YAML or JSON."""
    if output == "json":
        return json.dumps(tree, indent=2, ensure_ascii=False)
    return yaml_text(tree).rstrip("\n")


def render_specs(specs: Iterable[StoredSpec], paint: Paint) -> str:
    """Return one line per spec: its revision, when and by whom."""
    rows = [(one.name, str(one.revision), show_when(one.at), one.author) for one in specs]
    return table(("VM", "REVISION", "CHANGED", "AUTHOR"), rows, paint) if rows else "no spec stored"


def render_history(revisions: Sequence[StoredSpec], paint: Paint) -> str:
    """Return one line per revision, the newest first."""
    rows = [
        (
            str(one.revision),
            show_when(one.at),
            one.author,
            "deleted" if one.document_json is None else "stored",
        )
        for one in revisions
    ]
    return table(("REVISION", "WHEN", "AUTHOR", "WHAT"), rows, paint)


def spec_json(stored: StoredSpec) -> dict[str, Json]:
    """Return a revision as JSON, its document as a document."""
    tree = tree_of(stored)
    document = None if tree is None else _plain(tree)
    return {
        "name": stored.name,
        "revision": stored.revision,
        "author": stored.author,
        "at": json_when(stored.at),
        "document": document,
    }


def render_difference(one: Difference, paint: Paint) -> str:
    """Return the lines that differ, as `diff -u` has them."""
    old, new = (yaml_text(tree) if tree is not None else "" for tree in (one.old, one.new))
    sides = (f"{one.name} {one.before}", f"{one.name} {one.after}")
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), *sides, lineterm="")
    tints = {"+": paint.good, "-": paint.bad}
    return "\n".join(tints[line[0]](line) if line[0] in tints else line for line in lines)


def difference_json(one: Difference) -> dict[str, Json]:
    """Return a difference as JSON: each field with what it was and what it is."""
    fields = [
        {"field": path, "old": old, "new": new}
        for path, old, new in _fields("", _plain(one.old), _plain(one.new))
    ]
    return {"name": one.name, "before": one.before, "after": one.after, "fields": [*fields]}


def _plain(tree: Mapping[str, object] | None) -> Json:
    plain: Json = json.loads(json.dumps(tree))
    return plain


def _fields(path: str, old: Json, new: Json) -> list[tuple[str, Json, Json]]:
    """Return the paths at which two values differ; what one of them lacks is null there."""
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            row
            for key in keys
            for row in _fields(f"{path}.{key}".removeprefix("."), old.get(key), new.get(key))
        ]
    return [(path, old, new)]
