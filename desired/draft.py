"""A VM on its way from its layers (defaults, package, own entry) to a spec."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from desired.document import Path, step
from desired.merge import merge
from desired.nodes import Tree
from desired.options import lay_over
from desired.render import RESERVED, BadTemplate, Renderer, has_template, is_varying
from desired.report import Fault, Report
from desired.shared import Shared
from desired.shelf import BAD_NAME, NAME, Entry
from desired.wording import Wrong, dotted, near, shown

MOST = 10_000
"""VMs that one group may have."""

VM_ONLY = ("state", "was", "adopt", "count", "for_each", "options")
"""Keys that no package and no defaults may set."""

EXTRA = ("count", "for_each", "vars", "options")
"""Keys of a VM's entry that are no fields of its spec."""


@dataclass(slots=True)
class Draft:
    """One VM: its merged tree, its layers from weak to strong, and what its templates know."""

    key: str
    layers: tuple[Entry, ...]
    tree: Tree
    context: dict[str, object]
    templated: bool
    name: str = ""
    failed: list[Path] = field(default_factory=list)

    @property
    def absent(self) -> bool:
        """Whether the VM shall not be there; then nothing else of its spec matters."""
        return self.tree.get("state") == "absent"

    def fault(self, wrong: Wrong) -> Fault:
        """Return the fault, placed in the strongest layer that holds its path."""
        layer = max(self.layers, key=lambda layer: _depth(layer.tree, wrong.path))
        shared = layer is not self.layers[0]
        return Fault(
            layer.place(wrong.path, wrong.at_key), dotted(wrong.path), wrong.message, shared
        )


def _depth(tree: object, path: Path) -> int:
    """Return how many steps of the path the tree has."""
    for depth, part in enumerate(path):
        try:
            tree = step(tree, part)
        except LookupError:
            return depth
    return len(path)


@dataclass(frozen=True, slots=True)
class _Base:
    """Defaults with one package on top: computed once for all its VMs."""

    layers: tuple[Entry, ...]
    tree: Tree
    templated: bool
    faults: tuple[Fault, ...]


