"""Tasks: queues of named steps that run when the cluster's clock passes them.

A task holds only plain values, so a saved world takes its running tasks with it. Step functions
are registered by name and look like `def fn(world, task, **args) -> list[Step] | None`.
Sources: pve-common PVE/UPID.pm, PVE/RESTEnvironment.pm.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity
from reconciler.sim.errors import Blocked, Refusal, TaskFailed
from reconciler.sim.record import recorded, restored

if TYPE_CHECKING:
    from reconciler.sim.world import World

UPID = re.compile(
    r"UPID:(?P<node>[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?):(?P<pid>[0-9A-Fa-f]{8}):"
    r"(?P<pstart>[0-9A-Fa-f]{8,9}):(?P<starttime>[0-9A-Fa-f]{8}):(?P<type>[^:\s]+):"
    r"(?P<id>[^:\s]*):(?P<user>[^:\s]+):\Z"
)
LOCK_WAIT = 10.0
"""Real seconds that a task or call waits for a lock; `speed` does not divide protocol limits."""

NO_CLOSING_LINE = "unexpected status"
"""The exitstatus of a worker that left without a word; its log has no closing line."""

UNSEEN = "unseen"
"""Kind of the tasks that no list shows."""

KEPT = 1200
"""Finished tasks kept per node, about what Proxmox's two index files hold."""


@dataclass(slots=True)
class Step:
    """One part of a task: runs `seconds` of the cluster's time after the part before it."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


StepFunction = Callable[..., "list[Step] | None"]
STEPS: dict[str, StepFunction] = {}


def step(name: str) -> Callable[[StepFunction], StepFunction]:
    """Register a step function under its name."""

    def register(function: StepFunction) -> StepFunction:
        if name in STEPS:
            raise ValueError(f"step {name} is declared twice")
        STEPS[name] = function
        return function

    return register


@dataclass(slots=True)
class Task:
    """A worker of one node. `status` is None while it runs, then "OK" or the error text.

    `due` is the world time of the next step, `waiting_since` when it began to wait for a lock.
    Faults: `hanging` never ends, `doomed` fails with that text, without `tidy` nothing is undone.
    A `hanging` task does what takes no time and then stands still. `interrupted` is its exitstatus
    when somebody stops it.
    """

    upid: str
    node: str
    pid: int
    pstart: int
    starttime: int
    kind: str
    id: str
    user: str
    steps: list[Step]
    on_fail: Step | None = None
    lines: list[str] = field(default_factory=list)
    warnings: int = 0
    status: str | None = None
    endtime: int | None = None
    ended_at: float | None = None
    due: float = 0.0
    waiting_since: float | None = None
    hanging: bool = False
    doomed: str | None = None
    tidy: bool = True
    interrupted: str = "received interrupt"

    @property
    def running(self) -> bool:
        return self.status is None

    @property
    def failed(self) -> bool:
        return self.status is not None and self.status not in ("OK",) and not self.warned

    @property
    def warned(self) -> bool:
        return self.status is not None and self.status.startswith("WARNINGS")

    def say(self, line: str) -> None:
        """Add a line to the task's log."""
        self.lines.append(line)

    def warn(self, text: str) -> None:
        """Add a warning; the task then ends as `WARNINGS: n`, which is a success."""
        self.warnings += 1
        self.lines.append(f"WARN: {text}")


