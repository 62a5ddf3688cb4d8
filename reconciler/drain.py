"""The drain: how VMs that wait for a restart get it without more of them down than may be.

Never two of one anti-affinity group, no more per window than it says, and none any more after one
that did not come back, until a person has looked. One for all clusters of a run, as `Spent` is, in
which it stands: who asks and counts holds that one's lock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from desired.source import Fleet
from desired.spec import VMSpec
from desired.windows import open_window
from handlers.effects import running
from handlers.power import is_wanted_off
from handlers.stop import SKEW, STOP, Stop, open_stop
from handlers.waiting import EFFECT, NOW, RESTART
from state.api import Json
from state.change import Change, Effect, Note
from state.memory import Memory, Phase
from state.observed import ClusterView, SeenVM
from state.store import Store

STOPPED, EXCUSED = "drain.stopped", "drain.excused"
"""Settings: which VM did not come back, and for which one a person let the drain go on."""

REMEMBERED = timedelta(days=30)
"""How far back restarts are counted: no window is open for longer."""

LONG = timedelta(minutes=5)
"""How long a restart takes at most: both windows to stop, and two to start."""

LOST = ("StartFailed", "StopFailed", "HAError")
"""Conditions of a VM that does not come back by itself."""

PATIENT = ("DrainStopped", "GroupDown", "WindowFull")
"""Conditions under which a VM runs on as it is, and is restarted later."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A VM that did not come back, of the restart that was begun `at`."""

    key: str
    at: datetime
    why: str


