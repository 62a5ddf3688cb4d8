"""Which VMs need no look now: nothing that their last quiet look went by has moved (design 5).

A look at a VM is quiet when it finds no change and no note and gives the VM nothing. What it went
by is the VM's inside, which is cached, and the rest, whose hash is kept with that cached row until
the row is read anew or marked. An equal hash by a row that is still believed means an equal look.
Any doubt means a whole look; so does the rotation. A dry run looks at everything.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec

from desired.spec import VMSpec
from handlers.exists import OUTDATED
from handlers.handler import Handler
from reconciler.guard import Guarded
from state.machine import Machines
from state.memory import Memory, Phase
from state.observed import ClusterView, Presence
from state.store import Store

PACKAGES = ("desired", "state", "handlers", "reconciler")
_json = msgspec.json.Encoder(order="sorted").encode


@dataclass(slots=True)
class Settled:
    """The quiet looks of one cluster: those made before, and those of this look."""

    store: Store
    view: ClusterView
    machines: Machines
    common: bytes
    fresh: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        store: Store,
        view: ClusterView,
        machines: Machines,
        fleet: str,
        handlers: Sequence[Handler],
    ) -> "Settled":
        """`common` is what a look at any VM goes by: all that `SeenVM` says of the cluster."""
        cluster = [view.name, view.firewall_enabled, view.problem, view.release, view.ha is None]
        common = _json([code_stamp(handlers), store.id, fleet, *cluster])
        return cls(store, view, machines, common)

    def knows(self, spec: VMSpec, memory: Memory) -> bool:
        """Whether a look at this VM would be its last quiet one over again."""
        kept = self.machines.settled(memory.binding.vmid) if memory.binding else ""
        return kept != "" and kept == self._signature(spec, memory)

    def note(self, spec: VMSpec, memory: Memory, found: Guarded) -> None:
        """Remember the look if it was quiet."""
        if memory.binding is not None and _quiet(spec, memory, found):
            self.fresh[memory.binding.vmid] = self._signature(spec, memory)

    def keep(self) -> None:
        """Store what this look has settled."""
        self.store.cache.settle(self.view.name, self.fresh)

    def _signature(self, spec: VMSpec, memory: Memory) -> str:
        """Hash all that a look at the VM goes by, but for its inside and what grows by itself."""
        assert memory.binding is not None
        row = self.view.vms.get(memory.binding.vmid)
        node = self.view.nodes.get(row.node) if row else None
        hashed = blake2b(self.common, digest_size=16)
        hashed.update(spec.model_dump_json().encode())
        hashed.update(_json([memory, row and replace(row, uptime=0, mem=0, netin=0, netout=0)]))
        hashed.update(_json([node and node.online, node and node.hastate]))
        hashed.update(_json((self.view.ha or {}).get(memory.binding.vmid)))
        return hashed.hexdigest()


def _quiet(spec: VMSpec, memory: Memory, found: Guarded) -> bool:
    """Whether nothing was found or given, and nothing is remembered that only time undoes.

    A secret that the spec refers to is read by each look: it may change where it is kept. That
    its template is another one now follows from spec and memory, and is told without a look.
    """
    seen, binding = found.plan.seen, memory.binding
    bare = Memory(binding, memory.leases, fingerprints=memory.fingerprints)
    notes = [note for note in found.notes if note.condition != OUTDATED]
    refers = spec.cloudinit is not None and spec.cloudinit.password not in (None, "generate")
    return (
        seen.presence is Presence.PRESENT
        and not (found.plan.changes or notes or seen.secrets or seen.holders or refers)
        and memory == bare == seen.memory
        and binding is not None
        and binding.phase is Phase.READY
    )


def code_stamp(handlers: Iterable[Handler]) -> list[tuple[str, int, int]]:
    """Names, sizes and times (ns) of the program's files: changed code may judge differently."""
    theirs = {type(handler).__module__.partition(".")[0] for handler in handlers} - {*PACKAGES}
    return [*_own_stamp(), *_stamp(file for one in theirs for file in _folder(one).glob("*.py"))]


@cache
def _own_stamp() -> tuple[tuple[str, int, int], ...]:
    """Our own packages', once a process: the code that runs is the code that was loaded."""
    return tuple(_stamp(file for one in PACKAGES for file in _folder(one).rglob("*.py")))


def _stamp(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    found = ((file, file.stat()) for file in sorted({*files}))
    return [(str(file), one.st_size, one.st_mtime_ns) for file, one in found]


def _folder(package: str) -> Path:
    return Path(str(sys.modules[package].__file__)).parent