class Tasks:
    """Every task of the cluster, running and finished."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.all: dict[str, Task] = {}
        self.waiting: list[tuple[float, int, str]] = []
        self.order = 0
        self.next_pid = 0x6900
        self.last_start: dict[str, float] = {}

    def start(
        self,
        node: str,
        kind: str,
        id: str | int,
        identity: Identity,
        steps: list[Step],
        on_fail: Step | None = None,
    ) -> str:
        """Begin a task and return its UPID. Steps of 0 seconds at its head run within this call;
        an error in them ends the task, never the call."""
        world = self.world
        self.next_pid += 3
        pid, pstart = self.next_pid, int((world.now - world.booted) * 100) & 0xFFFFFFFF
        starttime = world.stamp
        upid = f"UPID:{node}:{pid:08X}:{pstart:08X}:{starttime:08X}:{kind}:{id}:{identity}:"
        task = Task(
            upid, node, pid, pstart, starttime, kind, str(id), str(identity), list(steps), on_fail
        )
        task.due = world.now
        self.all[upid] = task
        self.last_start[node] = world.now
        world.log(node, str(identity), "pvedaemon", f"starting task {upid}")
        world.task_hook(task)
        self._go_on(task)
        self._forget()
        return upid

    def later(self, node: str, steps: list[Step]) -> None:
        """Work that a node does by itself, such as qmeventd's start after a reboot: a task that
        nobody sees, without log and UPID."""
        self.order += 1
        name = f"{UNSEEN}:{self.order}:{int(self.world.now)}"
        task = Task(name, node, 0, 0, int(self.world.now), UNSEEN, "", "root@pam", list(steps))
        task.due = self.world.now
        self.all[name] = task
        self._go_on(task)

    def _forget(self) -> None:
        if len(self.all) <= KEPT * len(self.world.nodes) + 100:
            return
        ended = [upid for upid, task in self.all.items() if not task.running]
        for upid in ended[:100]:
            del self.all[upid]

    def _go_on(self, task: Task) -> None:
        """Queue the task's next step, running those that take no time.

        A fault lets a task prepare its work and then hang or fail where it would take time.
        """
        while task.running:
            if task.hanging and (not task.steps or task.steps[0].seconds):
                return
            if task.doomed is not None and (not task.steps or task.steps[0].seconds):
                seconds = sum(one.seconds for one in task.steps)
                task.steps = [Step("task.fail", {"text": task.doomed}, seconds)]
                task.doomed = None
            if not task.steps:
                self.end(task, None)
                return
            due = task.due + task.steps[0].seconds / self.world.speed
            if due > self.world.now:
                self._queue(task, due)
                return
            self._run(task, due)

    def _queue(self, task: Task, due: float) -> None:
        task.due = due
        self.order += 1
        heapq.heappush(self.waiting, (due, self.order, task.upid))
        if task.steps:
            task.steps[0].seconds = 0.0

    def _run(self, task: Task, due: float) -> None:
        current = task.steps.pop(0)
        task.due = due
        try:
            more = STEPS[current.name](self.world, task, **current.args)
        except Blocked as blocked:
            task.steps.insert(0, Step(current.name, current.args))
            self._wait(task, blocked)
            return
        except TaskFailed as error:
            self.fail(task, str(error))
            return
        except Refusal as error:
            self.fail(task, error.reason.rstrip("\n"))
            return
        task.waiting_since = None
        if more:
            task.steps[:0] = more

    def _wait(self, task: Task, blocked: Blocked) -> None:
        now = self.world.now
        if task.waiting_since is None:
            task.waiting_since = now
            task.say("trying to acquire lock...")
        limit = task.waiting_since + self.world.lock_wait
        if now >= limit:
            self.fail(task, blocked.text)
            return
        # a step that blocks again at the same instant would spin
        until = blocked.until if blocked.until > now else limit
        task.due = min(until, limit)
        task.steps[0].seconds = 0.0

    def fail(self, task: Task, text: str) -> None:
        """End a running task with an error; its `on_fail` step tidies up first."""
        task.steps.clear()
        undo, task.on_fail = task.on_fail, None
        if undo is not None and task.tidy:
            try:
                STEPS[undo.name](self.world, task, **undo.args)
            except (TaskFailed, Refusal) as error:
                task.say(str(error).rstrip("\n"))
        self.end(task, text)

    def end(self, task: Task, error: str | None) -> None:
        """Close the task: `error` None is success."""
        world = self.world
        if task.kind == UNSEEN:
            task.status = error or "OK"
            del self.all[task.upid]
            return
        if error is not None:
            task.status = error
            if error != NO_CLOSING_LINE:
                task.lines.append(f"TASK ERROR: {error}")
        elif task.warnings:
            task.status = f"WARNINGS: {task.warnings}"
            task.lines.append(f"TASK {task.status}")
        else:
            task.status = "OK"
            task.lines.append("TASK OK")
        task.steps.clear()
        task.ended_at = world.now
        task.endtime = world.stamp
        task.hanging = False
        said = "OK" if error is None and not task.warnings else task.status
        world.log(task.node, task.user, "pvedaemon", f"end task {task.upid} {said}")

    def abandon(self, node: str) -> None:
        """End a node's running tasks as when its power fails: nothing is tidied up."""
        for task in [one for one in self.all.values() if one.running and one.node == node]:
            task.tidy = False
            self.fail(task, NO_CLOSING_LINE)

    def stop(self, task: Task) -> None:
        """What DELETE /nodes/N/tasks/UPID does to a running task."""
        if task.running:
            self.fail(task, task.interrupted)

    def due(self) -> float | None:
        """World time of the next step of any task, None when nothing waits."""
        while self.waiting:
            due, _, upid = self.waiting[0]
            task = self.all.get(upid)
            if task is not None and task.running and not task.hanging and task.due == due:
                return due
            heapq.heappop(self.waiting)
        return None

    def advance_one(self) -> None:
        """Run the step that is due first; the caller has set the world's clock to it."""
        due, _, upid = heapq.heappop(self.waiting)
        task = self.all[upid]
        self._run(task, due)
        self._go_on(task)

    def get(self, upid: str) -> Task | None:
        return self.all.get(upid)

    def newest(self) -> Iterator[Task]:
        return (task for task in reversed(self.all.values()) if task.kind != UNSEEN)

    def running(self) -> list[Task]:
        return [one for one in self.all.values() if one.running and one.kind != UNSEEN]

    def dump(self) -> dict[str, Any]:
        return {
            "next_pid": self.next_pid,
            "order": self.order,
            "last_start": dict(self.last_start),
            "waiting": [list(one) for one in sorted(self.waiting)],
            "all": [recorded(task) for task in self.all.values()],
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up saved tasks; steps that came due in between run at the next advance."""
        self.next_pid, self.order = saved["next_pid"], saved["order"]
        self.last_start = dict(saved["last_start"])
        self.waiting = [(due, order, upid) for due, order, upid in saved["waiting"]]
        tasks: list[Task] = restored(list[Task], saved["all"])
        self.all = {task.upid: task for task in tasks}


@step("task.fail")
def fail_task(world: World, task: Task, text: str) -> None:
    """The last step of a task that must fail."""
    raise TaskFailed(text)
