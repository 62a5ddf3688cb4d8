"""What a look, a call or a task comes to for one VM's turn: told, set down, and where it stands.

The one place where an exception of one VM is made that VM's error.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from handlers.safeguard import UNAVAILABLE, UNDONE
from handlers.stop import START
from handlers.terminate import BLOCKED
from handlers.terminate import WAITS as END_WAITS
from handlers.wishes import RESTORE
from reconciler.backoff import soon
from reconciler.clock import Clock
from reconciler.drift import tell_drift
from reconciler.ending import Ending, Farewell
from reconciler.execute import Done
from reconciler.guard import PATIENT, Guarded
from reconciler.moves import MOVING
from reconciler.pve.tasks import TaskEnd
from reconciler.report import Remark
from reconciler.secrets import SecretError
from reconciler.settle import Settler
from reconciler.site import Site
from reconciler.skips import tell_refused
from reconciler.stopping import kind_of, looked, shutdown_failed, stop_failed
from reconciler.turn import Narrator, Standing, Turn
from reconciler.verbs.following import followed
from state.api import ApiError, Contention, Locked
from state.change import Change
from state.memory import Memory, OpenTask, Phase
from state.observed import Presence
from state.store import Lost, Store

logger = logging.getLogger(__name__)
MOST_AGAIN = 10
WAITS = (None, *PATIENT, UNAVAILABLE, "NotRead", BLOCKED, END_WAITS)
"""Conditions of a note that is no failure: a short wait, or one for a person or the next tick."""
ROLLED_BACK = ("safeguard", "hold")
"""The last change of a rollback: the run that makes it has failed; later ones leave it held."""
ASK_AGAIN = timedelta(seconds=10)
"""How long after a failed shutdown the guest is asked again."""


@dataclass(slots=True)
class Reckoner:
    """Sets down what came of one cluster's turns; `tasks` are those that are followed, by key.

    `trouble` says why the whole cluster cannot be worked on, which is told once for all.
    """

    store: Store
    site: Site
    narrator: Narrator
    clock: Clock
    settler: Settler
    tasks: dict[str, OpenTask] = field(default_factory=dict)
    trouble: str = ""
    farewells: Sequence[Farewell] = ()

    @property
    def ending(self) -> Ending:
        fleet = self.settler.fleet
        return Ending(self.store, self.site, self.clock, self.narrator, fleet, self.farewells)

    def broke(self, turn: Turn, error: Exception) -> None:
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

    def told(self, turn: Turn, guarded: Guarded, memory: Memory) -> None:
        """Tell what has landed, and set where the turn stands without executing anything."""
        seen = guarded.plan.seen
        turn.last = guarded
        for text in tell_drift(self.store, turn.key, guarded, seen.at):
            remark = Remark(seen.at, f"drift: {text}", "warning", turn.key)
            self.narrator.reporter.report(remark)
        for text in tell_refused(self.store, turn.spec, guarded):
            remark = Remark(seen.at, text, "warning", turn.key)
            self.narrator.reporter.report(remark)
        for text in followed(self.store, guarded.plan):
            self.narrator.reporter.report(Remark(seen.at, text, "note", turn.key))
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
            if worst is None and any((c.handler, c.field) == ROLLED_BACK for c in turn.changes):
                worst = next((n for n in guarded.notes if n.condition == UNDONE), None)
            turn.standing = Standing.FAILED if worst else Standing.PAUSED
            first = worst or next(note for note in blocking if note.condition)
            turn.why = first.reason
            told = self.trouble or (worst and worst.condition == "BackOff" and turn.wrote)
            if worst and not told:
                self.narrator.broke(turn, self.clock.now(), turn.why)

    def account(self, turn: Turn, done: Done, sent: tuple[Change, ...], now: datetime) -> None:
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

    def task_ended(self, turn: Turn, task: OpenTask, end: TaskEnd | None) -> None:
        now = self.clock.now()
        if end is not None and end.ok:
            self.ending.landed(task)
        self.store.tasks.close(task)
        took = (now - task.started_at).total_seconds()
        turn.spent[task.handler] = turn.spent.get(task.handler, 0.0) + took
        turn.standing = Standing.ACTIVE
        if end is None or end.ok:
            if end is not None and end.warnings:
                text = f"{task.handler} ended with {end.warnings} warnings"
                self.narrator.reporter.report(Remark(now, text, "warning", turn.key))
            return
        if shutdown_failed(self.store, task):
            remark = Remark(now, f"the shutdown failed: {end.text}", "warning", turn.key)
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
        if task.handler == RESTORE and kind_of(task) == "qmrestore":
            # The next look finds out what it left of the VM.
            turn.why = end.text
            self.narrator.failed(turn, now, task.handler, end.text)
            return
        if kind_of(task) == "qmdestroy" and task.handler == "terminate":
            self.ending.failed(turn, end.text)
            return
        self.site.executor.fail(turn.key, task.handler, end.text, now)
        # A VM that could not be migrated goes on where it is (DEP-16).
        gone_on = task.handler in MOVING
        turn.standing, turn.why = Standing.ACTIVE if gone_on else Standing.FAILED, end.text
        self.narrator.failed(turn, now, task.handler, end.text)
