"""Follow the tasks that we started, each on its own node, at most once a second (design 3.5)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.clock import Clock
from reconciler.pve.tasks import TaskEnd, task_status
from reconciler.report import Heartbeat, Reporter
from reconciler.stopping import PATIENCE, kind_of
from state.api import Api, ApiError, NotFound, Refused
from state.memory import OpenTask

FIRST_POLL, NEXT_POLL, HEARTBEAT = 0.1, 1.0, 15.0


@dataclass(slots=True)
class Follower:
    """Polls open tasks until something has ended, or the time is out."""

    clock: Clock
    reporter: Reporter
    api_of: Callable[[str], Api]
    _polled: dict[str, datetime] = field(default_factory=dict)
    _told: dict[str, float] = field(default_factory=dict)
    _waiting: dict[str, datetime] = field(default_factory=dict)

    def ended(
        self, tasks: Iterable[OpenTask], out_of_time: Callable[[], bool], patience: float
    ) -> dict[str, TaskEnd | None]:
        """Wait for tasks to end; return those that did by UPID, None for one that is unknown now.

        Returns when all have ended, when some have and the others were asked, or after `patience`
        seconds.
        """
        open_tasks = {task.upid: task for task in tasks}
        ends: dict[str, TaskEnd | None] = {}
        until = self.clock.now() + timedelta(seconds=patience)
        while open_tasks and not out_of_time() and self.clock.now() < until:
            for upid, task in list(open_tasks.items()):
                if self._due(task):
                    self._poll(task, ends)
                if upid in ends:
                    del open_tasks[upid]
            if ends and not any(self._is_young(task) for task in open_tasks.values()):
                break
            self.clock.sleep(FIRST_POLL)
        return ends

    def waits(self, reasons: Mapping[str, str]) -> None:
        """Tell now and then of VMs that wait, by key with the reason, though not for a task."""
        now = self.clock.now()
        for key in self._waiting.keys() - reasons.keys():
            del self._waiting[key]
            self._told.pop(key, None)
        for key, why in reasons.items():
            waited = (now - self._waiting.setdefault(key, now)).total_seconds()
            if waited - self._told.get(key, 0.0) >= HEARTBEAT:
                self._told[key] = waited
                self.reporter.report(Heartbeat(now, key, "", waited, status=why))

    def _due(self, task: OpenTask) -> bool:
        polled = self._polled.get(task.upid)
        since = (self.clock.now() - (polled or task.started_at)).total_seconds()
        return since >= (NEXT_POLL if polled else FIRST_POLL)

    def _is_young(self, task: OpenTask) -> bool:
        """Whether the task was not polled yet: its first poll is worth the wait."""
        return task.upid not in self._polled

    def _poll(self, task: OpenTask, ends: dict[str, TaskEnd | None]) -> None:
        now = self._polled[task.upid] = self.clock.now()
        self._heartbeat(task, now)
        try:
            end = task_status(self.api_of(task.cluster), task.upid)
        except (NotFound, Refused, ValueError):
            ends[task.upid] = None
            return
        except ApiError:
            return
        if end is not None:
            ends[task.upid] = end

    def _heartbeat(self, task: OpenTask, now: datetime) -> None:
        waited = (now - task.started_at).total_seconds()
        if waited - self._told.get(task.upid, 0.0) >= HEARTBEAT:
            self._told[task.upid] = waited
            stops = PATIENCE.get(kind_of(task))
            limit, status = (stops.total_seconds(), "running") if stops else (None, "")
            self.reporter.report(Heartbeat(now, task.key, task.handler, waited, limit, status))
