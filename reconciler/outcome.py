"""What a tick left behind of each VM: its result, and its conditions (Kubernetes-style)."""

from collections.abc import Mapping
from datetime import datetime

from desired.source import Fleet
from handlers.handler import why as split_condition
from reconciler.orphans.orphan import Orphan
from reconciler.turn import Standing, Turn
from state.conditions import Condition
from state.memory import Phase
from state.observed import SeenVM
from state.store import Store

READY = "Ready"


def results_of(turns: Mapping[str, Turn]) -> dict[str, str]:
    """Return `ready`, `waiting` or `error` by key; an edit that is kept back is waited for.

    A VM that is ready, but to which something beside was refused (its tags, its pool), is an error.
    """
    return {key: _result(turn) for key, turn in turns.items()}


def _result(turn: Turn) -> str:
    refused = any(note.condition == "BackOff" for note in turn.last.notes) if turn.last else False
    if turn.standing is Standing.FAILED or refused:
        return "error"
    whole = turn.standing is Standing.READY and turn.kept_back is None
    return "ready" if whole else "waiting"


def conditions_of(
    fleet: Fleet,
    store: Store,
    turns: Mapping[str, Turn],
    orphans: Mapping[str, Orphan],
    at: datetime,
) -> dict[str, list[Condition]]:
    """Return all conditions of the VMs that were looked at, and of those without a spec."""
    found = {key: _conditions(turn, at) for key, turn in turns.items()}
    bound = store.bindings.names() if orphans else {}
    for key, one in orphans.items():
        if key in bound and (key in fleet.pruned or not fleet.knows(key)):
            unmanaged = Condition(key, "Unmanaged", True, "NoSpec", one.told, at)
            found[key] = [*found.get(key, ()), unmanaged]
    return found


def _conditions(turn: Turn, at: datetime) -> list[Condition]:
    if turn.phase is Phase.REMOVED:
        return []
    ready = turn.standing is Standing.READY
    reason = "Settled" if ready else turn.standing.value.capitalize()
    conditions = {READY: Condition(turn.key, READY, ready, reason, turn.why, at)}
    aside = (turn.aside,) if turn.aside else ()
    for note in turn.last.notes if turn.last else aside:
        if note.condition:
            name, status = split_condition(note.condition)
            conditions.setdefault(
                name, Condition(turn.key, name, status, note.handler, note.reason, at)
            )
    if turn.kept_back:
        name, text = turn.kept_back
        conditions[name] = Condition(turn.key, name, True, "rollout", text, at)
    return list(conditions.values())


def addresses(seen: SeenVM) -> tuple[str, ...]:
    """Return the VM's leased addresses, in the order of its nics."""
    return tuple(lease.address for lease in seen.memory.leases)
