"""A VM that is suspended: off and kept off, nothing deleted; and how it comes back (SUS-01)."""

from dataclasses import replace
from datetime import datetime

from desired.spec import VMSpec
from handlers.effects import running, wanted
from handlers.safeguard import GUARD
from handlers.wishes import DONE, RESUME, SUSPEND, WAS, wish_of
from reconciler.verbs.restore import laid_over
from state.api import Json
from state.memory import Memory, Phase
from state.observed import Presence, SeenVM
from state.outbox import Event
from state.store import Store
from state.verbs import Wish

BOTH = (SUSPEND, RESUME)
LEAVES = (Phase.DEPLOY, Phase.READY, Phase.CHANGE)
"""The phases out of which a VM is suspended."""


def asked_of(spec: VMSpec, memory: Memory) -> VMSpec:
    """The spec with what was asked of the VM laid over it. Pure."""
    if spec.state == "absent":
        return spec
    spec = laid_over(spec, memory)
    if wish_of(memory, SUSPEND):
        return _off(spec, memory)
    resume = wish_of(memory, RESUME)
    return _as_before(spec, resume) if resume else spec


def _off(spec: VMSpec, memory: Memory) -> VMSpec:
    """Off, not started with its node, and nothing for the HA manager to keep running."""
    laid: dict[str, object] = {"power": "stopped", "onboot": False}
    if spec.ha is not None and spec.ha.state != "ignored":
        laid["ha"] = spec.ha.model_copy(update={"state": "disabled"})
    if GUARD not in memory.intents:
        laid["guard"] = None
    return spec.model_copy(update=laid)


def _as_before(spec: VMSpec, resume: Wish) -> VMSpec:
    """What the spec leaves open is put back as it was before."""
    was, laid = resume.params.get(WAS), dict[str, object]()
    if isinstance(was, dict):
        if spec.onboot is None:
            laid["onboot"] = was.get("onboot") is True
        if spec.power == "unmanaged" and was.get("running") is True:
            laid["power"] = "running"
    return spec.model_copy(update=laid)


def remembered(store: Store, seen: SeenVM) -> None:
    """Keep how the VM was before the first write that suspends it."""
    wish = wish_of(seen.memory, SUSPEND)
    if wish is None or WAS in wish.params:
        return
    if seen.presence is not Presence.PRESENT or seen.config is None:
        return
    was: dict[str, Json] = {
        "onboot": bool(wanted(seen).boolean("onboot", False)),
        "running": running(seen),
    }
    store.verbs.keep(replace(wish, params={**wish.params, WAS: was}))


def at_rest(store: Store, seen: SeenVM, at: datetime) -> None:
    """Nothing differs any more: a VM that was to be suspended is, one that was to come back has.

    The phase goes first, with its event: whoever comes after a crash ends the verb.
    """
    phase = seen.memory.binding.phase if seen.memory.binding else None
    if phase is not Phase.SUSPENDED and not any(wish_of(seen.memory, one) for one in BOTH):
        return
    memory = store.memories([seen.key])[seen.key]
    binding, suspend, resume = memory.binding, wish_of(memory, SUSPEND), wish_of(memory, RESUME)
    if binding is None:
        return
    if suspend is not None:
        if binding.phase in LEAVES:
            store.bindings.change(replace(binding, phase=Phase.SUSPENDED))
        if DONE not in suspend.params:
            done = replace(suspend, params={**suspend.params, DONE: True})
            store.verbs.end(done, "done", "", at, _event("vm_suspended", done, at), stands=True)
    elif resume is not None or binding.phase is Phase.SUSPENDED:
        if binding.phase is Phase.SUSPENDED:
            back = replace(binding, phase=Phase.READY, ready_at=binding.ready_at or at)
            store.bindings.change(back)
        if resume is not None:
            store.verbs.end(resume, "done", "", at, _event("vm_resumed", resume, at))


def _event(name: str, wish: Wish, at: datetime) -> Event:
    detail: dict[str, Json] = {"by": wish.by, "token": wish.token}
    return Event(name, wish.key, at, detail, f"{name}/{wish.key}/{wish.token}")
