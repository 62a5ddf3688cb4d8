"""Drafts become specs: rendered, validated, checked against the fleet and against each other."""

from collections.abc import Callable, Iterator, Set

from pydantic import ValidationError

from desired.addressing import fill_pools, holder
from desired.checks import spec_wrongs
from desired.document import Path
from desired.draft import EXTRA, Draft
from desired.letters import notice_wrongs
from desired.nodes import Tree
from desired.owned import device_wrongs, refusal
from desired.render import BadTemplate, Renderer, has_template, is_template
from desired.report import Report
from desired.shared import Shared
from desired.spec import VMSpec
from desired.wording import Wrong, near, wrongs

HIDDEN = frozenset({"key", "name_template", "windows", "copies"})
"""Fields of a spec that nobody writes."""

ABSENT = (
    "cluster",
    "name",
    "name_template",
    "domain",
    "was",
    "state",
    "protection",
    "terminate",
    "notices",
)
"""What counts of a spec whose VM shall not be there, beside tags and disks that are retained."""


ATTEMPTS = 6
"""How often wrong parts are taken out, each time with more of what surrounds them."""


class Assembler:
    """Makes specs of drafts and reports what is wrong with them."""

    def __init__(self, shared: Shared, renderer: Renderer, report: Report) -> None:
        self._shared = shared
        self._renderer = renderer
        self._report = report

    def spec(self, draft: Draft) -> VMSpec | None:
        """Return the draft's spec, or None after reporting why there is none."""
        tree: Tree = draft.tree
        wrong: list[Wrong] = [
            Wrong((name,), "unknown key", at_key=True)
            for name in sorted(HIDDEN)
            if any(isinstance(layer.tree, dict) and name in layer.tree for layer in draft.layers)
        ]
        if tree.get("cluster") is None:
            hint = near("", self._shared.file.clusters)
            message = f"expected a cluster, seen nothing{hint}; name one here, or in defaults"
            wrong.append(Wrong(("cluster",), message))
        if draft.absent:
            tree = _ending(tree)
        elif draft.templated:
            tree = self._rendered(draft, wrong)
        tree["key"] = draft.key
        spec = _validated(tree, wrong)
        if spec:
            spec = self._with_windows(spec)
        first = len(wrong)
        failed = [*draft.failed, *(early.path for early in wrong)]
        if spec and not draft.absent:
            wrong += spec_wrongs(spec)
            spec = self._fitted(draft, spec, wrong)
        elif spec:
            wrong += self._cluster_wrongs(draft, spec)
        for late in wrong[first:]:
            if not any(_related(late.path, path) for path in failed):
                self._report.add(draft.fault(late), draft.key)
        for early in wrong[:first]:
            self._report.add(draft.fault(early), draft.key)
        return None if draft.key in self._report.broken else spec

    def _with_windows(self, spec: VMSpec) -> VMSpec:
        """Return the spec with the fleet's windows that it is in the scope of."""
        windows = self._shared.file.windows.items()
        mine = {n: one for n, one in windows if one.fits(spec.key, spec.name, spec.tags or ())}
        return spec.model_copy(update={"windows": mine}) if mine else spec

    def _with_copies(self, spec: VMSpec) -> VMSpec:
        """Return the spec with what its template's name stands for in its cluster."""
        copies = self._shared.file.copies(spec.template or "", spec.cluster)
        return spec.model_copy(update={"copies": copies}) if copies else spec

    def _rendered(self, draft: Draft, wrong: list[Wrong]) -> Tree:
        def text(value: str, path: Path) -> object:
            try:
                return self._renderer.render(value, draft.context)
            except BadTemplate as error:
                wrong.append(Wrong(path, str(error)))
                return None

        kept = ("name_template", "name", "package", "cluster", "was", "guard")
        return {
            name: value if name in kept else _mapped(value, (name,), text)
            for name, value in draft.tree.items()
        }

    def _fitted(self, draft: Draft, spec: VMSpec, wrong: list[Wrong]) -> VMSpec:
        """Return the spec with its pools; what does not fit the fleet is appended to `wrong`."""
        wrong += self._cluster_wrongs(draft, spec)
        if spec.cluster not in self._shared.file.clusters:
            return spec
        wrong += self._template_wrongs(draft, spec)
        spec = self._with_copies(spec)
        cluster = self._shared.file.clusters[spec.cluster]
        for key in spec.config:
            message = refusal(key, cluster)
            if message:
                wrong.append(Wrong(("config", key), message, at_key=True))
        wrong += device_wrongs(spec, cluster)
        wrong += notice_wrongs(spec.notices, self._shared.file.notices, self._shared.letters)
        return fill_pools(spec, self._shared.pools, self._blamed_pools(draft, spec), wrong)

    def _blamed_pools(self, draft: Draft, spec: VMSpec) -> frozenset[str]:
        """Return the spec's pools that are missing for a reason reported elsewhere."""
        blamed = set()
        for nic in spec.nics.values():
            for family in (nic.ipv4, nic.ipv6):
                name = family.pool if family else None
                if name is None or name in self._shared.pools:
                    continue
                fault = self._shared.pool_shelf.why_missing(name)
                if fault:
                    self._report.add(fault, draft.key)
                    blamed.add(name)
        return frozenset(blamed)

    def _cluster_wrongs(self, draft: Draft, spec: VMSpec) -> Iterator[Wrong]:
        clusters = self._shared.file.clusters
        if spec.cluster in clusters:
            return
        fault = self._shared.broken.get(("clusters", spec.cluster))
        if fault:
            self._report.add(fault, draft.key)
        else:
            yield Wrong(
                ("cluster",), f"unknown cluster {spec.cluster!r}{near(spec.cluster, clusters)}"
            )

    def _template_wrongs(self, draft: Draft, spec: VMSpec) -> Iterator[Wrong]:
        known = sorted({*self._shared.file.templates, *self._shared.file.images})
        fault = self._shared.why_no_template(spec.template or "")
        if spec.template is None and spec.adopt is not None:
            return
        if spec.template is None:
            yield Wrong(("template",), f"expected a template, seen nothing{near('', known)}")
        elif fault:
            self._report.add(fault, draft.key)
        elif spec.template not in known:
            hint = near(spec.template, known)
            yield Wrong(("template",), f"unknown template {spec.template!r}{hint}")
        elif not self._shared.file.copies(spec.template, spec.cluster):
            message = f"template {spec.template} has no copy in cluster {spec.cluster}"
            yield Wrong(("template",), message)


