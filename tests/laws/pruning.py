"""Two engines for the law of prune: one on paper, and the whole one on a simulated cluster."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Protocol

from sqlalchemy import delete

from desired.files import FileSource
from desired.source import Fleet, RolledName
from reconciler.guard import Gate, met_by
from reconciler.orphans.watch import SETTING, watched
from reconciler.plan import VMPlan
from reconciler.prepare import renamed
from state import tables
from state.change import Effect
from state.memory import Memory
from state.specs import Edit
from state.store import Store
from tests.engine import AT, binding, destroy, seen
from tests.orphanage import TINY, Orphanage

DAY = timedelta(days=1)
RULES = {"name": "law", "sources": "files, database", "minimum": "7", "destroys": "30%"}


class Engine(Protocol):
    """What runs the specs in a folder, at a time, against a store."""

    folder: Path

    @property
    def now(self) -> datetime: ...

    def later(self, seconds: float) -> None: ...

    def edit(self, edit: Edit) -> None: ...

    def tick(self, texts: str) -> None:
        """Run once; `texts` is what stands in the sources, to the byte."""
        ...

    def machines(self) -> dict[str, str]:
        """The uuid of each machine that is bound, and its key."""
        ...

    def close(self) -> None: ...


class Books:
    """The deciding part of the engine; a VM is a binding, and its end is that it is unbound."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now, self.made = folder, AT, 0
        self.store = emptied()
        self.loaded: tuple[str, Mapping[str, RolledName], Fleet] | None = None
        self.source = FileSource(folder, self.store.vault.key, self.store.specs)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def edit(self, edit: Edit) -> None:
        self.store.specs.edit([edit], "ann", self.now)

    def tick(self, texts: str) -> None:
        store = self.store
        names = store.bindings.names()
        if self.loaded is None or self.loaded[:2] != (texts, names):
            self.loaded = None
            self.loaded = texts, names, self.source.load(names, self.now)
        loaded = self.loaded[2]
        fleet, found = watched(loaded, store, self.now)
        found.keep(store)
        renamed(fleet, store)
        bound = store.bindings.names()
        for key in sorted(fleet.vms.keys() - bound.keys() - fleet.pruned):
            self.made += 1
            store.bindings.bind(binding(key, 100 + self.made, uuid=f"uuid-{self.made}"))
        gate = Gate(
            thresholds=fleet.guard,
            limits=fleet.limits,
            managed=len(fleet.vms) - len(fleet.pruned),
            approved=lambda *_: False,
            beside=frozenset(),
            place_of="{} {}".format,
            pruned=fleet.pruned,
            small=len(fleet.vms) - len(fleet.pruned) < fleet.guard.minimum,
        )
        gate.spent.learn(Effect.DESTROY, store.journal.destroyed_since(self.now - DAY))
        for key in sorted(fleet.pruned):
            one = seen(key, Memory(store.bindings.of(key)))
            if gate.check(VMPlan(one, (destroy(key),))).allowed:
                store.journal.effect(met_by(one, Effect.DESTROY), Effect.DESTROY, self.now)
                store.bindings.withdraw(key)

    def machines(self) -> dict[str, str]:
        return {str(one.uuid): key for key, one in self.store.bindings.all().items()}

    def close(self) -> None:
        pass


@cache
def shared() -> Store:
    """One store for all sequences: to make its tables takes longer than a sequence."""
    return Store.temporary(at=AT)


def emptied() -> Store:
    store = shared()
    used = (
        tables.bindings,
        tables.intents,
        tables.effects,
        tables.desired_vm,
        tables.desired_vm_history,
    )
    with store.bindings._database.writing("empty the books") as link:
        for table in used:
            link.execute(delete(table))
        link.execute(delete(tables.settings).where(tables.settings.c.name == SETTING))
    return store


class Whole:
    """The whole engine; a VM is one of the simulated cluster."""

    def __init__(self, folder: Path) -> None:
        self.lab = Orphanage(folder.parent, {"a": TINY}, **RULES)
        self.folder = self.lab.fleet
        (self.folder / "vms" / "all.yaml").unlink()

    @property
    def now(self) -> datetime:
        return self.lab.at

    def later(self, seconds: float) -> None:
        self.lab.clock.sleep(seconds)

    def edit(self, edit: Edit) -> None:
        with Store.open(self.lab.where, at=self.now) as store:
            store.specs.edit([edit], "ann", self.now)

    def tick(self, texts: str) -> None:
        self.lab.run()

    def machines(self) -> dict[str, str]:
        with self.lab.store() as store:
            bound = {one.vmid: one for one in store.bindings.all().values()}
        there = {vmid: bound[vmid] for vmid in self.lab.machines if vmid in bound}
        lost = {one.uuid for one in bound.values() if one.uuid} - {
            one.uuid for one in there.values()
        }
        assert not lost, "a binding outlives its machine by no run"
        return {str(one.uuid): one.key for one in there.values() if one.uuid}

    def close(self) -> None:
        pass
