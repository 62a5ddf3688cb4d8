"""Completion of what a fleet names: keys of VMs, clusters, specs in the database, help topics.

It answers at each press of a key, so it reads the YAML alone and loads neither models nor
templates; what is not understood is left out.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from reconciler.cli.settings import default_fleet
from reconciler.cli.topics import TOPICS


class Named(click.types.StringParamType):
    """A text of which the shell may know the rest."""

    def __init__(self, names: Callable[[click.Context], list[str]]) -> None:
        self._names = names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        try:
            names = self._names(ctx)
        except Exception:  # a half-written file, a lost database: nothing is known
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def vm_keys(ctx: click.Context) -> list[str]:
    """Return the keys of the fleet's VMs: of its files, and of the database if it is a source."""
    folder = _folder(ctx)
    keys: set[str] = set()
    for path in sorted((folder / "vms").rglob("*.yaml")):
        for key, entry in _mapping(path).items():
            keys.update(_members(key, entry))
    if "database" in str(_mapping(folder / "fleet.yaml").get("sources")):
        keys.update(spec_names(ctx))
    return sorted(keys)


def clusters(ctx: click.Context) -> list[str]:
    """Return the names of the fleet's clusters."""
    named = _mapping(_folder(ctx) / "fleet.yaml").get("clusters")
    return sorted(map(str, named)) if isinstance(named, Mapping) else []


def spec_names(ctx: click.Context) -> list[str]:
    """Return the names of the specs in the database."""
    from reconciler.specs import open_desk

    database = ctx.find_root().params.get("database")
    with open_desk(_folder(ctx), database, None, preview=True) as desk:
        return sorted(desk.store.specs.all())


def topics(ctx: click.Context) -> list[str]:
    """Return what `reconcile help` explains."""
    root = ctx.find_root()
    commands = root.command.list_commands(root) if isinstance(root.command, click.Group) else []
    return [*TOPICS, *commands]


KINDS: Mapping[str, Named] = {
    "vm": Named(vm_keys),
    "vms": Named(vm_keys),
    "only": Named(vm_keys),
    "show": Named(vm_keys),
    "cluster": Named(clusters),
    "words": Named(topics),
}
"""By the name of an argument or option."""


def completing(command: click.Command) -> click.Command:
    """Give the command's plain arguments and options what the fleet knows of them."""
    for one in _with_inner(command):
        for param in one.params:
            known = KINDS.get(param.name or "")
            if known is not None and param.type is click.STRING:
                param.type = known
    if command.name == "spec":
        for one in _with_inner(command):
            for param in one.params:
                if param.name == "name" and param.type is click.STRING:
                    param.type = Named(spec_names)
    return command


def _with_inner(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from _with_inner(inner)


def _folder(ctx: click.Context) -> Path:
    named = ctx.find_root().params.get("fleet")
    return Path(named) if named else default_fleet()


def _mapping(path: Path) -> Mapping[str, object]:
    import yaml

    loaded = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded if isinstance(loaded, Mapping) else {}


def _members(key: str, entry: object) -> list[str]:
    """Return the machines of one entry: KEY, KEY/1 to KEY/N of `count`, KEY/ITEM of `for_each`."""
    if str(key).startswith("."):
        return []
    count = entry.get("count") if isinstance(entry, Mapping) else None
    items = entry.get("for_each") if isinstance(entry, Mapping) else None
    if isinstance(count, int):
        return [f"{key}/{number}" for number in range(1, count + 1)]
    if isinstance(items, list | Mapping):
        return [f"{key}/{item}" for item in items]
    return [str(key)]
