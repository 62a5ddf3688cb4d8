"""Carries out what was asked of a VM's snapshots: reads what is there, commits, sends one call."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from desired.spec import VMSpec
from handlers.effects import running
from handlers.handler import vmid_of
from handlers.snapshots import SNAPSHOTS, snapshot_name, snapshots_path
from handlers.stop import OFF, SKEW, STOP, answered, open_stop
from handlers.wishes import DELETE_SNAPSHOT, ROLLBACK, SNAPSHOT, wish_of
from reconciler.clock import Clock
from reconciler.execute import Done
from reconciler.pve.tasks import TaskEnd, task_status
from reconciler.safeguard.saved import Saved, feature_missing, saved_of
from reconciler.site import Site
from state.api import Json, NotFound
from state.change import Call, Change, Method, Outcome, Param
from state.memory import Intent
from state.observed import SeenVM
from state.outbox import Event
from state.store import Store
from state.verbs import Result, Wish

SOON = timedelta(seconds=2)
TAKING, ROLLING = "qmsnapshot", "qmrollback"


def carry_snapshot(
    store: Store, site: Site, clock: Clock, spec: VMSpec, seen: SeenVM, step: Change
) -> Done:
    """Make the one step of what was asked. Raises ApiError."""
    carrier = Carrier(store, site, clock, spec, seen, step)
    if wish := wish_of(seen.memory, SNAPSHOT):
        return carrier.take(wish)
    if wish := wish_of(seen.memory, ROLLBACK):
        return carrier.roll_back(wish)
    wish = wish_of(seen.memory, DELETE_SNAPSHOT)
    assert wish is not None
    return carrier.delete(wish)


@dataclass(frozen=True, slots=True)
class Carrier:
    """One verb of one VM. What it stores it stores before the call that follows from it."""

    store: Store
    site: Site
    clock: Clock
    spec: VMSpec
    seen: SeenVM
    step: Change

    def take(self, wish: Wish) -> Done:
        """Take the snapshot, unless it stands or cannot be taken; half a one goes first."""
        saved, name = self._saved(), snapshot_name(wish)
        mine = next((one for one in saved if one.name == name), None)
        if mine is not None and mine.whole:
            return self._end(wish, "done", name, "vm_snapshot_taken")
        if self._at_work():
            return self._wait("its snapshot is being taken")
        if mine is not None:
            return self._delete(name, whole=False)
        reason = self._too_many(saved) or feature_missing(self.site.api, self.seen)
        if reason:
            return self._end(wish, "refused", reason, "verb_refused")
        return self._send(self.step.calls[0])

    def delete(self, wish: Wish) -> Done:
        """Remove the snapshot; one that is not there is removed already."""
        name = wish.text("name") or ""
        mine = next((one for one in self._saved() if one.name == name), None)
        if mine is None:
            return self._end(wish, "done", name, "vm_snapshot_deleted")
        if self._at_work():
            return self._wait("its snapshot is being removed")
        return self._delete(name, whole=mine.whole)

    def roll_back(self, wish: Wish) -> Done:
        """Roll back once: that it was sent is kept, with its task, and how that ended is asked."""
        name, sent = wish.text("name") or "", wish.text("sent")
        ended = self._ended(wish, sent) if sent else None
        if ended is not None and ended.ok:
            self._stopped_by_us()
            return self._end(wish, "done", name, "vm_rolled_back")
        if sent and ended is None and self._at_work():
            return self._wait("it is being rolled back")
        if not any(one.name == name and one.whole for one in self._saved()):
            return self._end(wish, "refused", f"there is no snapshot {name}", "verb_refused")
        now = self.clock.now()
        fresh = {**wish.params, "sent": now.isoformat(), "upid": ""}
        self.store.verbs.keep(replace(wish, params=fresh))
        runs = self.spec.power == "unmanaged" and self.seen.status == "running"
        params: dict[str, Param] = {"start": True} if runs else {}
        path = f"{snapshots_path(self.seen)}/{name}/rollback"
        done = self._send(Call(Method.POST, path, params))
        outcome = done.outcomes.get(SNAPSHOTS)
        if outcome and outcome.upid:
            self.store.verbs.keep(replace(wish, params={**fresh, "upid": outcome.upid}))
        return done

    def _ended(self, wish: Wish, sent: str) -> TaskEnd | None:
        """How our rollback ended; None when it has not, or when none of ours is known."""
        upid = wish.text("upid")
        if upid:
            try:
                return task_status(self.site.api, upid)
            except NotFound:
                return None
        since = (datetime.fromisoformat(sent) - SKEW).timestamp()
        tasks = (one for one in self.seen.cluster.tasks if one.kind == ROLLING)
        ended = (one for one in tasks if one.id == str(vmid_of(self.seen)) and not one.running)
        ours = next((one for one in ended if one.starttime >= since), None)
        return TaskEnd(ours.status == "OK", ours.status or "") if ours else None

    def _stopped_by_us(self) -> None:
        """It is off after a rollback because of us: `power` starts it whatever drift says.

        With the RAM in its snapshot it runs on.
        """
        if open_stop(self.seen) is None and not running(self.seen):
            off = Intent(self.seen.key, STOP, self.clock.now(), 0, OFF)
            self.store.intents.put(answered(off, None))

    def _too_many(self, saved: list[Saved]) -> str:
        """TASK-10: the quota of its spec."""
        quota = self.spec.quota.snapshots if self.spec.quota else None
        if quota is None or len(saved) < quota:
            return ""
        return f"it has {len(saved)} snapshots, and its quota is {quota}"

    def _delete(self, name: str, *, whole: bool) -> Done:
        """`DELETE …/snapshot/NAME`; one that is not whole needs force."""
        params: dict[str, Param] = {} if whole else {"force": True}
        return self._send(Call(Method.DELETE, f"{snapshots_path(self.seen)}/{name}", params))

    def _saved(self) -> list[Saved]:
        return saved_of(self.site.api, self.seen)

    def _at_work(self) -> bool:
        kinds = (TAKING, ROLLING, "qmdelsnapshot")
        vmid = str(vmid_of(self.seen))
        tasks = self.seen.cluster.tasks
        return any(one.running and one.kind in kinds and one.id == vmid for one in tasks)

    def _send(self, call: Call) -> Done:
        return self.site.executor.run(self.seen, (replace(self.step, calls=(call,)),))

    def _wait(self, why: str) -> Done:
        return Done({SNAPSHOTS: Outcome(retry_at=self.clock.now() + SOON)}, why=why)

    def _end(self, wish: Wish, result: Result, message: str, event: str) -> Done:
        now = self.clock.now()
        detail: dict[str, Json] = {"verb": wish.verb, "by": wish.by, "text": message}
        occurrence = f"{event}/{wish.key}/{wish.verb}/{wish.token}"
        told = Event(event, wish.key, now, detail, occurrence)
        self.store.verbs.end(wish, result, message, now, told)
        self.store.attempts.clear(wish.key, SNAPSHOTS)
        error = message if result == "refused" else None
        return Done({SNAPSHOTS: Outcome(error=error)})
