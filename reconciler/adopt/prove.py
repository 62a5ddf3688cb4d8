"""The proof that a spec asks for nothing: the engine's own plan of it, but for our marks."""

from dataclasses import replace

from desired.source import Fleet
from desired.spec import VMSpec
from reconciler.adopt.found import Candidate
from reconciler.allocation.addressing import wanted_slots
from reconciler.drift import marks_only
from reconciler.plan import VMPlan, plan_vm
from reconciler.registry import vm_handlers
from reconciler.show.text import show_change
from reconciler.sight import see
from state.memory import Binding, Lease, Memory, Phase
from state.observed import SeenVM
from state.store import Store


def binding_of(candidate: Candidate, key: str, spec: VMSpec | None = None) -> Binding:
    """Return what binds a key to the machine as it is: ready, and of no template that we know."""
    assert candidate.machine.config is not None
    cluster, vmid = candidate.place
    return Binding(
        key=key,
        cluster=cluster,
        vmid=vmid,
        name=spec.name if spec else candidate.name,
        name_template=spec.name_template if spec else "",
        uuid=candidate.machine.config.live.uuid,
        phase=Phase.READY,
        node=candidate.row.node,
        created_at=candidate.view.at,
        ready_at=candidate.view.at,
    )


def seen_as(
    candidate: Candidate, binding: Binding, leases: tuple[Lease, ...], store: Store, fleet: Fleet
) -> SeenVM:
    """Return what a diff would see of the VM if it were bound so."""
    memory = Memory(binding, leases)
    machines = {candidate.row.vmid: candidate.machine}
    return see(
        binding.key,
        memory,
        candidate.view,
        machines,
        lambda vmid: False,
        store.id,
        fleet.name,
    )


def plan_of(
    spec: VMSpec, candidate: Candidate, leases: tuple[Lease, ...], store: Store, fleet: Fleet
) -> VMPlan:
    """Return the plan of the VM under its spec, without the marks that adoption gives it."""
    seen = seen_as(candidate, binding_of(candidate, spec.key, spec), leases, store, fleet)
    plan = plan_vm(spec, seen, vm_handlers())
    return replace(plan, changes=tuple(one for one in plan.changes if not marks_only(seen, one)))


def differs(spec: VMSpec, plan: VMPlan) -> str:
    """Say what a plan would change, or what it waits for; empty when it asks for nothing."""
    told = [f"{change.handler} {': '.join(show_change(change))}" for change in plan.changes]
    told += [f"{note.field}: {note.reason}" for note in plan.notes if note.blocking]
    held = {(one.nic, one.family, one.ordinal) for one in plan.seen.memory.leases}
    wanted = [slot for slot in wanted_slots(spec) if slot[:3] not in held]
    told += [f"{nic} {family}: an address of {pool} is wanted" for nic, family, _, pool in wanted]
    return "; ".join(told)


def taken_by(leases: tuple[Lease, ...], store: Store) -> str:
    """Say which of the addresses is leased to another VM; empty when none is."""
    held = {one.address: one.key for mine in store.leases.all().values() for one in mine}
    clashes = [one for one in leases if held.get(one.address, one.key) != one.key]
    return "; ".join(f"{one.address} is leased to {held[one.address]}" for one in clashes)
