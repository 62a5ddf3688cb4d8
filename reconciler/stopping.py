"""What the engine keeps of stops and starts: looks, answers, failures, and when they are over."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from handlers.effects import running
from handlers.stop import (
    FAILED,
    FORCE,
    SHUTDOWN,
    START,
    STOP,
    SWITCHED_OFF,
    answered,
    begins,
    begun_stop,
    is_back,
    open_stop,
)
from handlers.waiting import RESTART, RESTARTED, pending_marks
from state.change import Change, Outcome
from state.memory import Intent, OpenTask
from state.observed import Presence, SeenVM
from state.store import Store

PATIENCE = {"qmshutdown": SHUTDOWN, "qmstop": SWITCHED_OFF}
"""How long a task of ours is waited for that may hang; then the VM is looked at all the same."""

AGED = timedelta(seconds=30)
"""A look that is older than this, because the runner stood still, permits no stop."""


def looked(store: Store, seen: SeenVM) -> None:
    """Count the look for what is under way: windows end by looks, not by the clock alone."""
    if seen.presence is not Presence.PRESENT:
        return
    intents = seen.memory.intents
    if START in intents and seen.status != "running":
        store.intents.look(seen.key, START, seen.at)
    for kind in (STOP, FORCE):
        if kind in intents and running(seen) and open_stop(seen):
            store.intents.look(seen.key, kind, seen.at)
    if FORCE in intents and seen.status == "stopped":
        # The start that comes next has nothing to do with how often the stop failed.
        store.intents.drop(seen.key, FORCE)
        store.attempts.clear(seen.key, "power")


def begin(store: Store, seen: SeenVM, group: Iterable[Change], at: datetime) -> None:
    """Commit what must outlive us, before the calls go out."""
    for change in group:
        if intent := begins(change, seen, at):
            store.intents.put(intent)


def sent(store: Store, seen: SeenVM, group: Iterable[Change], at: datetime, out: Outcome) -> None:
    """Keep that a request to stop was taken, and by which task."""
    for change in group:
        intent = begins(change, seen, at)
        if intent and intent.kind == STOP:
            store.intents.put(answered(intent, out.upid))


def not_begun(store: Store, seen: SeenVM, group: Iterable[Change], at: datetime) -> None:
    """The call was refused: what was before it stands again, and a start is not waited for."""
    for change in group:
        intent = begins(change, seen, at)
        before = seen.memory.intents.get(intent.kind) if intent else None
        if intent and before and intent.kind != START:
            store.intents.put(before)
        elif intent:
            store.intents.drop(seen.key, intent.kind)


def shutdown_failed(store: Store, task: OpenTask) -> bool:
    """Keep that a guest did not shut down, which is no failure of ours; False of other tasks."""
    intent = store.intents.of(task.key).get(STOP)
    if kind_of(task) != "qmshutdown" or intent is None:
        return False
    marks = intent.detail.partition(" ")[0]
    store.intents.put(replace(intent, detail=f"{marks} {FAILED}"))
    return True


def stop_failed(store: Store, seen: SeenVM) -> bool:
    """Whether a switched off VM that still runs is yet to be counted as a failure."""
    force, attempt = seen.memory.intents.get(FORCE), seen.memory.attempts.get("power")
    return force is not None and (attempt is None or attempt.at < force.at)


def kind_of(task: OpenTask) -> str:
    """The task's kind, such as `qmshutdown`."""
    return task.upid.split(":")[5] if task.upid.count(":") > 5 else ""


def left(task: OpenTask, now: datetime) -> float | None:
    """Seconds for which a stopping task is still waited for; None where there is no such limit."""
    window = PATIENCE.get(kind_of(task))
    return (task.started_at + window - now).total_seconds() if window else None


def is_aged(seen: SeenVM, changes: Iterable[Change], now: datetime) -> bool:
    """Whether a guest would be stopped by a look that is not fresh any more."""
    stops = any(one.handler == "power" and one.new == "stopped" for one in changes)
    return stops and now - seen.at > AGED


def conclude(store: Store, seen: SeenVM) -> None:
    """Nothing is left to do: close what was begun, and keep what a restart was in vain for."""
    intents, stop, waiting = seen.memory.intents, begun_stop(seen), pending_marks(seen)
    back = stop is not None and is_back(seen, stop)
    if stop and back and waiting & stop.marks:
        kept = ",".join(sorted(waiting & stop.marks))
        store.intents.put(Intent(seen.key, RESTARTED, stop.intent.at, 0, kept))
    over = {START, STOP, FORCE} | ({RESTART} if back or not waiting else set())
    over |= set() if waiting else {RESTARTED}
    # The stop goes before the start: by the start is known that the VM is back.
    for kind in sorted(over & intents.keys(), reverse=True):
        store.intents.drop(seen.key, kind)
