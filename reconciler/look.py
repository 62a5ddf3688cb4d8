"""One look at one cluster: what is seen there, and what each VM's plan comes to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from desired.source import Fleet
from desired.spec import VMSpec
from handlers.exists import outdated
from handlers.ha import HA
from handlers.handler import Handler
from handlers.marker import Marker, marker_tag, read_marker
from reconciler.adopt.watch import is_watched, waits
from reconciler.allocation.addresses import Addresses
from reconciler.allocation.addressing import has_all
from reconciler.allocation.allocate import Ground, Vmids, allocate, identified
from reconciler.allocation.capacity import Capacity
from reconciler.allocation.credentials import Resolve
from reconciler.allocation.sightings import sightings, strangers
from reconciler.allocation.terrain import Terrain
from reconciler.clock import Workers
from reconciler.drift import judging
from reconciler.effective import effective
from reconciler.endplan import decide_end
from reconciler.gating import Gating
from reconciler.guard import Gate, Guarded
from reconciler.holders import with_holders
from reconciler.plan import Judge, VMPlan, plan_vm
from reconciler.redo import redone
from reconciler.safeguard.decide import safeguarded
from reconciler.settled import Settled
from reconciler.sight import see
from reconciler.site import Site
from reconciler.spent import Spent
from reconciler.strays import copied, frozen
from reconciler.turn import Turn
from reconciler.verbs.restore import decide_restore
from reconciler.verbs.suspend import asked_of
from reconciler.verbs.taking import previewed, verb_notes
from state.change import Note
from state.machine import Machine
from state.memory import Memory, Phase
from state.observe import Reading
from state.observed import UNFINISHED, ClusterView, Presence, SeenVM
from state.store import Store

MOST_MISSED = 8
"""So many looks in a row that came to nothing are taken for a cluster that is down for this run."""


@dataclass(slots=True)
class SiteLook:
    """Observe once, then decide VM by VM, in order: what one is given the next cannot have."""

    site: Site
    fleet: Fleet
    store: Store
    handlers: Sequence[Handler]
    clock: Callable[[], datetime]
    resolve: Resolve
    addresses: Addresses
    spent: Spent
    first: bool
    dry: bool = False
    view: ClusterView = field(init=False)
    ground: Ground = field(init=False)
    gate: Gate = field(init=False)
    memories: Mapping[str, Memory] = field(init=False)
    settled: Settled = field(init=False)

    def observe(
        self,
        turns: Sequence[Turn],
        memories: Mapping[str, Memory],
        workers: Workers,
        out_of_time: Callable[[], bool],
    ) -> None:
        """Make the constant reads, and read those VMs that may have moved."""
        site = self.site
        self.memories = memories
        self.view = self._seen()
        bound = self.store.bindings.vmids(site.name)
        marked = self._strangers(bound)
        leases = self._leases(turns)
        others = marked | (strangers(self.view, bound) if leases else set())
        reading = self._reading(turns, others)
        machines = site.observer.machines(self.view, reading, workers, out_of_time)
        if leases:
            self.addresses.learn(site.name, sightings(self.store, self.view, machines))
        if self.first and not self.view.problem:
            found = self._marked(marked, machines)
            site.frozen = frozen([one for vmid, one in found if one.vmid == vmid])
            site.copies = tuple(
                copied(site.name, vmid, one) for vmid, one in found if one.vmid != vmid
            )
            site.neighbours.looked_at(site.name, site.frozen)
        used = bound | self.view.vms.keys()
        self.ground = Ground(
            fleet=self.fleet,
            store=self.store,
            view=self.view,
            machines=machines,
            terrain=self._terrain(turns, machines),
            addresses=self.addresses,
            vmids=Vmids(used, site.cluster.first_vmid, site.vmid_free),
            resolve=self.resolve,
            dry=self.dry,
        )
        self.gate = Gating(
            site, self.fleet, self.store, self.view, memories, machines, self.spent, self.dry
        ).gate(self.handlers)
        self.settled = Settled.of(self.store, self.view, machines, self.fleet.name, self.handlers)
        for turn in turns:
            binding = memories.get(turn.key, Memory()).binding
            turn.enter(binding.phase if binding else Phase.DEPLOY)

    def _seen(self) -> ClusterView:
        """Make the constant reads; what keeps all from being done is the view's problem."""
        site = self.site
        site.learn()
        problem = site.problem or site.neighbours.twin(site.name)
        if problem:
            view = ClusterView(site.name, self.clock(), problem=problem, passing=site.passing)
        else:
            view = site.observer.view(self.clock(), site.firewall, ha=self._uses_ha())
        site.missed, site.trouble = site.missed + 1 if view.problem else 0, view.problem or ""
        if not view.problem:
            return replace(view, release=site.release)
        passing = view.passing and site.missed < MOST_MISSED and not self.dry
        site.neighbours.out_of_reach(site.name)
        return replace(view, passing=passing)

    def _uses_ha(self) -> bool:
        """Whether a spec of this cluster speaks of HA, or did when its VM was put under it."""
        specs = (one for one in self.fleet.vms.values() if one.cluster == self.site.name)
        ours = (one.fingerprints.get(HA) for one in self.memories.values())
        return any(spec.ha for spec in specs) or any(ours)

    def _terrain(self, turns: Sequence[Turn], machines: Mapping[int, Machine]) -> Terrain:
        site, capacity = self.site, Capacity.of(self.view, self.fleet.placement)
        targets = self.store.placements.targets()
        for binding in self.store.bindings.deploying(site.name):
            spec = self.fleet.vms.get(binding.key)
            capacity.expect(self.view, binding, spec, targets.get(binding.key))
        if self._counts_members(turns):
            for key, binding in self.store.bindings.all().items():
                row, spec = self.view.vms.get(binding.vmid), self.fleet.vms.get(key)
                if spec and row and binding.cluster == site.name:
                    capacity.know(key, spec, targets.get(key) or row.node)
        return Terrain(
            self.view,
            machines,
            capacity,
            site.holdings,
            site.bridges,
            partial(site.image_nodes, self.view),
        )

    def _counts_members(self, turns: Sequence[Turn]) -> bool:
        """Whether it matters which VMs of the fleet are where: one is placed, or kept apart."""
        bound = {key for key, memory in self.memories.items() if memory.binding}
        return any(one.key not in bound or one.spec.anti_affinity for one in turns)

    def _reading(self, turns: Sequence[Turn], strangers: set[int]) -> Reading:
        vmids: set[int] = set()
        others, firewalls = set(strangers), set()
        for turn in turns:
            binding = self.memories.get(turn.key, Memory()).binding
            if binding is None or binding.uuid is None or binding.vmid not in self.view.vms:
                copies = self.fleet.templates.get(turn.spec.template or "", {})
                others.update(copies.get(turn.spec.cluster, ()))
            if binding is None or binding.cluster != self.site.name:
                continue
            row = self.view.vms.get(binding.vmid)
            if row is not None and row.lock not in UNFINISHED:
                vmids.add(binding.vmid)
                if turn.spec.firewall is not None:
                    firewalls.add(binding.vmid)
        return Reading(vmids, others, firewalls, self.site.rotation if self.first else 0)

    def _leases(self, turns: Sequence[Turn]) -> bool:
        """Whether addresses may be leased here by this look, and what is in use is not known."""
        if self.view.problem or self.site.name in self.addresses.learned:
            return False
        held = {turn.key: self.memories.get(turn.key, Memory()).leases for turn in turns}
        return not all(has_all(turn.spec, held[turn.key], self.fleet) for turn in turns)

    def _strangers(self, bound: set[int]) -> set[int]:
        """VMs that bear the fleet's tag, but that the store does not know."""
        if not self.first:
            return set()
        tag = marker_tag(self.fleet.name)
        return {row.vmid for row in self.view.vms.values() if tag in row.tags} - bound

    def _marked(
        self, strangers: set[int], machines: Mapping[int, Machine]
    ) -> list[tuple[int, Marker]]:
        """Those strangers that bear our marker, each by its vmid.

        With its own vmid in the marker the store has lost the VM; with another one it is a copy
        that somebody made.
        """
        forgotten = self.store.bindings.forgotten_vmids(self.site.name)
        found = []
        for vmid in sorted(strangers - forgotten):
            config = machines.get(vmid, Machine()).config
            marker = read_marker(config.live.description) if config else None
            if marker and marker.fleet == self.fleet.name:
                found.append((vmid, marker))
        return found

    def is_settled(self, turn: Turn) -> bool:
        """Whether to decide on this VM again would come to nothing."""
        memory = self.memories.get(turn.key, Memory())
        return waits(turn.spec, memory) is not None or self.settled.knows(turn.spec, memory)

    def standing_note(self, turn: Turn) -> Note | None:
        """What is to be said of a VM that is settled."""
        memory = self.memories.get(turn.key, Memory())
        return waits(turn.spec, memory) or outdated(turn.spec, memory.binding)

    def decide(self, turn: Turn) -> Guarded:
        """Allocate, plan and guard one VM."""
        memory = self.memories.get(turn.key, Memory())
        spec = turn.spec
        if self.dry:
            memory = previewed(spec, memory, self.store, self.view.at)
            spec = effective(spec, memory)
        found = self._decided(asked_of(spec, memory), memory)
        found = replace(found, notes=(*found.notes, *verb_notes(turn.key, memory)))
        if not self.dry:
            self.spent.keep_drain(self.store)
        binding = found.plan.seen.memory.binding
        turn.enter(binding.phase if binding else Phase.DEPLOY)
        self.settled.note(turn.spec, memory, found)
        return found

    def _decided(self, spec: VMSpec, memory: Memory) -> Guarded:
        seen = see(
            spec.key,
            memory,
            self.view,
            self.ground.machines,
            self.site.vmid_free,
            self.store.id,
            self.fleet.name,
        )
        if seen.reason:
            return self.gate.check(plan_vm(spec, seen, self.handlers))
        if stranger := waits(spec, memory):
            return self.gate.check(
                VMPlan(replace(seen, presence=Presence.PRESENT), notes=(stranger,))
            )
        restoring = decide_restore(spec, seen, self.gate)
        if restoring is not None:
            return restoring
        if spec.state == "absent":
            seen = identified(seen, self.ground)
            return decide_end(spec, seen, self.store, self.site, self.gate, dry=self.dry)
        wait = self._waits(spec, seen)
        if wait:
            return self.gate.check(VMPlan(seen, notes=(wait,)))
        # What it waited for may have been found since this look began.
        self.ground.frozen = self.site.neighbours.frozen(self.site.name)
        given = allocate(spec, seen, self.ground)
        if given.notes and given.seen.presence is Presence.ABSENT:
            return self.gate.check(VMPlan(given.seen, notes=given.notes))
        there = with_holders(self.site.api, spec, given.seen)
        plan = plan_vm(spec, there, self.handlers, self._judge())
        plan = replace(plan, notes=(*given.notes, *plan.notes))
        if is_watched(spec, "default"):
            spec = spec.model_copy(update={"guard": None})
        else:
            plan = redone(spec, plan)
        return safeguarded(
            spec, plan, self.gate, lambda one: self.gate.check(one, spec.windows, spec)
        )

    def _waits(self, spec: VMSpec, seen: SeenVM) -> Note | None:
        """What is yet to be leased waits for the clusters that share the pools.

        They are looked at first, and may turn out to be this very cluster.
        """
        twin = self.site.neighbours.twin(self.site.name)
        if twin:
            return Note(seen.key, "allocate", "vm", twin, blocking=True)
        why = self.site.neighbours.waits_for(self.site.name)
        if why is None:
            return None
        if has_all(spec, seen.memory.leases, self.fleet):
            return None
        return Note(seen.key, "allocate", "vm", why, blocking=True)

    def _judge(self) -> Judge:
        return judging(self.store, self.site.observer.fresh_traces)
