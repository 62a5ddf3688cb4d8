"""Setting a VM's state by hand: a state means that it is done, and what follows is made (C-13)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from desired.spec import VMSpec
from handlers.wishes import REDEPLOY, REINSTALL, RESET
from reconciler.aftermath import abandon, ask_end
from reconciler.ending import DELETE
from reconciler.pipeline import CHANGE, DEPLOY
from reconciler.redo import INSTEAD, REDO
from reconciler.verbs.asking import Refused
from state.memory import Intent, Memory, Phase
from state.observed import SeenVM
from state.store import Store
from state.verbs import Wish

MADE_ANEW = {"creation": REDEPLOY, "set_ip": REINSTALL}
"""The states before there is a machine: one that is there ends for them."""

LEFT = "left"
"""The steps of a reset that are still to be made, by state."""

TARGETS = (*DEPLOY.names, *CHANGE.names[:-1], "terminate", "remove", "set_dns_records")


@dataclass(frozen=True, slots=True)
class Reset:
    """What a reset to a state comes to: another verb, a phase, or steps that are made again."""

    state: str
    verb: str = ""
    phase: Phase | None = None
    steps: tuple[str, ...] = ()
    next: str = ""


def reset_to(state: str, memory: Memory) -> Reset:
    """Say what will run next. Raises Refused for an unknown state, or one that says nothing."""
    binding = memory.binding
    if state not in TARGETS:
        raise Refused(f"no state {state!r}; the states are {', '.join(TARGETS)}")
    if state == "set_dns_records":
        raise Refused("records belong to zones: reconcile dns resync writes them anew")
    if binding is None:
        raise Refused("there is no machine of it yet: the next run goes on with it by itself")
    if state in MADE_ANEW:
        verb = MADE_ANEW[state]
        return Reset(state, verb, next=f"the machine is destroyed and made anew ({verb})")
    if state == "terminate":
        return Reset(
            state, phase=Phase.TERMINATE, next="the VM is destroyed (DELETE is tried again)"
        )
    if state == "remove":
        text = "nothing: the record is closed, its addresses are kept until reconcile forget"
        return Reset(state, phase=Phase.ABANDONED, next=text)
    if state == "ready":
        return Reset(state, phase=Phase.READY, next="nothing but what differs from its spec")
    steps = _behind(state)
    return Reset(state, steps=steps, next=", ".join(steps) or "nothing")


def _behind(state: str) -> tuple[str, ...]:
    """The steps behind a state that can be made once more, in order."""
    row = DEPLOY if state in DEPLOY.names else CHANGE
    names = row.names[row.names.index(state) + 1 :]
    return tuple(name for name in names if name not in INSTEAD and name != "ready")


def carry_reset(
    store: Store, spec: VMSpec | None, memory: Memory, reset: Reset, wish: Wish, at: datetime
) -> None:
    """Set the state: what failed is forgotten, and the next run goes on from there."""
    binding = memory.binding
    assert binding is not None
    key = binding.key
    store.attempts.clear_all(key)
    store.cache.mark_dirty(binding.cluster, binding.vmid, at, firewall=True)
    if reset.phase is Phase.ABANDONED:
        abandon(store, key, wish.by, at)
    elif reset.phase is not None:
        # What an end that failed left behind would be found to have failed once more.
        store.intents.drop(key, DELETE)
        if reset.phase is Phase.TERMINATE and spec is not None and spec.state == "present":
            ask_end(store, key, wish.by, wish.token, at)
        _withdraw(store, memory, wish, at)
        store.bindings.change(replace(binding, phase=reset.phase, ready_at=binding.ready_at or at))
    if reset.steps:
        if binding.phase not in (Phase.READY, Phase.CHANGE):
            ready = replace(binding, phase=Phase.CHANGE, ready_at=binding.ready_at or at)
            store.bindings.change(ready)
        store.verbs.ask(replace(wish, params={LEFT: list(reset.steps)}))
    else:
        store.verbs.record(wish, "done", f"set to {reset.state}", at)


def _withdraw(store: Store, memory: Memory, wish: Wish, at: datetime) -> None:
    """An end that was asked for is over with `ready`; it stays asked for with `terminate`."""
    from_open = memory.intents.get("do.terminate")
    if from_open is not None and wish.text("state") == "ready":
        store.intents.drop(from_open.key, from_open.kind)


def next_step(store: Store, seen: SeenVM, wish: Wish) -> str:
    """Ask for the next step of a reset once the one before is made; one in each run."""
    if wish.verb != RESET or REDO in seen.memory.intents:
        return ""
    left = wish.params.get(LEFT)
    steps: Sequence[object] = left if isinstance(left, list) else ()
    if not steps:
        store.verbs.end(wish, "done", "every step was made", seen.at)
        return "reset: every step was made"
    store.verbs.keep(replace(wish, params={**wish.params, LEFT: [str(one) for one in steps[1:]]}))
    store.intents.put(Intent(seen.key, REDO, seen.at, 0, str(steps[0])))
    return f"reset: {steps[0]} is made again"
