"""The edit of a spec that makes a VM's live values the wanted ones (`reconcile adopt-drift`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from desired.spec import VMSpec
from handlers.handler import Handler
from handlers.rules import own_id
from reconciler.express.devices import KINDS
from reconciler.express.document import express
from reconciler.express.firewall import rule
from reconciler.express.words import Tree
from state.change import Change
from state.observed import SeenVM

Path = tuple[str, ...]

NAMES: Mapping[tuple[str, str], Path] = {
    ("cpu", "cpu"): ("cpu", "type"),
    ("cpu", "cpulimit"): ("cpu", "limit"),
    ("cpu", "cpuunits"): ("cpu", "units"),
    ("devices", "rng0"): ("rng",),
    ("media", "iso"): ("iso",),
    ("power", "stop"): ("power",),
    ("power", "power"): ("power",),
}
"""Fields that a spec calls otherwise than their change."""

UNDER: Mapping[str, str] = {
    "cpu": "cpu",
    "disks": "disks",
    "network": "nics",
    "firewall": "firewall",
    "cloudinit": "cloudinit",
    "ha": "ha",
}
"""The key of a spec under which a handler's fields stand."""

SLOTS: Mapping[str, str] = {kind: word for word, kind in KINDS.items()}
"""Kinds of devices by Proxmox's key -> the spec's key."""


RULES = ("firewall", "rules")
"""They are taken as a whole, whichever of them differs."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Values by their path in a spec, and the fields that cannot be said, with the reason."""

    values: Mapping[Path, object] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def tree(self) -> Tree:
        """As a part of a spec."""
        found: Tree = {}
        for path, value in sorted(self.values.items()):
            put(found, path, value)
        return found


def patch_of(
    spec: VMSpec, seen: SeenVM, changes: Sequence[Change], handlers: Mapping[str, Handler]
) -> Patch:
    """Return what to write into the spec so that these changes are wanted no more.

    Each value is tried: with it the handler must not ask for that change again.
    """
    live, values, left_out = express(seen), dict[Path, object](), dict[str, str]()
    waiting = list(changes)
    while waiting:
        change = waiting.pop(0)
        name, path = f"{change.handler} {change.field}", path_of(change)
        if path is None:
            left_out[name] = "it follows from what the store leases or remembers, not from a spec"
            continue
        tried = {**values, path: _live(seen, live, path)}
        again = _again(spec, seen, handlers[change.handler], tried)
        if isinstance(again, str):
            left_out[name] = again
        elif any(one.field == change.field for one in again) and path != RULES:
            left_out[name] = "the spec's word for it does not give this value"
        else:
            values = tried
            known = {*values, *map(path_of, waiting)}
            waiting += [one for one in again if path_of(one) not in known and path != RULES]
    return Patch(values, left_out)


def path_of(change: Change) -> Path | None:
    """Return where a changed field stands in a spec; None when no spec says it."""
    handler, name = change.handler, change.field
    if (handler, name) in NAMES:
        return NAMES[handler, name]
    if handler in ("exists", "placement", "passthrough") or name.startswith(("ipfilter-", "wm-")):
        return ("config", name) if handler == "passthrough" else None
    if handler == "cloudinit" and (name.startswith("ipconfig") or name in ("password", "dns")):
        return None
    if handler == "firewall" and name.startswith("rules."):
        return RULES
    if handler == "devices":
        kind = name.rstrip("0123456789")
        return (SLOTS[kind], name) if kind in SLOTS else (name,)
    parts = tuple(name.split("."))
    return (UNDER[handler], *parts) if handler in UNDER else parts


def _live(seen: SeenVM, live: Tree, path: Path) -> object:
    if path == RULES:
        return _rules(seen)
    if path[0] == "config" and seen.config:
        return seen.config.wanted.text(path[1])
    return get(live, path)


def _rules(seen: SeenVM) -> list[Tree]:
    """Our rules as they stand now; those of others are not the spec's."""
    held = sorted(seen.firewall.rules, key=lambda one: one.pos) if seen.firewall else []
    return [rule(one.fields) for one in held if own_id(one.fields)]


def _again(
    spec: VMSpec, seen: SeenVM, handler: Handler, values: Mapping[Path, object]
) -> list[Change] | str:
    """Return what the handler still asks for with these values; why they are no spec if not."""
    try:
        tried = applied(spec, values)
    except ValidationError as error:
        return str(error.errors()[0]["msg"])
    return [one for one in handler.diff(tried, seen) if isinstance(one, Change)]


def applied(spec: VMSpec, values: Mapping[Path, object]) -> VMSpec:
    """Return the spec with values laid over it. Raises ValidationError."""
    document = spec.model_dump(mode="json", by_alias=True)
    for path, value in values.items():
        put(document, path, value)
    return VMSpec.model_validate(document)


def get(tree: object, path: Iterable[str]) -> object:
    """Return the value at a path; None when nothing is there, which makes it nobody's."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def put(tree: Tree, path: Path, value: object) -> None:
    """Set the value at a path, making the maps on the way."""
    for name in path[:-1]:
        below = tree.get(name)
        if not isinstance(below, dict):
            below = tree[name] = {}
        tree = below
    tree[path[-1]] = value
