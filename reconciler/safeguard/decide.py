"""What comes next of a guarded change: one step of it, the change itself, or a wait. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

from desired.safeguard import Safeguard
from desired.spec import VMSpec
from handlers.effects import running
from handlers.handler import vmid_of
from handlers.power import is_wanted_off
from handlers.safeguard import (
    PARTIAL,
    SAFEGUARD,
    UNAVAILABLE,
    Session,
    Stage,
    holds,
    session_of,
    stands,
)
from handlers.stop import SKEW, START, STAY_OFF, STOP, ask, go_on, open_stop
from handlers.waiting import permission
from reconciler.guard import Gate, Guarded
from reconciler.plan import VMPlan
from reconciler.safeguard.limits import beyond, forbids
from reconciler.show.text import show_when
from state.change import Change, Effect, Note
from state.memory import Phase
from state.observed import Presence, SeenVM

OFF = Safeguard(snapshot=False)
PASSING_LOCKS = ("snapshot", "snapshot-delete", "rollback")
LEAST_CHECKS = 3
"""A VM is not given up before so many checks of it failed, however late it is."""

SNAPSHOT, HEALTH, FAILURE = "snapshot", "health", "failure"
ROLLBACK, RELEASE, HOLD, FORGET = "rollback", "release", "hold", "forget"
"""Fields of the steps; `release` and `hold` remove the snapshot first."""


def safeguarded(
    spec: VMSpec, plan: VMPlan, gate: Gate, check: Callable[[VMPlan], Guarded]
) -> Guarded:
    """Guard one VM's plan, and lay the steps of a guarded change over what `check` lets through."""
    session, guard = session_of(plan.seen), spec.guard or OFF
    if plan.seen.presence is not Presence.PRESENT or (session is None and not guard.snapshot):
        return check(plan)
    plan = replace(plan, seen=_without_passing(spec, plan.seen, session))
    found = check(plan)
    binding = plan.seen.memory.binding
    if binding is None or binding.phase not in (Phase.READY, Phase.CHANGE):
        return found
    if session is None:
        return _beginning(spec, guard, found, gate)
    return _going(spec, guard, session, found, gate)


def _without_passing(spec: VMSpec, seen: SeenVM, session: Session | None) -> SeenVM:
    """Without what stands in the way of nobody: a broadcast's word of a lock of ours that has
    gone, and a hold of ours that is over or yet to be told."""
    if session is None:
        return seen
    config, row = seen.config, seen.row
    if row and row.lock in PASSING_LOCKS and config and config.live.lock is None:
        seen = replace(seen, row=replace(row, lock=None))
    over = session.stage is Stage.ROLLED or not stands(spec, seen, session)
    if holds(seen, session) and over:
        seen = replace(seen, memory=replace(seen.memory, hold=None))
    return seen


def _beginning(spec: VMSpec, guard: Safeguard, found: Guarded, gate: Gate) -> Guarded:
    """Take a snapshot before the first write of what is guarded; wait where none can be taken."""
    seen = found.plan.seen
    covered = [change for change in found.allowed if _covered(change, spec, guard, gate, seen)]
    if not covered:
        return found
    attempt = seen.memory.attempts.get(SAFEGUARD)
    impossible = forbids(spec, seen)
    if not impossible and attempt and attempt.not_before > seen.at:
        impossible = attempt.error
    if impossible and not guard.required:
        return replace(found, notes=(*found.notes, _unavailable(seen, impossible, blocking=False)))
    if impossible:
        allowed = tuple(change for change in found.allowed if change not in covered)
        withheld = (*found.withheld, *covered)
        notes = (*found.notes, _unavailable(seen, impossible, blocking=True))
        return replace(found, allowed=allowed, withheld=withheld, notes=notes)
    fields = beyond(found.plan.changes)
    told = [_partial(seen, fields)] if fields else []
    return _step(found, gate, SNAPSHOT, "taken first", told)