@dataclass(slots=True)
class Drain:
    """`restarts` are the last ones by key; `begun` are at work, `left` may be, `off` do not run."""

    known: bool = False
    restarts: dict[str, datetime] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    off: set[str] = field(default_factory=set)
    vmids: dict[str, int] = field(default_factory=dict)
    mates: dict[str, list[str]] = field(default_factory=dict)
    scopes: dict[str, set[str]] = field(default_factory=dict)
    stopped: Stopped | None = None
    excused: tuple[str, str] = ("", "")
    told: bool = True

    def learn(
        self, fleet: Fleet, store: Store, memories: Mapping[str, Memory], at: datetime
    ) -> None:
        """Take over what the journal and earlier runs tell; once in a run."""
        if self.known:
            return
        self.known = True
        for key, spec in fleet.vms.items():
            if spec.anti_affinity:
                self.mates.setdefault(spec.anti_affinity, []).append(key)
            for name in spec.windows:
                self.scopes.setdefault(name, set()).add(key)
        self.restarts.update(store.journal.last_restarts(at - REMEMBERED))
        excused, self.stopped = store.settings.get(EXCUSED), stopped_by(store)
        if isinstance(excused, dict):
            self.excused = (str(excused["key"]), str(excused["at"]))
        for key, memory in sorted(memories.items()):
            self._recall(key, memory)

    def _recall(self, key: str, memory: Memory) -> None:
        stop, failure = memory.intents.get(STOP), memory.attempts.get("power")
        if stop is None or _ends(memory):
            return
        self.left.add(key)
        if failure and failure.at >= stop.at:
            self._stop(key, stop.at, failure.error)

    def observe(self, specs: Iterable[VMSpec], view: ClusterView, vmids: Mapping[str, int]) -> None:
        """Note which VMs of groups do not run although they should; of one cluster."""
        self.vmids.update(vmids)
        for spec in specs:
            vmid = self.vmids.get(spec.key)
            if not spec.anti_affinity or vmid is None or is_wanted_off(spec):
                continue
            row = view.vms.get(vmid)
            if row is not None and row.status == "running":
                self.off.discard(spec.key)
            else:
                self.off.add(spec.key)

    def see(self, seen: SeenVM, notes: Iterable[Note]) -> None:
        """Note where a VM stands that is looked at: whether it is back, or does not come back."""
        self.left.discard(seen.key)
        stop = None if _ends(seen.memory) else open_stop(seen)
        if stop is None:
            if running(seen) or _ends(seen.memory):
                self.begun.discard(seen.key)
            return
        self.begun.add(seen.key)
        failure = seen.memory.attempts.get("power")
        lost = next(
            (one.reason for one in notes if one.condition in LOST and _heard(seen, stop)), ""
        )
        if not lost and failure and failure.at >= stop.intent.at:
            lost = failure.error
        if lost and stop.restarts:
            self._stop(seen.key, stop.intent.at, lost)

    def _stop(self, key: str, at: datetime, why: str) -> None:
        if self.stopped is None and (key, at.isoformat()) != self.excused:
            self.stopped, self.told = Stopped(key, at, why), False

    def keep(self, store: Store) -> None:
        """Store that the drain has stopped, if that is new."""
        if self.stopped and not self.told:
            self.told = True
            one = self.stopped
            value: dict[str, Json] = {"key": one.key, "at": one.at.isoformat(), "why": one.why}
            store.settings.put(STOPPED, value)
            occurrence = f"drain/{one.key}/{one.at.isoformat()}"
            store.outbox.add("drain_stopped", one.key, one.at, {"why": one.why}, occurrence)

    def withhold(
        self, seen: SeenVM, change: Change, spec: VMSpec, per_window: int | None
    ) -> Note | None:
        """Say why a VM is not restarted now; None when it may be, or is at it, or is no restart."""
        restarts = change.handler == "power" and change.effect is Effect.STOP_START
        if not restarts or change.field != STOP or open_stop(seen):
            return None
        asked = seen.memory.intents.get(RESTART)
        if asked is not None and asked.detail == NOW:
            return None
        return (
            self._after(seen, change)
            or self._beside(seen, change, spec)
            or (None if asked else self._full(seen, change, spec, per_window))
        )

    def _after(self, seen: SeenVM, change: Change) -> Note | None:
        if self.stopped is None or self.stopped.key == seen.key:
            return None
        reason = f"no VM is restarted since {self.stopped.key} did not come back: "
        reason += f"{self.stopped.why}; look at it, then reconcile debt --resume"
        return Note(seen.key, change.handler, change.field, reason, "DrainStopped")

    def _beside(self, seen: SeenVM, change: Change, spec: VMSpec) -> Note | None:
        group = spec.anti_affinity
        mates = [one for one in self.mates.get(group, ()) if one != seen.key] if group else []
        for key in mates:
            if key in self.begun:
                reason = f"waits: {key} of group {group} is being restarted"
                return Note(seen.key, change.handler, change.field, reason, None, blocking=True)
        for key in mates:
            if key in self.off | self.left:
                reason = f"waits until {key} of group {group} runs again"
                return Note(seen.key, change.handler, change.field, reason, "GroupDown")
        return None

    def _full(
        self, seen: SeenVM, change: Change, spec: VMSpec, per_window: int | None
    ) -> Note | None:
        opening = open_window(spec.windows, EFFECT, seen.at) if spec.restart == "window" else None
        most = opening and (opening.window.at_most or per_window)
        if opening is None or not most:
            return None
        scope = self.scopes.get(opening.name, set())
        used = {key for key, at in self.restarts.items() if at >= opening.opened_at} & scope
        if seen.key in used or len(used) < most:
            return None
        reason = f"window {opening.name}: {len(used)} of {most} VMs were restarted in this opening"
        return Note(seen.key, change.handler, change.field, reason, "WindowFull")

    def begin(self, key: str, at: datetime) -> None:
        """A restart was let pass."""
        self.begun.add(key)
        self.restarts[key] = at


def _ends(memory: Memory) -> bool:
    """Whether the VM is stopped for its end: nobody waits for it to come back."""
    return memory.binding is not None and memory.binding.phase is Phase.TERMINATE


def _heard(seen: SeenVM, stop: Stop) -> bool:
    """Whether the start after a stop was heard by Proxmox, or it is too long ago to matter.

    A runner that was killed just before it sent the call is no failure of the guest.
    """
    vmid = str(seen.memory.binding.vmid) if seen.memory.binding else ""
    mine = (one for one in seen.cluster.tasks if one.kind == "qmstart" and one.id == vmid)
    since = stop.intent.at.timestamp() - SKEW.total_seconds()
    return any(one.starttime >= since for one in mine) or seen.at - stop.intent.at >= LONG


def resume(store: Store) -> Stopped | None:
    """Let the drain go on; return what it was stopped by, None when it was not."""
    stopped = stopped_by(store)
    if stopped:
        store.settings.put(EXCUSED, {"key": stopped.key, "at": stopped.at.isoformat()})
        store.settings.put(STOPPED, None)
    return stopped


def stopped_by(store: Store) -> Stopped | None:
    """Return what the drain is stopped by."""
    kept = store.settings.get(STOPPED)
    if not isinstance(kept, dict):
        return None
    moment = datetime.fromisoformat(str(kept["at"]))
    return Stopped(str(kept["key"]), moment, str(kept["why"]))
