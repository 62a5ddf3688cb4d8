"""What all VMs share, read from the fleet file, the packages and the pools; broken parts aside."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from pydantic import ValidationError

from desired.addressing import pool_clashes
from desired.catalog import FleetFile, Guard, PlacementRules, Pool
from desired.document import Document, Path
from desired.errors import SpecError, UnusableSource
from desired.nodes import Tree
from desired.report import Fault, Report
from desired.shelf import Entry, Shelf
from desired.windows import ALWAYS_CLOSED
from desired.wording import Wrong, dotted, near, wrongs

VITAL = frozenset({"fleet", "clusters", "database", "defaults", "sources", "git"})
"""Sections without which nothing may be done at all."""

ENTIRE = frozenset({"sources", "git"})
"""Sections that mean something else when a part of them is left out."""

CAREFUL = PlacementRules(post_clone_migration=False)
"""The rules of placement while those that were written cannot be read."""

STRICTEST = Guard.model_validate({"restarts": "0%", "destroys": "0%"})
"""The guard while the one that was written cannot be read."""


@dataclass(slots=True)
class Shared:
    """The usable parts, and why others are not: clusters, templates, images by (section, name)."""

    file: FleetFile
    defaults: Entry
    packages: Shelf
    pool_shelf: Shelf
    pools: dict[str, Pool] = field(default_factory=dict)
    broken: Mapping[tuple[str, str], Fault] = field(default_factory=dict)
    letters: Mapping[str, str] = field(default_factory=dict)

    @property
    def only_cluster(self) -> str | None:
        """Where a VM goes that names none; with a broken cluster beside it, it must say so."""
        broken = any(section == "clusters" for section, _ in self.broken)
        return (
            next(iter(self.file.clusters)) if len(self.file.clusters) == 1 and not broken else None
        )

    def why_no_template(self, alias: str) -> Fault | None:
        """What is wrong with the template of this alias, be it a VM's copy or an image."""
        return self.broken.get(("templates", alias)) or self.broken.get(("images", alias))


def read_shared(document: Document, packages: Shelf, pools: Shelf, report: Report) -> Shared:
    """Validate what the VMs share. Raises UnusableSource when a vital part is wrong."""
    if document.faults:
        raise UnusableSource(document.faults)
    file, broken = _fleet_file(document, report)
    defaults = Entry(document, "defaults", file.defaults)
    shared = Shared(file, defaults, packages, pools, broken=broken)
    _read_pools(shared, report)
    return shared


def _fleet_file(
    document: Document, report: Report
) -> tuple[FleetFile, Mapping[tuple[str, str], Fault]]:
    tree: Tree = dict(document.entries)
    broken: dict[tuple[str, str], Fault] = {}
    try:
        file = FleetFile.model_validate(tree)
    except ValidationError as error:
        found = list(wrongs(error, tree, FleetFile))
        faults = {wrong.path: _fault(document, wrong) for wrong in found}
        vital = [path for path in faults if _is_vital(path)]
        if vital:
            raise UnusableSource(tuple(_error(fault) for fault in faults.values())) from error
        for path, fault in faults.items():
            report.add(fault)
            if path[0] == "windows":
                tree["windows"] = _readable_windows(tree["windows"], faults)
            elif len(path) > 1 and path[0] in ("clusters", "templates", "images"):
                section = tree[str(path[0])]
                assert isinstance(section, dict)
                tree[str(path[0])] = {k: v for k, v in section.items() if k != path[1]}
                broken.setdefault((str(path[0]), str(path[1])), fault)
            else:
                tree.pop(str(path[0]), None)
        file = FleetFile.model_validate(tree)
        if any(path[0] == "guard" for path in faults):
            file = file.model_copy(update={"guard": STRICTEST})
        if any(path[0] == "placement" for path in faults):
            file = file.model_copy(update={"placement": CAREFUL})
    for name, alias, cluster in _named_copies(file):
        wrong = Wrong((name, alias, cluster), "", at_key=True)
        if cluster not in file.clusters and ("clusters", cluster) not in broken:
            message = f"unknown cluster{near(cluster, file.clusters)}"
            report.add(_fault(document, replace(wrong, message=message)))
        elif name == "images" and file.templates.get(alias, {}).get(cluster):
            message = f"templates: says already what {alias} is in {cluster}; drop one of the two"
            broken.setdefault((name, alias), _fault(document, replace(wrong, message=message)))
            report.add(broken[name, alias])
    return file, broken


def _named_copies(file: FleetFile) -> Iterator[tuple[str, str, str]]:
    """Yield (section, alias, cluster) of everything that a template's alias stands for."""
    for alias, copies in file.templates.items():
        yield from (("templates", alias, cluster) for cluster in copies)
    for alias, images in file.images.items():
        yield from (("images", alias, cluster) for cluster in images)


def _readable_windows(windows: object, faults: Collection[Path]) -> Tree:
    """Return the sound windows; for one that may be meant to deny, one that always does."""
    if not isinstance(windows, dict):
        return {"unreadable": ALWAYS_CLOSED}
    broken = {str(path[1]) for path in faults if path[0] == "windows" and len(path) > 1}
    kept: Tree = {name: one for name, one in windows.items() if name not in broken}
    for name in sorted(broken & windows.keys()):
        one = windows[name]
        if not isinstance(one, dict) or one.get("kind", "allow") != "allow":
            kept["unreadable"] = ALWAYS_CLOSED
    return kept


def _is_vital(path: Path) -> bool:
    name = str(path[0])
    if len(path) > 1:
        return name in ENTIRE
    # Left out for a slip of the pen, a section means something else as well.
    known = name in FleetFile.model_fields
    mistyped = not known and get_close_matches(name, (*ENTIRE, "windows"), 1, 0.7)
    return name in VITAL or bool(mistyped)


def _fault(document: Document, wrong: Wrong) -> Fault:
    place = document.place(wrong.path, wrong.at_key)
    return Fault(place, dotted(wrong.path), wrong.message, shared=True)


def _error(fault: Fault) -> SpecError:
    return SpecError(fault.place, fault.field, fault.message)


def _read_pools(shared: Shared, report: Report) -> None:
    pools = shared.pool_shelf
    for name, entry in pools.entries.items():
        found: list[Wrong] = []
        try:
            pool = Pool.model_validate(entry.tree)
        except ValidationError as error:
            found = list(wrongs(error, entry.tree, Pool))
        else:
            known = pool.cluster is None or pool.cluster in shared.file.clusters
            if not known and ("clusters", str(pool.cluster)) not in shared.broken:
                hint = near(str(pool.cluster), shared.file.clusters)
                found = [Wrong(("cluster",), f"unknown cluster {pool.cluster!r}{hint}")]
            else:
                shared.pools[name] = pool
        for wrong in found:
            place = entry.place(wrong.path, wrong.at_key)
            field = dotted((name, *wrong.path))
            fault = Fault(place, field, wrong.message, shared=True)
            pools.broken.setdefault(name, fault)
            report.add(fault)
    for later, earlier in pool_clashes(shared.pools):
        message = f"overlaps with pool {earlier} ({pools.entries[earlier].place((), True)})"
        place = pools.entries[later].place(("network",))
        fault = Fault(place, f"{later}.network", message, shared=True)
        pools.broken[later] = fault
        report.add(fault)
    for name in pools.broken:
        shared.pools.pop(name, None)
