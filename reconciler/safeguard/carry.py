"""Carries out the steps of a guarded change: reads what it needs, commits, then sends one call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from desired.safeguard import Safeguard
from desired.spec import VMSpec
from handlers.handler import vmid_of
from handlers.safeguard import (
    GUARD,
    SAFEGUARD,
    Session,
    Stage,
    edit_of,
    is_ours,
    session_of,
    snapshot_name,
)
from handlers.snapshots import SNAPSHOTS, snapshots_path
from handlers.stop import OFF, STOP, answered, open_stop
from handlers.wishes import RESTORE
from reconciler.clock import Clock
from reconciler.execute import Done
from reconciler.guard import Guarded
from reconciler.pve.tasks import TaskEnd, task_status
from reconciler.redo import fulfilled
from reconciler.safeguard.decide import (
    FAILURE,
    FORGET,
    HEALTH,
    HOLD,
    LEAST_CHECKS,
    ROLLBACK,
    SNAPSHOT,
)
from reconciler.safeguard.health import may_ask_agent, unwell
from reconciler.safeguard.limits import beyond
from reconciler.safeguard.saved import Saved, feature_missing, saved_of
from reconciler.site import Site
from reconciler.stopping import conclude
from reconciler.verbs.restore import carry_restore
from reconciler.verbs.snapshot import carry_snapshot
from state.api import Json, NotFound
from state.change import Call, Change, Method, Outcome, Param
from state.memory import Hold, Intent, Phase
from state.observed import SeenVM
from state.outbox import Event
from state.store import Store

AGAIN, SOON = timedelta(seconds=5), timedelta(seconds=2)
"""When a VM that is not well is asked again, and one whose snapshot is at work."""

SKEW = timedelta(seconds=2)
AGENT_RIGHT = "VM.Monitor; of Proxmox VE 9 VM.GuestAgent.Audit"


def carry_out(
    store: Store,
    site: Site,
    clock: Clock,
    spec: VMSpec,
    guarded: Guarded,
    changes: Sequence[Change],
) -> Done:
    """Send a VM's changes, or make the one step of its guarded change. Raises ApiError."""
    step = next((one for one in changes if one.handler == SAFEGUARD and not one.calls), None)
    seen = guarded.plan.seen
    asked = next((one for one in changes if one.handler == SNAPSHOTS), None)
    restore = next((one for one in changes if one.handler == RESTORE), None)
    if restore is not None:
        return carry_restore(store, site, clock, seen, restore)
    if step is None and asked is not None:
        return carry_snapshot(store, site, clock, spec, seen, asked)
    if step is None:
        done = site.executor.run(seen, changes)
        fulfilled(store, seen, changes, done)
        return done
    return Carrier(store, site, clock, spec, guarded, seen, step).go()


