"""One tick: look again and again until all is settled or the time budget ends (design 3).

What a look needs of one cluster is put together in `reconciler.look`, what comes of it for each VM
stands in `reconciler.reckon`, what is sent in `reconciler.work`; here stands the order of things.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.clock import Clock, Workers
from reconciler.execute import REVERT
from reconciler.follow import Follower
from reconciler.guard import Gate, Guarded
from reconciler.look import SiteLook
from reconciler.reckon import Reckoner
from reconciler.report import Remark
from reconciler.show.text import count_of
from reconciler.site import Site
from reconciler.stopping import kind_of, left
from reconciler.turn import Standing, Turn
from reconciler.usage.sampling import sample
from reconciler.work import Work
from state.memory import Memory, OpenTask
from state.store import Store, StoreError

logger = logging.getLogger(__name__)
UNTOUCHED = ("observe", "allocate", "exists")
"""Whose blocking notes say that the machine may not be ours, or not be there."""
GOING = (Standing.ACTIVE, Standing.TASK, Standing.WAITING)
PATIENCE = 2.0
OTHERS = timedelta(seconds=2)
"""How long one run waits for the task that another loop has begun on a VM."""

MIGRATION = timedelta(seconds=300)
"""How long one run follows a migration, which the next run then goes on with (DEP-15)."""

LONG = {"qmigrate": "migration", "qmrestore": "restore"}
"""Kinds of tasks that copy all of a VM, and may take hours."""


@dataclass(slots=True)
class Tick:
    """One run over one cluster's VMs, by key; it ends at `deadline`, or when it is `stopped`.

    `follows` is how long it follows one task at most; another loop's it only asks after. `greet`
    welcomes what a look has accepted, before anything is sent to the cluster (DEP-25).
    """

    reckoner: Reckoner
    workers: Workers
    deadline: datetime
    turns: dict[str, Turn]
    follower: Follower
    look: Callable[[Site, bool], SiteLook]
    stopped: threading.Event = field(default_factory=threading.Event)
    looks: int = 0
    seen: bool = False
    began: datetime | None = None
    follows: timedelta | None = None
    greet: Callable[[], None] = lambda: None

    @property
    def site(self) -> Site:
        return self.reckoner.site

    @property
    def store(self) -> Store:
        return self.reckoner.store

    @property
    def clock(self) -> Clock:
        return self.reckoner.clock

    def run(self) -> None:
        """Look until nothing is left to do in this tick."""
        self.began = self.clock.now()
        for key, task in self.store.tasks.all().items():
            if key in self.turns and task.cluster == self.site.name:
                self.reckoner.tasks[key] = task
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
        if not self.reckoner.trouble:
            return
        for turn in self.turns.values():
            if turn.standing in (Standing.ACTIVE, Standing.WAITING):
                turn.standing, turn.why = Standing.FAILED, self.reckoner.trouble
        left_alone = sum(turn.why == self.reckoner.trouble for turn in self.turns.values())
        text = f"{self.reckoner.trouble}: {count_of(left_alone, 'VM')} left alone"
        self.reckoner.narrator.reporter.report(Remark(self.clock.now(), text, "error"))
        self.reckoner.trouble = ""

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
        if self.reckoner.tasks:
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
        self.reckoner.trouble = look.view.problem or ""
        if first and not self.reckoner.trouble:
            self._meter(look, memories)
        self.seen = self.seen or not self.reckoner.trouble
        ready: list[tuple[Turn, Guarded]] = []
        for turn in sorted(turns, key=lambda turn: turn.key):
            if self._out_of_time():
                break
            guarded = self._safely(turn, lambda turn=turn: _decided(look, turn))  # type: ignore[misc]
            if guarded is not None:
                self.reckoner.told(turn, guarded, memories.get(turn.key, Memory()))
                if guarded.allowed or _may_revert(guarded, look.gate):
                    ready.append((turn, guarded))
        if self.reckoner.trouble and not look.view.passing:
            self._give_up()
        self.reckoner.settler.keep()
        look.settled.keep()
        self.greet()
        Work(self.reckoner, self.workers, self._out_of_time).send(ready)

    def _meter(self, look: SiteLook, memories: Mapping[str, Memory]) -> None:
        """Sample the traffic of all VMs of the cluster, once a tick."""
        bindings = (one.binding for one in memories.values() if one.binding)
        mine = {one.vmid: one for one in bindings if one.cluster == self.site.name}
        sample(self.store, look.view, mine, look.fleet.name, look.fleet.schedule.zone)

    def _odd(self, turns: Sequence[Turn], error: Exception) -> None:
        """What a cluster answered could not be made sense of: the others go on without it."""
        logger.exception("cluster %s could not be looked at", self.site.name)
        self.reckoner.trouble = f"cluster {self.site.name}: {type(error).__name__}: {error}"
        self.site.neighbours.out_of_reach(self.site.name)
        for turn in turns:
            turn.standing, turn.why = Standing.FAILED, self.reckoner.trouble
        self._give_up()

    def _safely(self, turn: Turn, work: Callable[[], Guarded | None]) -> Guarded | None:
        try:
            return work()
        except Exception as error:
            self.reckoner.broke(turn, error)
            return None

    def _follow(self) -> None:
        others = any(turn.standing is Standing.WAITING for turn in self.turns.values())
        patience = PATIENCE if others else 3600.0
        limits = [self._left(task) for task in self.reckoner.tasks.values()]
        patience = min([patience, *(max(limit, 0.0) for limit in limits if limit is not None)])
        ends = self.follower.ended(self.reckoner.tasks.values(), self._out_of_time, patience)
        for key, task in list(self.reckoner.tasks.items()):
            limit = self._left(task)
            if task.upid in ends or (limit is not None and limit <= 0):
                del self.reckoner.tasks[key]
                if task.upid not in ends and self._goes_on(task):
                    turn = self.turns[key]
                    turn.standing, turn.why = Standing.PAUSED, self._goes_on(task)
                else:
                    self.reckoner.task_ended(self.turns[key], task, ends.get(task.upid))

    def _left(self, task: OpenTask) -> float | None:
        """Seconds for which this run still follows a task; None without a limit."""
        now, most = self.clock.now(), self.follows
        if self._is_foreign(task):
            most = OTHERS
        elif kind_of(task) in LONG:
            most = min(MIGRATION, most or MIGRATION)
        if most is None or self.began is None:
            return left(task, now)
        return (max(task.started_at, self.began) + most - now).total_seconds()

    def _goes_on(self, task: OpenTask) -> str:
        """Say what is at work where this run need not wait for it; empty where it must."""
        if self._is_foreign(task):
            return f"{task.handler} is at work ({task.upid})"
        if kind_of(task) in LONG:
            return f"its {LONG[kind_of(task)]} takes longer"
        return f"{task.handler} takes longer" if self.follows else ""

    def _is_foreign(self, task: OpenTask) -> bool:
        """Whether another loop began it: a job's handlers are named `JOB.part`."""
        ours = self.site.executor.handlers
        return task.handler not in ours and ("." in task.handler or self.follows is not None)

    def _close(self, turn: Turn) -> None:
        """The turn is over for this tick: tell how it ended, once."""
        if turn.standing in GOING:
            turn.why = turn.why or "the time is out"
        if not turn.closed:
            turn.closed = True
            self.reckoner.narrator.ended(turn, self.clock.now())


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