def _ending(tree: Tree) -> Tree:
    """Return what counts of the end of a VM: its windows go by its tags, too."""
    kept = {name: tree[name] for name in ABSENT if name in tree}
    if has_template(kept.get("notices")):
        del kept["notices"]
    tags, disks = tree.get("tags"), tree.get("disks")
    if isinstance(tags, list):
        kept["tags"] = [tag for tag in tags if isinstance(tag, str) and not is_template(tag)]
    if isinstance(disks, dict):
        named = {slot: one.get("reclaim") for slot, one in disks.items() if isinstance(one, dict)}
        kept["disks"] = {s: {"reclaim": r} for s, r in named.items() if r == "retain"}
    return kept


def _mapped(value: object, path: Path, text: Callable[[str, Path], object]) -> object:
    """Return the value with `text` applied to every template below it."""
    if isinstance(value, str):
        return text(value, path) if is_template(value) else value
    if isinstance(value, dict):
        return {key: _mapped(below, (*path, key), text) for key, below in value.items()}
    if isinstance(value, list):
        return [_mapped(below, (*path, index), text) for index, below in enumerate(value)]
    return value


def _validated(tree: Tree, wrong: list[Wrong]) -> VMSpec | None:
    """Return the spec, or what is left without its wrong parts, so that the rest is checked too."""
    shown = {early.path for early in wrong}
    for attempt in range(ATTEMPTS):
        try:
            return VMSpec.model_validate(tree)
        except ValidationError as error:
            found = list(wrongs(error, tree, VMSpec, HIDDEN, EXTRA))
        if attempt == 0:
            wrong += [late for late in found if late.path not in shown]
        for late in found:
            tree = _without(tree, late.path)
    return None


