"""One tick: look again and again until all is settled or the time budget ends (design 3).

Everything that a look needs of one cluster is put together in `reconciler.look`; here stands the
order of things, and the one place where an exception of one VM is caught.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from handlers.safeguard import UNAVAILABLE
from handlers.stop import START
from reconciler.backoff import soon
from reconciler.clock import Clock, Workers
from reconciler.drift import tell_drift
from reconciler.execute import REVERT, Done
from reconciler.follow import Follower
from reconciler.guard import PATIENT, Gate, Guarded
from reconciler.look import SiteLook
from reconciler.moves import MOVING
from reconciler.pve.tasks import TaskEnd
from reconciler.report import Remark
from reconciler.safeguard.carry import carry_out
from reconciler.secrets import SecretError
from reconciler.settle import Settler
from reconciler.show.text import count_of
from reconciler.site import Site
from reconciler.skips import tell_refused
from reconciler.stopping import kind_of, left, looked, shutdown_failed, stop_failed
from reconciler.turn import Narrator, Standing, Turn
from state.api import ApiError, Contention, Locked
from state.change import Change
from state.memory import Memory, OpenTask, Phase
from state.observed import Presence
from state.store import Lost, Store, StoreError

logger = logging.getLogger(__name__)
MOST_AGAIN = 10
WAITS = (None, *PATIENT, UNAVAILABLE, "NotRead")
"""Conditions of a note that is no failure: a short wait, or one for a person or the next tick."""
UNTOUCHED = ("observe", "allocate", "exists")
"""Whose blocking notes say that the machine may not be ours, or not be there."""
GOING = (Standing.ACTIVE, Standing.TASK, Standing.WAITING)
PATIENCE = 2.0
MIGRATION = timedelta(seconds=300)
"""How long one run follows a migration, which the next run then goes on with (DEP-15)."""

ASK_AGAIN = timedelta(seconds=10)
"""How long after a failed shutdown the guest is asked again."""


@dataclass(slots=True)
class Tick:
    """One run over one cluster's VMs, by key; it ends at `deadline`, or when it is `stopped`."""

    store: Store
    site: Site
    narrator: Narrator
    clock: Clock
    workers: Workers
    deadline: datetime
    turns: dict[str, Turn]
    follower: Follower
    settler: Settler
    look: Callable[[Site, bool], SiteLook]
    stopped: threading.Event = field(default_factory=threading.Event)
    tasks: dict[str, OpenTask] = field(default_factory=dict)
    looks: int = 0
    seen: bool = False
    trouble: str = ""
    began: datetime | None = None

    def run(self) -> None:
        """Look until nothing is left to do in this tick."""
        self.began = self.clock.now()
        for key, task in self.store.tasks.all().items():
            if key in self.turns and task.cluster == self.site.name:
                self.tasks[key] = task
                self.turns[key].standing = Standing.TASK
        pause = 0.1
        while True:
            self._look_at()
            for turn in self.turns.values():
                if turn.standing not in GOING:
                    self._close(turn)
            if self._out_of_time() or not self._unsettled():
                break
            pause = self._wait(pause)
            if self._out_of_time():
                break
        self._give_up()
        for turn in self.turns.values():
            self._close(turn)

    def peek(self) -> None:
        """See the cluster once without a VM's turn, so that its neighbours need not wait."""
        memories = self.store.memories(None)
        self.look(self.site, True).observe((), memories, self.workers, self._out_of_time)

    def _give_up(self) -> None:
        """Tell once of a cluster that could not be worked on: its VMs fail, one line for all."""
        if not self.trouble:
            return
        for turn in self.turns.values():
            if turn.standing in (Standing.ACTIVE, Standing.WAITING):
                turn.standing, turn.why = Standing.FAILED, self.trouble
        left_alone = sum(turn.why == self.trouble for turn in self.turns.values())
        text = f"{self.trouble}: {count_of(left_alone, 'VM')} left alone"
        self.narrator.reporter.report(Remark(self.clock.now(), text, "error"))
        self.trouble = ""

    def _out_of_time(self) -> bool:
        return self.stopped.is_set() or self.clock.now() >= self.deadline

    def _time_to_observe(self) -> Callable[[], bool]:
        """Return what tells when a look's reading must end, so that the next tick goes on with it.

        It has half of what is left of the tick, for the rest of the look needs time as well.
        """
        now = self.clock.now()
        until = now + (self.deadline - now) / 2
        return lambda: self.stopped.is_set() or self.clock.now() >= until

    def _unsettled(self) -> list[Turn]:
        return [turn for turn in self.turns.values() if turn.standing in GOING]

    def _wait(self, pause: float) -> float:
        """Wait for tasks, or a moment for what only time brings; return the next pause."""
        if any(turn.standing is Standing.ACTIVE for turn in self.turns.values()):
            return 0.1
        waiting = (turn for turn in self.turns.values() if turn.standing is Standing.WAITING)
        self.follower.waits({turn.key: turn.why for turn in waiting})
        if self.tasks:
            self._follow()
            return pause
        left = (self.deadline - self.clock.now()).total_seconds()
        self.clock.sleep(max(0.0, min(pause, left)))
        return min(pause * 1.5, PATIENCE)

    def _look_at(self) -> None:
        """Observe, allocate, plan and guard in order, then execute side by side."""
        self.looks += 1
        turns = [
            turn
            for turn in self.turns.values()
            if turn.standing in (Standing.ACTIVE, Standing.WAITING)
            and (turn.not_before is None or turn.not_before <= self.clock.now())
        ]
        if not turns:
            return
        first = not self.seen
        look = self.look(self.site, first)
        memories = self.store.memories(None if first else [turn.key for turn in turns])
        try:
            look.observe(turns, memories, self.workers, self._time_to_observe())
        except StoreError:
            raise
        except Exception as error:
            self._odd(turns, error)
            return
        self.trouble = look.view.problem or ""
        self.seen = self.seen or not self.trouble
        ready: list[tuple[Turn, Guarded]] = []
        for turn in sorted(turns, key=lambda turn: turn.key):
            if self._out_of_time():
                break
            guarded = self._safely(turn, lambda turn=turn: _decided(look, turn))  # type: ignore[misc]
            if guarded is not None:
                self._told(turn, guarded, memories.get(turn.key, Memory()))
                if guarded.allowed or _may_revert(guarded, look.gate):
                    ready.append((turn, guarded))
        if self.trouble and not look.view.passing:
            self._give_up()
        self.settler.keep()
        look.settled.keep()
        grouped = self._grouped(ready)
        self.workers.map(lambda item: self._execute(*item), grouped)

    def _odd(self, turns: Sequence[Turn], error: Exception) -> None:
        """What a cluster answered could not be made sense of: the others go on without it."""
        logger.exception("cluster %s could not be looked at", self.site.name)
        self.trouble = f"cluster {self.site.name}: {type(error).__name__}: {error}"
        self.site.neighbours.out_of_reach(self.site.name)
        for turn in turns:
            turn.standing, turn.why = Standing.FAILED, self.trouble
        self._give_up()

    def _safely(self, turn: Turn, work: Callable[[], Guarded | None]) -> Guarded | None:
        try:
            return work()
        except Exception as error:
            self._broke(turn, error)
            return None

    def _broke(self, turn: Turn, error: Exception) -> None:
        """One VM's exception is that VM's error; the others go on (DEP-27).

        But for a lost store: nothing may be done that it cannot be told, and its locks are gone.
        """
        if isinstance(error, Lost):
            raise error
        turn.standing, turn.why = Standing.FAILED, str(error)
        if not isinstance(error, ApiError | SecretError):
            logger.exception("%s failed", turn.key, extra={"vm": turn.key})
            turn.why = f"{type(error).__name__}: {error}"
        self.narrator.broke(turn, self.clock.now(), turn.why)

    def _told(self, turn: Turn, guarded: Guarded, memory: Memory) -> None:
        """Tell what has landed, and set where the turn stands without executing anything."""
        seen = guarded.plan.seen
        turn.last = guarded
        for text in tell_drift(self.store, turn.key, guarded, seen.at):
            remark = Remark(seen.at, f"{turn.key}: drift: {text}", "warning", turn.key)
            self.narrator.reporter.report(remark)
        for text in tell_refused(self.store, turn.spec, guarded):
            remark = Remark(seen.at, f"{turn.key}: {text}", "warning", turn.key)
            self.narrator.reporter.report(remark)
        if seen.presence is Presence.ABSENT:
            turn.enter(Phase.DEPLOY)
        if seen.presence is not Presence.UNKNOWN:
            self.narrator.progress(turn, guarded)
        looked(self.store, seen)
        for note in guarded.notes:
            if note.condition == "StartFailed":
                self.narrator.failed(turn, self.clock.now(), note.handler, note.reason)
            elif note.condition == "StopFailed" and stop_failed(self.store, seen):
                now = self.clock.now()
                self.site.executor.fail(turn.key, "power", note.reason, now)
                self.narrator.failed(turn, now, note.handler, note.reason)
        if guarded.allowed:
            return
        blocking = [note for note in guarded.notes if note.blocking]
        if not blocking:
            self.settler.settle(turn, guarded, memory)
        elif all(note.condition is None for note in blocking):
            turn.standing, turn.why = Standing.WAITING, blocking[0].reason
        else:
            worst = next((n for n in blocking if n.condition not in WAITS), None)
            turn.standing = Standing.FAILED if worst else Standing.PAUSED
            first = worst or next(note for note in blocking if note.condition)
            turn.why = first.reason
            told = self.trouble or (worst and worst.condition == "BackOff" and turn.wrote)
            if worst and not told:
                self.narrator.broke(turn, self.clock.now(), turn.why)

    def _grouped(
        self, ready: list[tuple[Turn, Guarded]]
    ) -> list[tuple[Turn, Guarded, tuple[Change, ...]]]:
        """Apply what several VMs share as one (a pool's members); return each VM's own rest."""
        groups: dict[tuple[str, str], list[tuple[Turn, Change]]] = {}
        rest: list[tuple[Turn, Guarded, tuple[Change, ...]]] = []
        for turn, guarded in ready:
            own = tuple(c for c in guarded.allowed if c.group in ("", c.subject))
            for change in guarded.allowed:
                if change not in own:
                    groups.setdefault((change.handler, change.group), []).append((turn, change))
            rest.append((turn, guarded, own))
        for (handler, _), members in groups.items():
            if self._out_of_time():
                break
            self._execute_group(handler, members)
        return [item for item in rest if item[2] or not item[1].allowed]

    def _execute_group(self, handler: str, members: Sequence[tuple[Turn, Change]]) -> None:
        try:
            done = self.site.executor.run_group(handler, [(turn.key, c) for turn, c in members])
        except Exception as error:
            for turn, _ in members:
                self._broke(turn, error)
            return
        for turn, change in members:
            turn.wrote = True
            self._account(turn, done, (change,), self.clock.now())

    def _execute(self, turn: Turn, guarded: Guarded, own: tuple[Change, ...]) -> None:
        """Send what one VM may have; nothing is begun when the time is out (C-24)."""
        seen = guarded.plan.seen
        if self._out_of_time():
            return
        try:
            turn.wrote = True
            done = carry_out(self.store, self.site, self.clock, turn.spec, guarded, own)
            self._account(turn, done, own, self.clock.now())
            self.narrator.changed(turn, seen, done, own)
        except Exception as error:
            self._broke(turn, error)

    def _account(self, turn: Turn, done: Done, sent: tuple[Change, ...], now: datetime) -> None:
        """Set where the turn stands after its calls.

        A failure does not end it: the next look goes on with what is independent of it (C-23).
        """
        turn.changes.extend(change for change in sent if done.landed(change.handler))
        for name, seconds in done.seconds.items():
            turn.spent[name] = turn.spent.get(name, 0.0) + seconds
        turn.standing, turn.not_before = Standing.ACTIVE, None
        turn.again = turn.again + 1 if done.again else 0
        if turn.again > MOST_AGAIN:
            reason = f"looked again {MOST_AGAIN} times, and still: {done.why}"
            turn.standing, turn.why = Standing.FAILED, reason
            for name in sorted(done.outcomes):
                self.site.executor.fail(turn.key, name, reason, now)
        for name, outcome in done.outcomes.items():
            if outcome.upid:
                turn.standing = Standing.TASK
                self.tasks[turn.key] = OpenTask(
                    outcome.upid, turn.key, turn.spec.cluster, name, now
                )
            elif outcome.error:
                turn.why = outcome.error
                self.narrator.failed(turn, now, name, outcome.error)
            elif outcome.retry_at and not done.again:
                turn.standing, turn.why = Standing.WAITING, done.why
                turn.not_before = outcome.retry_at

    def _follow(self) -> None:
        others = any(turn.standing is Standing.WAITING for turn in self.turns.values())
        patience = PATIENCE if others else 3600.0
        limits = [self._left(task) for task in self.tasks.values()]
        patience = min([patience, *(max(limit, 0.0) for limit in limits if limit is not None)])
        ends = self.follower.ended(self.tasks.values(), self._out_of_time, patience)
        for key, task in list(self.tasks.items()):
            limit = self._left(task)
            if task.upid in ends or (limit is not None and limit <= 0):
                del self.tasks[key]
                if task.upid not in ends and kind_of(task) == "qmigrate":
                    turn = self.turns[key]
                    turn.standing, turn.why = Standing.PAUSED, "its migration takes longer"
                else:
                    self._task_ended(self.turns[key], task, ends.get(task.upid))

    def _left(self, task: OpenTask) -> float | None:
        """Seconds for which this run still follows a task; None without a limit."""
        now = self.clock.now()
        if kind_of(task) != "qmigrate" or self.began is None:
            return left(task, now)
        return (max(task.started_at, self.began) + MIGRATION - now).total_seconds()

    def _task_ended(self, turn: Turn, task: OpenTask, end: TaskEnd | None) -> None:
        now = self.clock.now()
        self.store.tasks.close(task)
        took = (now - task.started_at).total_seconds()
        turn.spent[task.handler] = turn.spent.get(task.handler, 0.0) + took
        turn.standing = Standing.ACTIVE
        if end is None or end.ok:
            if end is not None and end.warnings:
                text = f"{turn.key}: {task.handler} ended with {end.warnings} warnings"
                self.narrator.reporter.report(Remark(now, text, "warning", turn.key))
            return
        if shutdown_failed(self.store, task):
            remark = Remark(
                now, f"{turn.key}: the shutdown failed: {end.text}", "warning", turn.key
            )
            self.narrator.reporter.report(remark)
            turn.standing, turn.why = Standing.WAITING, end.text
            turn.not_before = now + ASK_AGAIN
            return
        if kind_of(task) == "qmstart":
            self.store.intents.drop(turn.key, START)
        if isinstance(end.error, Contention | Locked):
            turn.standing, turn.why = Standing.WAITING, end.text
            turn.not_before = soon(turn.key, now)
            return
        self.site.executor.fail(turn.key, task.handler, end.text, now)
        # A VM that could not be migrated goes on where it is (DEP-16).
        gone_on = task.handler in MOVING
        turn.standing, turn.why = Standing.ACTIVE if gone_on else Standing.FAILED, end.text
        self.narrator.failed(turn, now, task.handler, end.text)

    def _close(self, turn: Turn) -> None:
        """The turn is over for this tick: tell how it ended, once."""
        if turn.standing in GOING:
            turn.why = turn.why or "the time is out"
        if not turn.closed:
            turn.closed = True
            self.narrator.ended(turn, self.clock.now())


def _decided(look: SiteLook, turn: Turn) -> Guarded | None:
    """Decide on one VM; None when it is known to be ready without asking."""
    if look.is_settled(turn):
        turn.standing, turn.why = Standing.READY, ""
        turn.aside = look.standing_note(turn)
        return None
    return look.decide(turn)


def _may_revert(guarded: Guarded, gate: Gate) -> bool:
    """Whether a failed hot-plug is to be taken back and nothing says to leave the VM alone."""
    plan = guarded.plan
    known = not any(note.blocking and note.handler in UNTOUCHED for note in plan.notes)
    return REVERT in plan.seen.memory.intents and known and gate.stop(plan.seen) is None


def deadline(start: datetime, time_limit: float) -> datetime:
    """Return when a tick must stop (FRM-11)."""
    return start + timedelta(seconds=time_limit)