@dataclass(frozen=True, slots=True)
class Carrier:
    """One step of one VM. What it stores it stores before the call that follows from it."""

    store: Store
    site: Site
    clock: Clock
    spec: VMSpec
    guarded: Guarded
    seen: SeenVM
    step: Change

    def go(self) -> Done:
        session = session_of(self.seen)
        field = self.step.field
        if session is None or session.stage is Stage.UNDONE:
            return self._begin() if field == SNAPSHOT else self._forget()
        if field == FORGET:
            return self._forget()
        if field == SNAPSHOT:
            return self._take(session)
        if field == HEALTH:
            return self._check(session)
        if field == FAILURE:
            return self._give_up(session, str(self.step.new))
        if field == ROLLBACK:
            return self._roll_back(session)
        return self._finish(session, held=field == HOLD)

    # ------------------------------------------------------------------ before the change

    def _begin(self) -> Done:
        """Look whether a snapshot can be taken; remove one that was left, then take it."""
        saved = self._saved()
        left = next((one for one in saved if is_ours(self.seen, one.name)), None)
        if left is not None:
            return self._send(_delete(self.seen, left))
        reason = self._too_many(saved) or feature_missing(self.site.api, self.seen)
        if not reason and not may_ask_agent(self.spec, self.seen, self.site.api):
            reason = f"the token may not ask the guest agent ({AGENT_RIGHT})"
        if reason:
            return self._refused(reason)
        run = next(iter(self.store.journal.runs(1)), None)
        fields = beyond(self.guarded.plan.changes)
        name = snapshot_name(self.seen, run.id if run else 0)
        session = Session(Stage.TAKE, self.clock.now(), name, edit_of(self.spec), beyond=fields)
        self._put(session)
        return self._send(self._taken_by(session))

    def _too_many(self, saved: Sequence[Saved]) -> str:
        quota = self.spec.quota.snapshots if self.spec.quota else None
        if quota is None or len(saved) < quota:
            return ""
        return f"it has {len(saved)} snapshots, and its quota is {quota}"

    def _refused(self, reason: str) -> Done:
        """No snapshot can be taken: the change waits, or is made without one."""
        if self._guard().required:
            self.site.executor.fail(self.seen.key, SAFEGUARD, reason, self.clock.now())
        else:
            self._put(Session(Stage.BARE, self.clock.now(), edit=edit_of(self.spec), why=reason))
        return Done()

    def _take(self, session: Session) -> Done:
        """See to it that the snapshot that was begun is whole."""
        made = next((one for one in self._saved() if one.name == session.name), None)
        attempt = self.seen.memory.attempts.get(SAFEGUARD)
        if made is None and self._at_work("qmsnapshot"):
            return self._wait(SOON, "its snapshot is being taken")
        if made is not None and made.whole:
            self.store.attempts.clear(self.seen.key, SAFEGUARD)
            self._put(replace(session, stage=Stage.TAKEN, at=self.clock.now()))
            return Done()
        if made is not None:
            return self._send(_delete(self.seen, made))
        if attempt is not None and not self._guard().required:
            return self._refused(attempt.error)
        return self._send(self._taken_by(session))

    def _taken_by(self, session: Session) -> Call:
        fields = [c.field for c in self.guarded.plan.changes if c.handler != SAFEGUARD]
        text = f"reconcile: before {', '.join(dict.fromkeys(fields)) or 'a change'}"
        params: dict[str, Param] = {"snapname": session.name, "description": text[:200]}
        return Call(Method.POST, snapshots_path(self.seen), params)

    # ------------------------------------------------------------------ after the change

    def _check(self, session: Session) -> Done:
        """Ask the VM whether it is well; give it up when it is not within its time."""
        now = self.clock.now()
        if session.stage is Stage.TAKEN or session.edit != edit_of(self.spec):
            session = replace(
                session, stage=Stage.CHECK, at=now, looks=0, why="", edit=edit_of(self.spec)
            )
        problem = unwell(self.spec, self.seen, self.site.api)
        if not problem:
            self._put(replace(session, stage=Stage.RELEASE, at=now))
            return Done({SAFEGUARD: Outcome()})
        session = replace(session, looks=session.looks + 1, why=problem)
        self._put(session)
        late = now - session.at >= timedelta(seconds=self._guard().within)
        if late and session.looks >= LEAST_CHECKS:
            seconds = int((now - session.at).total_seconds())
            return self._give_up(session, f"{problem} ({seconds} s after the change)")
        return self._wait(AGAIN, f"not well yet: {problem}")

    def _give_up(self, session: Session, why: str) -> Done:
        edit, now = edit_of(self.spec), self.clock.now()
        self._put(replace(session, stage=Stage.BACK, at=now, why=why, edit=edit, looks=0))
        return Done()

    def _roll_back(self, session: Session) -> Done:
        """Roll back once, of a VM that is off; `POST …/snapshot/NAME/rollback`."""
        now = self.clock.now()
        end = self._rollback_end(session)
        if end is not None and end.ok:
            self.store.attempts.clear(self.seen.key, SAFEGUARD)
            self._put(replace(session, stage=Stage.ROLLED, at=now))
            return Done({SAFEGUARD: Outcome()})
        if end is None and session.stage is Stage.ROLLING and self._at_work("qmrollback"):
            return self._wait(SOON, "it is being rolled back")
        if not any(one.name == session.name for one in self._saved()):
            why = f"{session.why}; it could not be rolled back: its snapshot is gone"
            self._put(replace(session, stage=Stage.ROLLED, at=now, why=why))
            return Done()
        if open_stop(self.seen) is None:
            off = Intent(self.seen.key, STOP, now, 0, OFF)
            self.store.intents.put(answered(off, None))
        rolling = replace(session, stage=Stage.ROLLING, at=now, upid="")
        self._put(rolling)
        path = f"{snapshots_path(self.seen)}/{session.name}/rollback"
        params: dict[str, Param] = {"start": True} if self.spec.power == "unmanaged" else {}
        done = self._send(Call(Method.POST, path, params))
        outcome = done.outcomes.get(SAFEGUARD)
        if outcome and outcome.upid:
            self._put(replace(rolling, upid=outcome.upid))
        return done

    def _rollback_end(self, session: Session) -> TaskEnd | None:
        """How our rollback ended; None when it has not, or none of ours is known."""
        if session.stage is not Stage.ROLLING:
            return None
        if session.upid:
            try:
                return task_status(self.site.api, session.upid)
            except NotFound:
                return None
        since = (session.at - SKEW).timestamp()
        tasks = (one for one in self.seen.cluster.tasks if one.kind == "qmrollback")
        ended = (one for one in tasks if one.id == str(vmid_of(self.seen)) and not one.running)
        ours = next((one for one in ended if one.starttime >= since), None)
        return TaskEnd(ours.status == "OK", ours.status or "") if ours else None

    def _finish(self, session: Session, *, held: bool) -> Done:
        """Remove the snapshot; then the guarded change is over, well or undone."""
        mine = next((one for one in self._saved() if one.name == session.name), None)
        if mine is not None and self._at_work("qmdelsnapshot"):
            return self._wait(SOON, "its snapshot is being removed")
        if mine is not None:
            return self._send(_delete(self.seen, mine))
        self.store.attempts.clear(self.seen.key, SAFEGUARD)
        return self._undone(session) if held else self._forget()

    def _undone(self, session: Session) -> Done:
        """Tell it, and hold the VM; the last commit is the one that the others hang on."""
        key, binding = self.seen.key, self.seen.memory.binding
        why = f"its change was rolled back: {session.why}"
        self.store.holds.put(Hold(key, why, session.at))
        if binding is not None:
            detail: dict[str, Json] = {
                "vmid": binding.vmid,
                "why": session.why,
                "beyond": session.beyond,
            }
            event = Event(
                "change_rolled_back", key, self.clock.now(), detail, f"undone/{key}/{session.name}"
            )
            ready = replace(binding, phase=Phase.READY)
            self.store.bindings.change(ready, event=event)
        conclude(self.store, self.seen)
        self.store.attempts.clear_all(key)
        self._put(replace(session, stage=Stage.UNDONE, name="", upid=""))
        return Done()

    def _forget(self) -> Done:
        """The guarded change is over, or may be tried again: a hold of ours goes with it."""
        key = self.seen.key
        session = session_of(self.seen)
        hold = self.store.holds.all().get(key)
        if session and hold and session.stage is Stage.UNDONE and hold.at == session.at:
            self.store.holds.lift(key)
        self.store.intents.drop(key, GUARD)
        return Done()

    # ------------------------------------------------------------------ small things

    def _guard(self) -> Safeguard:
        return self.spec.guard or Safeguard()

    def _saved(self) -> list[Saved]:
        return saved_of(self.site.api, self.seen)

    def _at_work(self, kind: str) -> bool:
        vmid = str(vmid_of(self.seen))
        tasks = self.seen.cluster.tasks
        return any(one.running and one.kind == kind and one.id == vmid for one in tasks)

    def _put(self, session: Session) -> None:
        self.store.intents.put(session.intent(self.seen.key))

    def _send(self, call: Call) -> Done:
        return self.site.executor.run(self.seen, (replace(self.step, calls=(call,)),))

    def _wait(self, length: timedelta, why: str) -> Done:
        later: datetime = self.clock.now() + length
        return Done({SAFEGUARD: Outcome(retry_at=later)}, why=why)


def _delete(seen: SeenVM, saved: Saved) -> Call:
    """`DELETE …/snapshot/NAME`; one that is not whole needs force."""
    params: dict[str, Param] = {} if saved.whole else {"force": True}
    return Call(Method.DELETE, f"{snapshots_path(seen)}/{saved.name}", params)
