"""Jobs that installed packages bring: entry points of the group `reconciler.handlers`."""

from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

GROUP = "reconciler.handlers"


def installed() -> tuple[tuple[str, Path], ...]:
    """Return each such job: `NAME@PACKAGE`, and where its code is said to be.

    An entry point `NAME = "package.module"` names a module beside whose file its metadata stand.
    Nothing of a package is imported.
    """
    found = entry_points(group=GROUP)
    return tuple(sorted((f"{one.name}@{_package(one)}", _code(one)) for one in found))


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.module.partition(".")[0]


def _code(point: EntryPoint) -> Path:
    first, *rest = point.module.split(".")
    spec = find_spec(first)
    if spec is None or (rest and not spec.submodule_search_locations):
        return Path(f"{point.module}.py")
    if not rest:
        return Path(spec.origin or f"{first}.py")
    folders = [Path(one, *rest) for one in spec.submodule_search_locations or ()]
    whole = [one.with_name(f"{one.name}.py") for one in folders]
    return next((one for one in whole if one.is_file()), whole[0])