def _covered(change: Change, spec: VMSpec, guard: Safeguard, gate: Gate, seen: SeenVM) -> bool:
    """Whether a change is an edit of an effect that is guarded, and has that effect now.

    Values that wait for a restart that is not permitted are guarded when it is; a password that was
    reset is not: rolled back, nobody would know it.
    """
    beside = change.handler in gate.beside or change.handler == "exists" or change.drift != ""
    secret = (change.handler, change.field) == ("cloudinit", "password")
    if beside or secret or change.effect.value not in guard.effects:
        return False
    if change.handler == "power":
        return change.field == STOP
    return change.effect is not Effect.STOP_START or permission(spec, seen).granted


def _going(spec: VMSpec, guard: Safeguard, session: Session, found: Guarded, gate: Gate) -> Guarded:
    match session.stage:
        case Stage.TAKE:
            return _taking(guard, found, gate)
        case Stage.TAKEN | Stage.CHECK | Stage.BARE:
            return _applying(guard, session, found, gate)
        case Stage.RELEASE:
            return _step(found, gate, RELEASE, "removed")
        case Stage.BACK:
            return _back(found, gate)
        case Stage.ROLLING:
            return _step(found, gate, ROLLBACK, session.name)
        case Stage.ROLLED:
            return _rolled(spec, session, found, gate)
        case Stage.UNDONE:
            again = not stands(spec, found.plan.seen, session)
            return _step(found, gate, FORGET, "the change may be made") if again else found


def _taking(guard: Safeguard, found: Guarded, gate: Gate) -> Guarded:
    attempt = found.plan.seen.memory.attempts.get(SAFEGUARD)
    if guard.required and attempt and attempt.not_before > found.plan.seen.at:
        note = _unavailable(found.plan.seen, attempt.error, blocking=True)
        return _withheld(found, [note])
    return _step(found, gate, SNAPSHOT, "taken first")


def _applying(guard: Safeguard, session: Session, found: Guarded, gate: Gate) -> Guarded:
    """The change goes its way; when nothing is left of it the VM must be well."""
    seen = found.plan.seen
    bare = session.stage is Stage.BARE
    waits = found.allowed or any(note.blocking for note in found.notes)
    if bare and not waits:
        return _step(found, gate, FORGET, "done without a snapshot")
    failure = None if bare else _failure(guard, session, found)
    if failure:
        return _step(found, gate, FAILURE, failure)
    if waits:
        told = [_unavailable(seen, session.why, blocking=False)] if bare else []
        return replace(found, notes=(*found.notes, *told))
    return _step(found, gate, HEALTH, "well")


def _failure(guard: Safeguard, session: Session, found: Guarded) -> str | None:
    """Why the change is given up: the VM does not start, or what failed has had its time."""
    late = found.plan.seen.at - session.at >= timedelta(seconds=guard.within)
    for note in found.notes:
        if note.condition == "StartFailed" and (late or _was_started(found.plan.seen)):
            return note.reason
        if note.condition == "BackOff" and late:
            return note.reason
    if session.stage is Stage.CHECK and late and session.looks >= LEAST_CHECKS and found.allowed:
        return session.why
    return None


def _was_started(seen: SeenVM) -> bool:
    """Whether the last start has reached Proxmox: one that never did says nothing of the change."""
    start, vmid = seen.memory.intents.get(START), str(vmid_of(seen))
    tasks = (one for one in seen.cluster.tasks if one.kind == "qmstart" and one.id == vmid)
    since = (start.at - SKEW).timestamp() if start else 0.0
    return any(task.starttime >= since for task in tasks)


def _back(found: Guarded, gate: Gate) -> Guarded:
    """Stop the guest as every stop is made, then roll back.

    No deny window and no share of restarts holds it up: the change that failed was let through.
    """
    seen = found.plan.seen
    if not running(seen):
        return _step(found, gate, ROLLBACK, "what it was")
    stop = open_stop(seen)
    wanted = list(go_on(seen, stop)) if stop else [ask(seen, STAY_OFF)]
    changes = [change for change in wanted if isinstance(change, Change)]
    notes = [note for note in wanted if isinstance(note, Note)]
    hindered = [note for change in changes[:1] for note in _hindered(change, seen, gate)]
    if changes and not hindered:
        told = (*found.notes, *notes)
        return replace(found, allowed=tuple(changes), withheld=found.plan.changes, notes=told)
    return _withheld(found, [*notes, *hindered])


