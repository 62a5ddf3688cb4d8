"""What an adoption would write: specs of the VMs that were asked for, each proven to ask for
nothing, and why the others are left out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from desired.files import FileSource
from desired.source import Fleet
from reconciler.adopt.compose import Composed, alone, composed
from reconciler.adopt.folder import Batch, batch_of, packages_beside, read_back, texts_of
from reconciler.adopt.found import Candidate, Selection, find
from reconciler.adopt.kinds import Kinds, Place, keyed, kinds_of
from reconciler.adopt.prove import binding_of, differs, plan_of, seen_as, taken_by
from reconciler.clock import Clock, SystemClock, Workers
from reconciler.config import Opened, Opening, open_bare
from reconciler.express.document import drop
from reconciler.options import RunOptions
from reconciler.prepare import Stage
from reconciler.report import Reporter
from state.store import Store

STANDING = "has a spec already ({key}): --apply takes it over"
WHOLE = ("pci", "usb", "serials", "virtiofs", "disks")
"""Maps of which a wrong entry is left out as a whole."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """One VM with its spec under a key, or with the reason for which it is left out.

    `unsaid` is what the spec does not say, so that it stays as it is.
    """

    candidate: Candidate
    key: str = ""
    package: str = ""
    unsaid: tuple[str, ...] = ()
    refused: str = ""

    @property
    def expected(self) -> bool:
        return self.candidate.expected or self.refused == STANDING.format(key=self.key)


@dataclass(frozen=True, slots=True)
class Proposal:
    """All VMs that were asked for, and the files of those that can be adopted."""

    vms: tuple[Proposed, ...]
    texts: Mapping[str, str]
    batch: Batch
    problems: tuple[str, ...] = ()

    @property
    def taken(self) -> tuple[Proposed, ...]:
        return tuple(one for one in self.vms if not one.refused)

    @property
    def left_out(self) -> tuple[Proposed, ...]:
        return tuple(one for one in self.vms if one.refused)


def propose(
    options: RunOptions,
    selection: Selection,
    reporter: Reporter,
    clock: Clock | None = None,
    opening: Opening = open_bare,
) -> Proposal:
    """Look at the clusters and say what adopting would write; writes nothing.

    Raises UnusableSource, StoreError.
    """
    clock = clock or SystemClock()
    at = clock.now()
    with opening(options.fleet, options.database, at) as opened:
        names = selection.clusters or tuple(opened.fleet.clusters)
        sites = Stage(opened, reporter, clock, dry=True).sites_of(names, None)
        workers = Workers(opened.fleet.limits.workers)
        found, problems = find(
            list(sites.values()), selection, opened.fleet, opened.store, at, workers
        )
        return Drafts(opened, options.fleet, at).proposal(found, problems)


@dataclass(slots=True)
class Drafts:
    """The trees of an adoption until all of them are sound and proven."""

    opened: Opened
    folder: Path
    at: datetime
    candidates: dict[str, Candidate] = field(default_factory=dict)
    trees: dict[str, Composed] = field(default_factory=dict)
    refused: dict[Place, str] = field(default_factory=dict)

    defaults: Mapping[str, object] = field(init=False)

    def __post_init__(self) -> None:
        self.defaults = FileSource(self.folder).head().defaults

    @property
    def store(self) -> Store:
        return self.opened.store

    def proposal(self, found: list[Candidate], problems: list[str]) -> Proposal:
        vmids = {one.row.vmid for one in found}
        batch = batch_of(self.folder, self.store.bindings.names(), vmids)
        others = read_back(self.folder, {}, batch, self.store, self.at)
        standing = {(one.cluster, one.adopt): key for key, one in others.vms.items() if one.adopt}
        for one in found:
            if one.refused:
                self.refused[one.place] = one.refused
            elif one.place in standing:
                self.refused[one.place] = STANDING.format(key=standing[one.place])
        self._compose([one for one in found if one.place not in self.refused], others)
        self._mend(batch, None)
        kinds = self._mend(batch, packages_beside(self.folder, batch))
        keys = {one.place: key for key, one in self.candidates.items()}
        vms = []
        for one in found:
            key = one.owner or standing.get(one.place) or keys.get(one.place, "")
            mine = self.trees.get(key) if one.place in keys else None
            vms.append(
                Proposed(
                    one,
                    key,
                    kinds.of.get(key, "") if mine else "",
                    tuple(mine.unsaid) if mine else (),
                    self.refused.get(one.place, ""),
                )
            )
        texts = texts_of(kinds, batch) if self.trees else {}
        return Proposal(tuple(vms), texts, batch, tuple(problems))

    def _compose(self, found: list[Candidate], others: Fleet) -> None:
        """Say each VM as a tree of its own."""
        fleet, defaults = self.opened.fleet, self.defaults
        taken = {*others.vms, *others.broken, *self.store.bindings.names()}
        keys = keyed({one.place: one.name for one in found}, taken)
        for one in found:
            key = keys[one.place]
            binding = binding_of(one, key)
            seen = seen_as(one, binding, (), self.store, fleet)
            made = composed(seen, fleet, defaults)
            clash = made.refused or taken_by(made.leases, self.store)
            if clash:
                self.refused[one.place] = clash
                continue
            made.tree["adopt"], made.tree["drift"] = one.row.vmid, "alert"
            if defaults.get("cluster") != one.view.name and len(fleet.clusters) > 1:
                made.tree["cluster"] = one.view.name
            self.candidates[key], self.trees[key] = one, made

    def _mend(self, batch: Batch, taken: set[str] | None) -> Kinds:
        """Read the files back until every VM is sound and its plan is empty.

        Without names of packages that there are, each VM is said as a whole.
        """
        while True:
            kinds = self._kinds(taken)
            read = read_back(self.folder, texts_of(kinds, batch), batch, self.store, self.at)
            if not any([self._is_mended(key, read) for key in list(self.trees)]):
                return kinds

    def _kinds(self, taken: set[str] | None) -> Kinds:
        trees = {key: (self.candidates[key].view.name, one.tree) for key, one in self.trees.items()}
        if taken is None:
            return Kinds({}, {key: tree for key, (_, tree) in trees.items()})
        return kinds_of(trees, taken)

    def _is_mended(self, key: str, read: Fleet) -> bool:
        """Drop what is wrong with one VM, or leave the VM out; False if nothing was to be done."""
        made, candidate = self.trees[key], self.candidates[key]
        spec = read.vms.get(key)
        if spec is None:
            faults = [one for one in read.errors if one.vm == key]
            dropped = [self._dropped(made, one.field, one.message) for one in faults]
            if not any(dropped):
                told = "; ".join(f"{one.field}: {one.message}" for one in faults)
                self._leave_out(key, told or "its spec is not sound; see reconcile validate")
            return True
        plan = plan_of(spec, candidate, made.leases, self.store, self.opened.fleet)
        if any(one.handler == "firewall" for one in plan.changes) and "firewall" in made.tree:
            del made.tree["firewall"]
            made.tree = alone(made.tree, self.defaults)
            made.unsaid.append("firewall: its options and sets stay as they are")
            return True
        told = differs(spec, plan)
        if told:
            self._leave_out(key, f"a spec would change it: {told}{_hint(told, made)}")
        return bool(told)

    def _dropped(self, made: Composed, path: str, message: str) -> bool:
        """Take what no spec can say out of the tree; what a VM is known by is never dropped."""
        parts = tuple(part for part in re.split(r"[.\[\]]+", path) if part)
        if parts[:1] == ("nics",) and parts[2:3] not in (("model",), ("mtu",), ("rate",)):
            return False
        if parts[:1] in ((), ("name",), ("adopt",), ("cluster",), ("package",)):
            return False
        parts = parts[:2] if parts[0] in WHOLE else parts
        if not drop(made.tree, parts):
            return False
        made.tree = alone(made.tree, self.defaults)
        made.unsaid.append(f"{'.'.join(parts)}: {message}")
        return True

    def _leave_out(self, key: str, why: str) -> None:
        self.refused[self.candidates[key].place] = why
        del self.trees[key]


def _hint(told: str, made: Composed) -> str:
    """What helps where the address of a pool is set otherwise than the pool would."""
    if "ipconfig" not in told or not made.leases:
        return ""
    first = made.leases[0]
    return f" (`exclude: [{first.address}]` in pool {first.pool} has it named as it is)"
