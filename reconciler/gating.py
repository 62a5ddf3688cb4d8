"""What the guard of one look knows: thresholds used up, clones at work, moves, the drain."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from desired.source import Fleet
from handlers.handler import Handler
from reconciler.allocation.ledger import clones_at_work
from reconciler.guard import Gate
from reconciler.moves import Moves
from reconciler.plan import change_hash
from reconciler.site import Site
from reconciler.spent import Spent
from state.change import Change, Effect
from state.machine import Machine
from state.memory import Memory, Phase
from state.observed import ClusterView, SeenVM
from state.store import Store


@dataclass(frozen=True, slots=True)
class Gating:
    """Makes the guard of one look at one cluster out of what was seen and what is remembered."""

    site: Site
    fleet: Fleet
    store: Store
    view: ClusterView
    memories: Mapping[str, Memory]
    machines: Mapping[int, Machine]
    spent: Spent
    dry: bool

    def gate(self, handlers: Sequence[Handler]) -> Gate:
        """Return the guard; what restarts are at work is learned by the way."""
        since = self.view.at - timedelta(days=1)
        self._learn_restarts()
        self.spent.learn(Effect.STOP_START, self.store.journal.restarted_since(since))
        self.spent.learn(Effect.DESTROY, self.store.journal.destroyed_since(since))

        def place_of(template: int, storage: str | None) -> str:
            return clone_place(self.view, self.machines, template, storage)

        clones: Counter[str] = Counter()
        for vmid, count in clones_at_work(self.view).items():
            clones[f"template {vmid}"] += count
            clones[place_of(int(vmid), None)] += count
        for image, place in self._creations():
            clones[f"image {image}"] += 1
            clones[place] += 1
        return Gate(
            thresholds=self.fleet.guard,
            limits=self.fleet.limits,
            managed=self._managed(),
            approved=self._approved,
            beside=frozenset(one.name for one in handlers if not one.blocking),
            place_of=place_of,
            storage_place=partial(storage_place, self.view),
            spent=self.spent,
            clones=clones,
            moves=self._moves(),
            pruned=self.fleet.pruned,
            small=self._is_small(),
        )

    def _managed(self) -> int:
        """How many VMs the shares are shares of: those that are wanted, or still to be ended.

        What is to be absent and has gone is none any more, however long its spec stands there.
        """
        present = sum(spec.state == "present" for spec in self.fleet.vms.values())
        absent = {key for key, spec in self.fleet.vms.items() if spec.state == "absent"}
        ending = absent - self.fleet.pruned
        still = ending & self.store.bindings.names().keys() if ending else ending
        return max(1, present + len(still))

    def _is_small(self) -> bool:
        """Whether so few VMs are wanted that each pruned one needs approval (design 4)."""
        wanted = sum(spec.state == "present" for spec in self.fleet.vms.values())
        return wanted < self.fleet.guard.minimum

    def _moves(self) -> Moves:
        targets = self.store.placements.targets()
        ours = self.store.bindings.deploying(self.site.name) if targets else ()
        going = {one.vmid: targets[one.key] for one in ours if one.key in targets}
        return Moves.of(self.view, going, self.fleet.limits.migrations_per_node)

    def _creations(self) -> Iterator[tuple[str, str]]:
        """Image and place of each VM that is being created: its row says so by its lock."""
        for binding in self.store.bindings.deploying(self.site.name):
            row = self.view.vms.get(binding.vmid)
            if binding.image and row is not None and row.lock == "create":
                yield binding.image, storage_place(self.view, binding.storage or "", row.node)

    def _learn_restarts(self) -> None:
        """Tell the drain what runs, and what was begun before this run."""
        specs = [one for one in self.fleet.vms.values() if one.cluster == self.site.name]
        settled = (Phase.READY, Phase.CHANGE)
        bindings = (one.binding for one in self.memories.values() if one.binding)
        vmids = {one.key: one.vmid for one in bindings if one.phase in settled}
        with self.spent.lock:
            drain = self.spent.drain
            drain.learn(self.fleet, self.store, self.memories, self.view.at)
            drain.observe(specs, self.view, vmids)
        if not self.dry:
            self.spent.keep_drain(self.store)

    def _approved(self, seen: SeenVM, change: Change) -> bool:
        """Whether a person allowed it; the approval is used up when the change is sent."""
        hashed = change_hash(seen, change, self.store.vault.key)
        return hashed in self.store.approvals.open_changes(self.view.at)


def clone_place(
    view: ClusterView, machines: Mapping[int, Machine], template: int, storage: str | None
) -> str:
    """Name the storage that a clone's data goes to: `local-lvm on pve1`, `ceph`.

    Without a storage of its own it is the template's; an unread template stands for itself.
    """
    row = view.vms.get(template)
    node = row.node if row else ""
    config = machines.get(template, Machine()).config
    if storage is None and config and config.wanted.boot_disk:
        storage = config.wanted.disks[config.wanted.boot_disk].storage
    if storage is None:
        return f"the storage of template {template}"
    return storage_place(view, storage, node)


def storage_place(view: ClusterView, storage: str, node: str) -> str:
    """Name a storage as what it is to all nodes, or to one: `ceph`, `local-lvm on pve1`."""
    shared = any(one.shared for one in view.storages if one.storage == storage)
    return storage if shared else f"{storage} on {node}"