def _rolled(spec: VMSpec, session: Session, found: Guarded, gate: Gate) -> Guarded:
    """Start the guest again; then its change is over, and a hold keeps it from being made anew."""
    seen = found.plan.seen
    if spec.power == "running" and not is_wanted_off(spec) and seen.status != "running":
        starts = [c for c in found.allowed if c.handler == "power" and c.new == "running"]
        if starts:
            return replace(found, allowed=tuple(starts), withheld=_others(found, starts))
        return _withheld(found, [_waits(seen, "rolled back: waits until it runs again")])
    return _step(found, gate, HOLD, session.why)


def _step(found: Guarded, gate: Gate, field: str, new: str, notes: Iterable[Note] = ()) -> Guarded:
    """Nothing but this step may be made now; it heeds locks, holds and its own back-off."""
    seen = found.plan.seen
    step = Change(seen.key, SAFEGUARD, field, None, new)
    plan = replace(found.plan, changes=(*found.plan.changes, step))
    if seen.row and seen.row.lock in PASSING_LOCKS:
        told = [note for note in found.notes if note.condition != "Locked"]
        wait = _at_work(seen, seen.row.lock)
        return Guarded(plan, (), plan.changes, (*told, *notes, wait))
    hindered = [note for note in _hindered(step, seen, gate) if note not in found.notes]
    if _hindered(step, seen, gate):
        return Guarded(plan, (), plan.changes, (*found.notes, *notes, *hindered))
    return Guarded(plan, (step,), found.plan.changes, (*found.notes, *notes))


def _at_work(seen: SeenVM, lock: str) -> Note:
    """What the lock is for; a task that failed may leave it, and only a person takes it off."""
    vmid, kinds = str(vmid_of(seen)), ("qmsnapshot", "qmdelsnapshot", "qmrollback")
    tasks = (one for one in seen.cluster.tasks if one.kind in kinds and one.id == vmid)
    if any(task.running for task in tasks):
        return _waits(seen, f"its snapshot is at work (lock {lock})")
    reason = f"the lock {lock} stands, and no task is seen to: if it stays, qm unlock {vmid}"
    return Note(seen.key, SAFEGUARD, SNAPSHOT, reason, "Locked", blocking=True)


def _hindered(change: Change, seen: SeenVM, gate: Gate) -> list[Note]:
    """Why a step may not be made now: a hold, a lock, or the wait after its last failure."""
    stop, attempt = gate.stop(seen), seen.memory.attempts.get(change.handler)
    if stop:
        return [stop]
    if attempt is None or attempt.not_before <= seen.at:
        return []
    reason = f"failed: {attempt.error}; next try at {show_when(attempt.not_before)}"
    return [Note(seen.key, change.handler, change.field, reason, "BackOff", blocking=True)]


def _withheld(found: Guarded, notes: Iterable[Note]) -> Guarded:
    return replace(found, allowed=(), withheld=found.plan.changes, notes=(*found.notes, *notes))


def _others(found: Guarded, chosen: Iterable[Change]) -> tuple[Change, ...]:
    kept = list(chosen)
    return tuple(change for change in found.plan.changes if change not in kept)


def _waits(seen: SeenVM, reason: str) -> Note:
    return Note(seen.key, SAFEGUARD, SNAPSHOT, reason, blocking=True)


def _unavailable(seen: SeenVM, reason: str, *, blocking: bool) -> Note:
    way = "the change waits" if blocking else "it is made without one (required: false)"
    text = f"no snapshot can be taken before the change: {reason}; {way}"
    return Note(seen.key, SAFEGUARD, SNAPSHOT, text, UNAVAILABLE, blocking=blocking)


def _partial(seen: SeenVM, fields: str) -> Note:
    reason = f"the snapshot does not cover {fields}: a rollback leaves that as the change made it"
    return Note(seen.key, SAFEGUARD, SNAPSHOT, reason, PARTIAL)