class Drafter:
    """Expands entries into drafts: groups, packages, merging and `vars`."""

    def __init__(self, shared: Shared, renderer: Renderer, report: Report) -> None:
        self._shared = shared
        self._renderer = renderer
        self._report = report
        self._bases: dict[str | None, _Base] = {}

    def drafts(self, entry: Entry) -> Iterator[Draft]:
        """Yield the drafts of one entry; what is wrong with its shape is reported."""
        tree = entry.tree
        if not isinstance(tree, dict):
            message = f"expected a map such as {{package: small}}, seen {shown(tree)}"
            self._report.add(Fault(entry.place(), "", message), entry.key)
            return
        wrong = _group_wrong(tree)
        if wrong:
            place = entry.place(wrong.path, wrong.at_key)
            self._report.add(Fault(place, dotted(wrong.path), wrong.message), entry.key)
            return
        own = {name: value for name, value in tree.items() if name not in EXTRA}
        templated = entry.document.may_template and has_template(own)
        for key, known in _members(entry.key, tree):
            yield self._draft(entry, key, own, templated, known)

    def _draft(
        self, entry: Entry, key: str, own: Tree, templated: bool, known: dict[str, object]
    ) -> Draft:
        context: dict[str, object] = {"key": key, "fleet": self._shared.file.fleet, **known}
        draft = Draft(key, (entry, self._shared.defaults), {}, context, templated)
        draft.tree = own
        if draft.absent:
            base = self._base(None)
        else:
            base = self._base(self._package(draft))
            draft.templated = templated or base.templated
        for fault in base.faults:
            self._report.add(fault, key)
        draft.layers = (entry, *base.layers)
        draft.tree = merge(base.tree, own)
        if "package" in context:
            draft.tree["package"] = context["package"]
        self._add_vars(draft)
        cluster = draft.tree.get("cluster", self._shared.only_cluster)
        if isinstance(cluster, str):
            cluster = self._text(draft, ("cluster",), cluster)
        context["cluster"] = draft.tree["cluster"] = cluster
        self._add_options(draft)
        was = own.get("was")
        if isinstance(was, str):
            draft.tree["was"] = self._text(draft, ("was",), was)
        return draft

    def _package(self, draft: Draft) -> str | None:
        """Return the name of the draft's package, if it has a usable one."""
        package = draft.tree.get("package", self._shared.file.defaults.get("package"))
        if not isinstance(package, str):
            return None
        package = draft.context["package"] = self._text(draft, ("package",), package)
        shelf = self._shared.packages
        if package in shelf.entries:
            return package
        if draft.failed:
            return None
        message = f"unknown package {package!r}{near(package, shelf.entries)}"
        fault = shelf.why_missing(package) or draft.fault(Wrong(("package",), message))
        self._report.add(fault, draft.key)
        return None

    def _text(self, draft: Draft, path: Path, text: str) -> str:
        """Return the rendered text, or the template if it fails; that is reported."""
        try:
            return self._renderer.render(text, draft.context)
        except BadTemplate as error:
            self._report.add(draft.fault(Wrong(path, str(error))), draft.key)
            draft.failed.append(path)
            return text

    def _base(self, package: str | None) -> _Base:
        if package not in self._bases:
            self._bases[package] = self._make_base(package)
        return self._bases[package]

    def _make_base(self, package: str | None) -> _Base:
        defaults = self._shared.defaults
        layers = (
            (defaults,) if package is None else (self._shared.packages.entries[package], defaults)
        )
        tree: Tree = {}
        faults = []
        for layer in reversed(layers):
            if not isinstance(layer.tree, dict):
                message = f"expected a map, seen {shown(layer.tree)}"
                faults.append(Fault(layer.place(), layer.key, message, shared=True))
                continue
            for name in VM_ONLY + (("package",) if layer is not defaults else ()):
                if name in layer.tree:
                    message = "stands in a VM only"
                    faults.append(Fault(layer.place((name,), True), name, message, shared=True))
            tree = merge(tree, {k: v for k, v in layer.tree.items() if k not in VM_ONLY})
        return _Base(layers, tree, has_template(tree), tuple(faults))

    def _add_options(self, draft: Draft) -> None:
        """Lay a product's options over all else (OPT-03)."""
        entry = draft.layers[0].tree
        options = entry.get("options") if isinstance(entry, dict) else None
        if options is None or draft.absent:
            return
        if isinstance(options, dict):
            options = {
                name: self._text(draft, ("options", name), value)
                if isinstance(value, str)
                else value
                for name, value in options.items()
            }
            options = {k: v for k, v in options.items() if ("options", k) not in draft.failed}
        file, cluster = self._shared.file, str(draft.tree["cluster"])
        copies = {alias: file.copies(alias, cluster) for alias in {*file.templates, *file.images}}
        known = {alias: there for alias, there in copies.items() if there}
        draft.tree, wrong = lay_over(draft.tree, options, known)
        for one in wrong:
            self._report.add(draft.fault(one), draft.key)

    def _add_vars(self, draft: Draft) -> None:
        variables: object = draft.tree.pop("vars", None)
        entry = draft.layers[0].tree
        own = entry.get("vars") if isinstance(entry, dict) else None
        if isinstance(own, dict):
            variables = merge(variables if isinstance(variables, dict) else {}, own)
        elif own is not None:
            variables = own
        if variables is None:
            return
        if not isinstance(variables, dict):
            wrong = Wrong(("vars",), f"expected a map, seen {shown(variables)}")
            self._report.add(draft.fault(wrong), draft.key)
            return
        for name, value in variables.items():
            if name in RESERVED or is_varying(name) or not name.isidentifier():
                wrong = Wrong(("vars", name), "cannot be the name of a variable", at_key=True)
                self._report.add(draft.fault(wrong), draft.key)
            elif isinstance(value, str):
                draft.context[name] = self._text(draft, ("vars", name), value)
            else:
                draft.context[name] = value


def _group_wrong(tree: Tree) -> Wrong | None:
    count, items = tree.get("count"), tree.get("for_each")
    if count is not None and items is not None:
        return Wrong(("for_each",), "expected either count or for_each", at_key=True)
    if count is not None and (type(count) is not int or not 0 <= count <= MOST):
        return Wrong(("count",), f"expected a whole number from 0 to {MOST}, seen {shown(count)}")
    if items is None:
        return None
    if not isinstance(items, (dict, list)) or len(items) > MOST:
        return Wrong(("for_each",), "expected a list of items, or a map ITEM: {variables}")
    seen: set[str] = set()
    for position, item in enumerate(items):
        path: Path = ("for_each", position if isinstance(items, list) else str(item))
        if (
            isinstance(item, bool)
            or not isinstance(item, (str, int))
            or not NAME.fullmatch(str(item))
        ):
            return Wrong(path, f"{BAD_NAME}, seen {shown(item)}")
        if str(item) in seen:
            return Wrong(path, f"{item} stands here twice")
        seen.add(str(item))
    return None


def _members(key: str, tree: Tree) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the key of each machine of an entry, and what its templates know beside it."""
    count, items = tree.get("count"), tree.get("for_each")
    if isinstance(count, int):
        for index in range(1, count + 1):
            yield f"{key}/{index}", {"index": index, "item": str(index), "value": index}
    elif isinstance(items, (dict, list)):
        for index, item in enumerate(items, 1):
            value = items[item] if isinstance(items, dict) else item
            yield f"{key}/{item}", {"index": index, "item": str(item), "value": value}
    else:
        yield key, {}
