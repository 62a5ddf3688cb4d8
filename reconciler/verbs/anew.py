"""A VM that is made anew: reinstalled with all that is its own, or redeployed from nothing.

Both end the machine as `terminate` does, by the same handlers and checks, without its grace.
"""

from dataclasses import replace
from datetime import datetime

from handlers.effects import wanted
from handlers.wishes import MACS, MADE, REDEPLOY, REINSTALL, STAGE, wish_of
from state.api import Json
from state.memory import Memory
from state.observed import Presence, SeenVM
from state.outbox import Event
from state.store import Store
from state.verbs import Wish

REINSTALLED = "vm_reinstalled"


def macs_kept(store: Store, seen: SeenVM) -> None:
    """Remember the MACs of a VM that is to be reinstalled, before anything is sent (DEP-28)."""
    wish = wish_of(seen.memory, REINSTALL)
    if wish is None or MACS in wish.params or STAGE in wish.params:
        return
    if seen.presence is Presence.PRESENT and seen.config is not None:
        macs: dict[str, Json] = {
            slot: net.mac for slot, net in sorted(wanted(seen).nics.items()) if net.mac
        }
        store.verbs.keep(replace(wish, params={**wish.params, MACS: macs}))


def reborn(store: Store, memory: Memory, at: datetime) -> bool:
    """The machine of a reinstall is gone: its key is deployed once more. False of other ends."""
    wish = wish_of(memory, REINSTALL)
    if wish is None or memory.binding is None:
        return False
    made = replace(wish, params={**wish.params, STAGE: MADE})
    detail: dict[str, Json] = {"by": wish.by, "token": wish.token, "vmid": memory.binding.vmid}
    event = Event("vm_deleted", wish.key, at, detail, f"vm_deleted/{wish.key}/{wish.token}")
    store.renewals.begin(made, event, at)
    return True


def redeployed(store: Store, memory: Memory, at: datetime) -> None:
    """The machine of a redeploy is gone, and its record with it: the next run makes another."""
    wish = wish_of(memory, REDEPLOY)
    if wish is not None:
        store.renewals.clear_history(wish.key)
        store.verbs.end(wish, "done", "the machine is gone; its spec makes another one", at)


def renewed(store: Store, seen: SeenVM, at: datetime) -> None:
    """Nothing differs of a VM that was reinstalled: that is over, and its password is a new one."""
    wish = wish_of(seen.memory, REINSTALL)
    if wish is None or STAGE not in wish.params or seen.presence is not Presence.PRESENT:
        return
    text = f"made anew; reconcile password {wish.key} --show-once delivers its new password"
    store.verbs.end(wish, "done", text, at, _event(wish, at))


def _event(wish: Wish, at: datetime) -> Event:
    detail: dict[str, Json] = {"by": wish.by, "token": wish.token}
    return Event(REINSTALLED, wish.key, at, detail, f"{REINSTALLED}/{wish.key}/{wish.token}")
