"""What was edited of which VM's spec since the VM last settled, and which edits touch many."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from desired.source import Fleet
from desired.spec import VMSpec
from state.memory import Phase
from state.rollouts import Edit
from state.store import Store

Tree = dict[str, object]
Path = tuple[str, ...]

GONE = ""
"""The new value of a field that an edit takes away; every other one is JSON."""

PASSIVE = frozenset(
    {
        "key",
        "cluster",
        "package",
        "name_template",
        "template",
        "copies",
        "clone",
        "quota",
        "anti_affinity",
        "restart",
        "windows",
        "drift",
        "rollout",
        "state",
        "do",
        "terminate",
        "was",
        "extensions",
    }
)
"""Fields of a spec that say how, when or from what, and change nothing of a VM that is there."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The edits of every VM that is not yet as its spec says, by key."""

    edits: Mapping[str, frozenset[Edit]]

    def wide(self, over: int | None, known: Collection[Edit] = ()) -> frozenset[Edit]:
        """The edits of more than `over` VMs, and those that are known to be of many."""
        if over is None:
            return frozenset()
        counted = Counter(edit for edits in self.edits.values() for edit in edits)
        return frozenset(one for one, times in counted.items() if times > over or one in known)

    def groups(self, wide: Collection[Edit]) -> list[tuple[frozenset[Edit], tuple[str, ...]]]:
        """The wide edits that go out together, with their VMs: what shares a VM is one."""
        found: list[tuple[frozenset[Edit], tuple[str, ...]]] = []
        for key, edits in sorted(self.edits.items()):
            mine = edits.intersection(wide)
            keys: tuple[str, ...] = (key,)
            kept: list[tuple[frozenset[Edit], tuple[str, ...]]] = []
            if not mine:
                continue
            for group in found:
                if mine & group[0]:
                    mine, keys = mine | group[0], (*group[1], *keys)
                else:
                    kept.append(group)
            found = [*kept, (mine, tuple(sorted(keys)))]
        return sorted(found, key=lambda group: group[1])


def survey(fleet: Fleet, store: Store) -> Survey:
    """Compare each settled VM's spec with the one under which it settled."""
    bindings, applied = store.bindings.all(), store.applied.all()
    found = {}
    for key, spec in fleet.vms.items():
        binding, document = bindings.get(key), applied.get(key)
        settled = binding is not None and binding.phase in (Phase.READY, Phase.CHANGE)
        if not (settled and document and spec.state == "present" and spec.rollout == "on"):
            continue
        edits = edits_of(document, spec)
        if edits:
            found[key] = edits
    return Survey(found)


def edits_of(document: str, spec: VMSpec) -> frozenset[Edit]:
    """The fields of a spec that differ from those of the document of an earlier one."""
    wanted = spec.document()
    if wanted == document:
        return frozenset()
    before = _whole(document)
    if before is None:
        return frozenset()
    return frozenset(
        (path, new) for path, new in _differences(before, json.loads(wanted)) if _counts(path)
    )


def held_back(document: str, spec: VMSpec, edits: Iterable[Edit]) -> VMSpec:
    """The spec without these edits: in their fields it says what the document does.

    Where the two do not go together it is the document's. A document of another version, which
    cannot be read, holds nothing back.
    """
    before, tree = _whole(document), json.loads(spec.document())
    if before is None:
        return spec
    for path in sorted(path for path, _ in edits):
        _take(path, before, tree)
    try:
        return VMSpec.model_validate_json(json.dumps(tree))
    except ValidationError:
        return VMSpec.model_validate_json(document)


def _whole(document: str) -> Tree | None:
    """A spec's document with the fields that it did not know when it was written."""
    try:
        whole: Tree = json.loads(VMSpec.model_validate_json(document).document())
    except ValidationError:
        return None
    return whole


def _counts(path: Path) -> bool:
    return path[0] not in PASSIVE


def _differences(before: Tree, after: Tree, at: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield (path, new value) of what differs; of a part that only one side has, the whole."""
    for name in sorted(before.keys() | after.keys()):
        path, old, new = (*at, name), before.get(name), after.get(name)
        if name not in after:
            yield path, GONE
        elif isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, path)
        elif name not in before or old != new:
            yield path, json.dumps(new, sort_keys=True)


def _take(path: Path, source: Tree, target: Tree) -> None:
    """Make the value at a path of `target` what it is in `source`, gone if it is gone there."""
    for name in path[:-1]:
        below, beside = source.get(name), target.get(name)
        if not (isinstance(below, dict) and isinstance(beside, dict)):
            return
        source, target = below, beside
    if path[-1] in source:
        target[path[-1]] = source[path[-1]]
    else:
        target.pop(path[-1], None)
