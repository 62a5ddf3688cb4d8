"""Allocate what a VM needs before it can be compared: vmid, node, name, addresses, secrets.

Sequential, in short transactions, each kept before anything is asked of Proxmox. A dry run only
previews. Nothing is taken back here: addresses are freed when nothing uses them any more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from desired.source import Fleet
from desired.spec import VMSpec
from handlers.marker import read_marker
from reconciler.allocation.addresses import Addresses
from reconciler.allocation.addressing import lease_addresses, still_used
from reconciler.allocation.arriving import with_place
from reconciler.allocation.credentials import Resolve, with_credentials
from reconciler.allocation.placing import Placed, place, still_placed
from reconciler.allocation.problem import problem
from reconciler.allocation.terrain import Terrain
from reconciler.notices.accept import accepted
from state.change import Note
from state.machine import Machine
from state.memory import Binding, Memory
from state.observed import UNFINISHED, ClusterView, Presence, SeenVM
from state.store import Store, Taken


@dataclass(slots=True)
class Vmids:
    """The next free vmid of a cluster: unique in the store and in Proxmox (DEP-12).

    `is_free` asks `GET /cluster/nextid?vmid=`, which also knows VMs that our token cannot see.
    """

    used: set[int]
    next: int
    is_free: Callable[[int], bool]

    def take(self) -> int:
        while self.next in self.used or not self.is_free(self.next):
            self.used.add(self.next)
            self.next += 1
        self.used.add(self.next)
        return self.next


@dataclass(slots=True)
class Ground:
    """What allocation draws on in one look of one cluster.

    `frozen` says why nothing may be created or leased (a lost store); `machines` holds the
    templates' configs beside the VMs' own; `terrain` is what places are chosen on.
    """

    fleet: Fleet
    store: Store
    view: ClusterView
    machines: Mapping[int, Machine]
    terrain: Terrain
    addresses: Addresses
    vmids: Vmids
    resolve: Resolve
    dry: bool = False
    frozen: str | None = None


@dataclass(frozen=True, slots=True)
class Allocated:
    """`seen` with everything that allocation gave; the notes say what it could not give."""

    seen: SeenVM
    notes: tuple[Note, ...] = field(default=())


def allocate(spec: VMSpec, seen: SeenVM, ground: Ground) -> Allocated:
    """Give one VM what it lacks; a VM that has everything costs nothing here."""
    binding = seen.memory.binding
    if binding is None or _replaceable(seen):
        answer = _bind(spec, seen, ground)
        if isinstance(answer, Note):
            return Allocated(replace(seen, presence=Presence.ABSENT), (answer,))
        seen = answer
    elif binding.name != spec.name or binding.name_template != spec.name_template:
        seen = _rebound(seen, ground, name=spec.name, name_template=spec.name_template)
    seen = _located(identified(seen, ground), ground)
    seen = with_place(spec, seen, ground.terrain, None if ground.dry else ground.store)
    leases, notes = lease_addresses(
        spec,
        seen.memory.leases,
        ground.fleet,
        ground.addresses,
        None if ground.dry else ground.store,
        ground.frozen,
    )
    seen = replace(seen, memory=replace(seen.memory, leases=still_used(leases, seen)))
    seen = with_credentials(spec, seen, ground.store, ground.resolve, ground.dry)
    return Allocated(seen, tuple(notes))


def _replaceable(seen: SeenVM) -> bool:
    """Whether the VM is to be made (again), so that its place is chosen anew.

    That is so while nothing was cloned, when the machine is surely gone, and when somebody else
    took the vmid first.
    """
    binding = seen.memory.binding
    if binding is None or seen.memory.task is not None:
        return False
    if seen.presence is Presence.ABSENT:
        return True
    return binding.uuid is None and _somebody_elses(seen, binding)


def _somebody_elses(seen: SeenVM, binding: Binding) -> bool:
    if seen.row is None or seen.row.lock or seen.config is None:
        return False
    marker = read_marker(seen.config.live.description)
    return marker is None or marker.store != seen.store or marker.vmid != binding.vmid


def _bind(spec: VMSpec, seen: SeenVM, ground: Ground) -> SeenVM | Note:
    if ground.frozen:
        return problem(spec, "vm", "StoreIncomplete", ground.frozen)
    if spec.template is None:
        reason = "no template: a new VM needs one; set template: in the VM, its package or defaults"
        if spec.adopt is not None:
            reason = f"vm {spec.adopt}, which was adopted, is gone: set template: for another one"
        return problem(spec, "template", "TemplateMissing", reason)
    old = seen.memory.binding
    # Where a machine was that is gone a clone may not be able to land: it may have moved there.
    waits = old is not None and old.uuid is None
    placed = _placed(spec, spec.template, seen if waits else None, ground)
    if isinstance(placed, Note):
        return placed
    ground.terrain.capacity.place(spec, placed.end, placed.needs)
    keeps = old is not None and seen.presence is Presence.ABSENT
    if old is not None and "exists" in seen.memory.attempts:
        keeps = keeps and ground.vmids.is_free(old.vmid)
    vmid = old.vmid if old is not None and keeps else ground.vmids.take()
    binding = _binding(spec, seen, placed, vmid)
    if placed.placing.choice is not None and not ground.dry:
        # Before the binding: a VM that is bound is placed, whenever we are killed.
        ground.store.placements.put(spec.key, placed.placing, seen.at)
    if binding != old and not ground.dry:
        binding = _keep(binding, old, ground)
    memory = replace(seen.memory, binding=binding, placing=placed.placing)
    return replace(seen, memory=memory, presence=Presence.ABSENT, row=None, config=None, reason="")


def _placed(spec: VMSpec, alias: str, waiting: SeenVM | None, ground: Ground) -> Placed | Note:
    """The place chosen before while it still holds, else a new one; by template, or by image."""
    fleet = ground.fleet
    copies = fleet.templates.get(alias, {}).get(spec.cluster, ())
    images = () if copies else fleet.images.get(alias, {}).get(spec.cluster, ())
    memory = waiting.memory if waiting else Memory()
    if memory.binding is not None:
        kept = still_placed(
            spec, memory.binding, memory.placing, (*copies, *images), ground.terrain
        )
        if kept is not None:
            return kept
    return place(spec, (*copies, *images), ground.terrain)


def _binding(spec: VMSpec, seen: SeenVM, placed: Placed, vmid: int) -> Binding:
    old = seen.memory.binding
    binding = Binding(
        key=spec.key,
        cluster=spec.cluster,
        vmid=vmid,
        name=spec.name,
        name_template=spec.name_template,
        template=placed.template,
        template_node=placed.template_node,
        node=placed.node,
        storage=placed.storage,
        clone=spec.clone,
        image=placed.image,
        created_at=old.created_at if old else seen.at,
    )
    if old is None or old.uuid is None or seen.presence is not Presence.ABSENT:
        return binding
    # It was there and is gone: that is remembered until its new clone is sent, which a person
    # has to approve.
    return replace(binding, uuid=old.uuid, phase=old.phase, ready_at=old.ready_at)


def _keep(binding: Binding, old: Binding | None, ground: Ground) -> Binding:
    """Commit the binding, under the next vmid while another key has this one."""
    bindings = ground.store.bindings
    while True:
        try:
            if old is None:
                bindings.bind(binding, event=accepted(ground.fleet, binding))
            else:
                bindings.change(binding)
            return binding
        except Taken:
            if binding.vmid not in bindings.vmids(binding.cluster):
                raise
            binding = replace(binding, vmid=ground.vmids.take())


def identified(seen: SeenVM, ground: Ground) -> SeenVM:
    """Keep the machine's uuid when it is first seen unlocked and bears our marker."""
    binding = seen.memory.binding
    if binding is None or binding.uuid is not None or seen.config is None or not seen.row:
        return seen
    uuid = seen.config.live.uuid
    if seen.row.lock in UNFINISHED or uuid is None or _somebody_elses(seen, binding):
        return seen
    return _rebound(seen, ground, uuid=uuid)


def _located(seen: SeenVM, ground: Ground) -> SeenVM:
    """Remember the node that the machine is seen on: it is observed, never identity."""
    binding, row = seen.memory.binding, seen.row
    if binding is None or binding.uuid is None or row is None:
        return seen
    if binding.node in (None, row.node):
        return seen
    return _rebound(seen, ground, node=row.node)


def _rebound(seen: SeenVM, ground: Ground, **changes: str | None) -> SeenVM:
    assert seen.memory.binding is not None
    binding = replace(seen.memory.binding, **changes)  # type: ignore[arg-type]
    if not ground.dry:
        ground.store.bindings.change(binding)
    return replace(seen, memory=replace(seen.memory, binding=binding))
