"""What the store knows of each VM, put together for `status` and `why`; asks no cluster."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from desired.source import Fleet
from desired.spec import VMSpec
from handlers.waiting import RESTART
from reconciler.adopt.watch import waits
from reconciler.behaviour import is_skipped
from reconciler.effective import is_removed
from reconciler.failure import Failure, last_failure
from reconciler.pipeline import CHANGE, DEPLOY
from reconciler.show.text import count_of, show_duration, show_when
from state.conditions import Condition
from state.journal import VMRun
from state.memory import Memory, Phase
from state.store import Store

LATEST = 10
"""So many runs are searched for the last failure."""

READY = "Ready"
"""The condition that every VM has; it is shown as what comes next, not beside the others."""

WAITING = (
    "ApprovalNeeded",
    "RolloutAborted",
    "RolloutPaused",
    "RolloutWaiting",
    "RestartRequired",
    "Drifted",
)
"""Conditions of a VM that is as it should be for now; they say what is still to come."""


@dataclass(frozen=True, slots=True)
class VMStatus:
    """One VM as last seen. `next` says in words what will happen; `error` is what failed last, with
    its step and time in `failure`, until something succeeds.
    """

    key: str
    phase: str
    state: str
    next: str = ""
    error: str = ""
    cluster: str = ""
    node: str = ""
    vmid: int | None = None
    name: str = ""
    addresses: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    failure: Failure | None = None


def fleet_status(fleet: Fleet, store: Store, at: datetime) -> tuple[VMStatus, ...]:
    """Return every VM that the fleet names or the store still holds, in natural order."""
    memories = store.memories()
    conditions = store.conditions.all()
    held = {key for key, memory in memories.items() if memory.binding and _stands(memory)}
    keys = sorted({*fleet.vms, *fleet.broken, *held}, key=natural)
    return tuple(
        vm_status(
            key,
            fleet,
            memories.get(key, Memory()),
            conditions.get(key, ()),
            _last_runs(store, key, memories.get(key, Memory())),
            at,
        )
        for key in keys
    )


def _stands(memory: Memory) -> bool:
    return memory.binding is not None and memory.binding.phase is not Phase.REMOVED


def _last_runs(store: Store, key: str, memory: Memory) -> Sequence[VMRun]:
    """Return the last runs of a VM that is not at rest; a quiet VM's are not worth a query."""
    if memory.binding is None or (memory.binding.phase is Phase.READY and not memory.attempts):
        return ()
    return store.journal.vm_runs(key, limit=LATEST)


def vm_status(
    key: str,
    fleet: Fleet,
    memory: Memory,
    conditions: Iterable[Condition],
    runs: Sequence[VMRun],
    at: datetime,
) -> VMStatus:
    """Put one VM's status together; its runs come newest first."""
    standing = tuple(sorted(conditions, key=lambda condition: condition.type))
    binding, spec = memory.binding, fleet.vms.get(key)
    phase, state = phase_of(spec, memory), derived_state(memory, runs[0] if runs else None)
    state = phase if phase == Phase.REMOVED else state
    failure = last_failure(runs, memory)
    return VMStatus(
        key=key,
        phase=phase,
        state=state,
        next=next_words(key, fleet, memory, standing, state, at),
        error=failure.message if failure else "",
        cluster=binding.cluster if binding else _cluster_of(spec),
        node=(binding.node or "") if binding else "",
        vmid=binding.vmid if binding else None,
        name=binding.name if binding else (spec.name if spec else ""),
        addresses=tuple(lease.address for lease in memory.leases),
        conditions=tuple(condition for condition in standing if condition.type != READY),
        failure=failure,
    )


def phase_of(spec: VMSpec | None, memory: Memory) -> str:
    """Return the phase in a word; `new` of a VM that has no machine yet."""
    if memory.binding is not None:
        return str(memory.binding.phase)
    absent = spec is not None and spec.state == "absent"
    return str(Phase.REMOVED) if absent or is_removed(memory) else "new"


def _cluster_of(spec: VMSpec | None) -> str:
    return spec.cluster if spec else ""


def derived_state(memory: Memory, last: VMRun | None) -> str:
    """Return the pipeline state as the last run left it."""
    if memory.binding is None:
        return DEPLOY.names[0]
    if memory.binding.phase in (Phase.READY, Phase.DEPLOY, Phase.CHANGE):
        if last is not None:
            return last.state_after
        return "ready" if memory.binding.phase is Phase.READY else DEPLOY.names[0]
    return str(memory.binding.phase)


def next_words(
    key: str,
    fleet: Fleet,
    memory: Memory,
    conditions: Sequence[Condition],
    state: str,
    at: datetime,
) -> str:
    """Say what will happen next, or what it waits for; empty when nothing is to be done."""
    if key in fleet.broken:
        return "its spec is broken: reconcile validate"
    if key not in fleet.vms:
        said = (one.message for one in conditions if one.type == "Unmanaged")
        return next(said, "no spec names it any more: `reconcile orphans` says what becomes of it")
    if memory.binding is None and phase_of(fleet.vms[key], memory) == Phase.REMOVED:
        asks = fleet.vms[key].state == "present"
        again = f"`reconcile terminate {key} --cancel` has it made anew"
        return f"ended as asked: {again}" if asks else ""
    if is_skipped(state):
        return f"{state}: left alone until a person has looked"
    if memory.hold and (memory.hold.until is None or memory.hold.until > at):
        until = f" until {show_when(memory.hold.until)}" if memory.hold.until else ""
        return f"held{until}: {memory.hold.why}"
    if strange := waits(fleet.vms[key], memory):
        return strange.reason
    if memory.task:
        waited = show_duration((at - memory.task.started_at).total_seconds())
        return f"waits for {memory.task.handler} (its task runs since {waited})"
    later = [attempt for attempt in memory.attempts.values() if attempt.not_before > at]
    if later:
        first = min(later, key=lambda attempt: attempt.not_before)
        when = show_when(first.not_before)
        return f"tries {first.handler} again at {when} (failed {count_of(first.count, 'time')})"
    paused = [c.message for c in conditions if c.type == READY and not c.status and c.message]
    if paused:
        return f"waits: {paused[0]}"
    label = DEPLOY.next_label(state) or CHANGE.next_label(state)
    if label:
        return label
    found = {c.type: c.message for c in conditions if c.type in WAITING and c.status}
    words = next((found[one] for one in WAITING if one in found), "")
    asked = RESTART in memory.intents and words and words == found.get("RestartRequired")
    return f"the next run restarts it, as asked: {words}" if asked else words


def natural(key: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which `cache/2` comes before `cache/10`."""
    parts = re.split(r"(\d+)", key)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)


def totals(vms: Iterable[VMStatus]) -> Mapping[str, int]:
    """Count VMs by phase, the most frequent first; what is not known counts as nothing else."""
    counts: dict[str, int] = {}
    for vm in vms:
        types = {condition.type for condition in vm.conditions}
        word = next((one for one in ("Unknown", "Unmanaged") if one in types), vm.phase).lower()
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