def _without(tree: Tree, path: Path) -> Tree:
    """Return a copy of the tree without the value at the path; a list goes as a whole."""
    first = str(path[0])
    below = tree.get(first)
    if len(path) == 1 or isinstance(path[1], int) or not isinstance(below, dict):
        return {key: value for key, value in tree.items() if key != first}
    return {**tree, first: _without(below, path[1:])}


def _related(late: Path, early: Path) -> bool:
    """Whether one path leads to the other, or both lie in the same map below the top."""
    shorter = min(len(late), len(early))
    return late[:shorter] == early[:shorter] or (len(late) > 1 and late[:-1] == early[:-1])


def cross_check(
    drafts: list[Draft],
    specs: dict[str, VMSpec],
    known: Set[str],
    shared: Shared,
    report: Report,
) -> None:
    """Report what two VMs may not share: names, static addresses, `was`."""
    places: dict[tuple[str, ...], Draft] = {}
    names = _addressed(specs)
    _renamed_and_absent(drafts, report)
    for draft in drafts:
        for wrong, holds in _claims(draft, specs.get(draft.key), known, shared, names):
            first = places.setdefault(holds, draft) if holds else None
            if first is not draft:
                message = wrong.message.replace("{other}", first.key if first else "")
                report.add(draft.fault(Wrong(wrong.path, message)), draft.key)


def _renamed_and_absent(drafts: list[Draft], report: Report) -> None:
    """Report a VM that is to be absent under the very key that another says it bore."""
    renamed = {str(draft.tree["was"]): draft.key for draft in drafts if draft.tree.get("was")}
    for draft in drafts:
        if draft.absent and draft.key in renamed:
            new = renamed[draft.key]
            text = f"{new} says `was: {draft.key}`, so it keeps the machine; remove this spec"
            report.add(draft.fault(Wrong(("state",), text)), draft.key)


def _addressed(specs: dict[str, VMSpec]) -> Set[str]:
    """Return every name that gets addresses in DNS, where somebody has an alias at all."""
    if not any(spec.dns and spec.dns.cnames for spec in specs.values()):
        return frozenset()
    own = {str(spec.fqdn).lower() for spec in specs.values() if spec.fqdn}
    return own | {name for spec in specs.values() if spec.dns for name in spec.dns.names}


def _claims(
    draft: Draft, spec: VMSpec | None, known: Set[str], shared: Shared, names: Set[str]
) -> Iterator[tuple[Wrong, tuple[str, ...]]]:
    """Yield what only one VM may hold, with what is wrong if another one does (or () if it is)."""
    was = draft.tree.get("was")
    if isinstance(was, str):
        if was in known:
            yield Wrong(("was",), f"{was} still stands in the specs; remove it there"), ()
        yield Wrong(("was",), f"{{other}} was {was} already"), ("was", was)
    if draft.absent:
        return
    if draft.name:
        message = f"the name {draft.name} belongs to {{other}} already"
        yield Wrong(("name",), message), ("name", str(draft.tree["cluster"]), draft.name.lower())
    if spec and spec.adopt is not None:
        message = f"vm {spec.adopt} of cluster {spec.cluster} is {{other}} already"
        yield Wrong(("adopt",), message), ("adopt", spec.cluster, str(spec.adopt))
    for index, alias in enumerate(spec.dns.cnames if spec and spec.dns else ()):
        where = ("dns", "cnames", index)
        message = f"{alias} is an alias of {{other}} already; a CNAME points at one name"
        yield Wrong(where, message), ("cname", alias)
        if alias in names:
            yield Wrong(where, f"{alias} is a name with addresses already; drop one of them"), ()
    for slot, nic in spec.nics.items() if spec else ():
        for name, family in (("ipv4", nic.ipv4), ("ipv6", nic.ipv6)):
            if family is None or family.static is None:
                continue
            path = ("nics", slot, name, "static")
            pool = holder(shared.pools, family.static)
            if pool:
                message = f"{family.static.ip} is for pool {pool} to lease; add it to its exclude"
                yield Wrong(path, message), ()
            message = f"{family.static.ip} belongs to {{other}} already"
            yield Wrong(path, message), ("static", str(family.static.ip))
