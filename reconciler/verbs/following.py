"""What a look comes to for the open verbs of a VM: remembered, ended, or given up."""

from datetime import datetime

from handlers.move import Move, has_arrived
from handlers.restore import CHECKED, STEP
from handlers.snapshots import SNAPSHOTS
from handlers.wishes import (
    DELETE_SNAPSHOT,
    MOVE,
    RESTORE,
    ROLLBACK,
    SNAPSHOT,
    may_ask,
    wishes_of,
)
from reconciler.plan import VMPlan
from reconciler.verbs.anew import macs_kept
from reconciler.verbs.reset import next_step
from reconciler.verbs.suspend import remembered
from state.api import Json
from state.observed import SeenVM
from state.outbox import Event
from state.store import Store
from state.verbs import Wish

MOST = 3
"""So often is tried what a person asked for once; then it is over, and they are told."""

BY_HANDLER = {
    SNAPSHOT: SNAPSHOTS,
    ROLLBACK: SNAPSHOTS,
    DELETE_SNAPSHOT: SNAPSHOTS,
    MOVE: Move.name,
    RESTORE: RESTORE,
}
"""The verbs that one handler carries out, and that may fail for good."""


def followed(store: Store, plan: VMPlan) -> list[str]:
    """Set down what this look says of the VM's open verbs; return what is to be told.

    Called before anything is sent, so that what is kept here outlives the process.
    """
    seen, told = plan.seen, []
    remembered(store, seen)
    macs_kept(store, seen)
    for wish in wishes_of(seen.memory):
        text = _given_up(store, seen, wish) or _moved(store, plan, wish)
        text = text or next_step(store, seen, wish)
        if text:
            told.append(text)
    return told


def _given_up(store: Store, seen: SeenVM, wish: Wish) -> str:
    handler = BY_HANDLER.get(wish.verb, "")
    if wish.verb == RESTORE and wish.text(STEP) not in (None, CHECKED):
        return ""
    attempt = seen.memory.attempts.get(handler)
    if attempt is None or attempt.count < MOST or attempt.at < wish.at:
        return ""
    why = f"failed {attempt.count} times: {attempt.error}"
    store.verbs.end(wish, "failed", why, seen.at, _event("verb_failed", wish, why, seen.at))
    store.attempts.clear(seen.key, handler)
    return f"{wish.verb} {why}; it is not tried again"


def _moved(store: Store, plan: VMPlan, wish: Wish) -> str:
    """A move is over when the VM, or its disks, stand where they were to go."""
    open_still = any(change.handler == Move.name for change in plan.changes)
    waits = any(note.handler == Move.name for note in plan.notes)
    held = any(note.handler == "exists" and note.blocking for note in plan.notes)
    if wish.verb != MOVE or open_still or waits or held or not may_ask(plan.seen):
        return ""
    if not has_arrived(plan.seen, wish):  # what ends or bars the VM comes before it
        return ""
    where = wish.text("node") or wish.text("storage") or ""
    at = plan.seen.at
    store.verbs.end(wish, "done", where, at, _event("vm_moved", wish, where, at))
    return f"it is on {where} now"


def _event(name: str, wish: Wish, text: str, at: datetime) -> Event:
    detail: dict[str, Json] = {"verb": wish.verb, "by": wish.by, "text": text}
    return Event(name, wish.key, at, detail, f"{name}/{wish.key}/{wish.verb}/{wish.token}")
