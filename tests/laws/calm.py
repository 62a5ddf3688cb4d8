"""What a fleet comes to once nobody disturbs it any more."""

from reconciler.sim.vm.machine import Machine
from state.memory import Memory, Phase
from tests.laws.fleets import Spec
from tests.laws.turmoil import Turmoil, addresses_of, uuid_of

RUNS = 30
SOON, LATER = 0.1, 40.0
"""Hours; the latter is longer than anything in the turmoil waits for."""


def calm(turmoil: Turmoil) -> None:
    """The noise is over: runs come by, a person approves what asks for it, and all comes to rest.

    As the specs say, or standing still with a condition that says why; then nothing is written.
    """
    turmoil.heal()
    turmoil.source = ""
    turmoil.specs = sensible(turmoil.specs)
    turmoil.write()
    pause = SOON
    for _ in range(RUNS):
        before = turmoil.remembered()
        moved = turmoil.run(pause) or turmoil.remembered() != before
        if turmoil.is_asked():
            moved = turmoil.approve() or moved
        if pause == LATER and not moved:
            break
        pause = SOON if moved else LATER
    else:
        writes = turmoil.lab.wire.writes(turmoil.lab.wire.run)
        raise AssertionError(f"it never comes to rest: {[str(one) for one in writes]}")
    with turmoil.lab.store() as store:
        told = store.conditions.all()
        why = {key: {c.type for c in own if c.status} - {"Ready"} for key, own in told.items()}
        memories = store.memories({*store.bindings.all(), *turmoil.specs})
    ours = turmoil.ours()
    for key, spec in turmoil.specs.items():
        if not why.get(key):
            as_written(key, spec, memories[key], ours)
    for uuid, machine in ours.items():
        owner = [key for key, one in memories.items() if one.binding and one.binding.uuid == uuid]
        assert owner, f"vm {machine.vmid} is nobody's"
        assert owner[0] in turmoil.specs or why.get(owner[0]), f"{owner[0]}: no word of it"


def sensible(specs: dict[str, Spec]) -> dict[str, Spec]:
    """The specs without a `was` that another one contradicts."""
    found, claimed = dict[str, Spec](), {*specs}
    for key, spec in specs.items():
        was = spec.get("was")
        found[key] = {
            name: one for name, one in spec.items() if name != "was" or was not in claimed
        }
        claimed |= {str(was)} if was else set()
    return found


def as_written(key: str, spec: Spec, memory: Memory, ours: dict[str, Machine]) -> None:
    """One VM that has no condition is as its spec says."""
    binding = memory.binding
    machine = ours.get(binding.uuid or "") if binding else None
    if spec.get("state") == "absent" or (binding is None and "removed" in memory.intents):
        assert machine is None, f"{key} is to be absent, and is there"
        return
    assert binding is not None and machine is not None, f"{key} is not there, without a word"
    assert binding.phase is Phase.READY, f"{key} is {binding.phase}, without a word"
    assert machine.status == "running", f"{key} is {machine.status}, without a word"
    memory_wanted = {"1GiB": "1024", "2GiB": "2048"}[spec["memory"]]
    assert machine.config["memory"] == memory_wanted, f"{key} has another memory than is wanted"
    leased = {lease.address for lease in memory.leases}
    assert set(addresses_of(machine)) == leased, f"{key} ({uuid_of(machine)}) has not its addresses"
