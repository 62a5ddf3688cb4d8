"""A lab with a queue: jobs are asked for as the command does, and its loop is run as by cron."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from reconciler.config import open_live
from reconciler.loops.loop import LoopResult
from reconciler.loops.perform import run_loop
from reconciler.queue.asking import Request, asked
from reconciler.queue.process import process_queue
from state.outbox import Event
from state.queue import QueueJob
from state.store import Store
from tests.lab import Sent, Told
from tests.laws.fleets import fleet_files
from tests.reconciler.loops.jobs import ONE, LoopLab


class QueueLab(LoopLab):
    """A lab whose VMs `vm-0` … are ready."""

    def at(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def live(self) -> Store:
        return Store.open(self.where, at=self.at())

    def add(self, path: str, method: str = "POST", **more: object) -> int:
        """Ask for a call; its number."""
        with self._opening(open_live)(self.fleet, self.where, self.at()) as opened:
            given: dict[str, object] = {"cluster": "demo", "params": {}, "by": "ann", **more}
            request = Request(method, path, at=self.at(), **given)  # type: ignore[arg-type]
            job = asked(opened.fleet, opened.store, request)
            return opened.store.queue.add(job).id

    def work(
        self, *, before: int | None = None, after: int | None = None, **options: object
    ) -> LoopResult:
        """One run of the loop, killed before or after a call of it."""
        self.wire.next_run(before, after)
        self.told = Told()
        opening, asked = self._opening(open_live), self._options(**options)
        return run_loop(process_queue(), asked, self.told, self.clock, opening)

    def posts(self, end: str) -> list[Sent]:
        """The writes that went out to a path with this end."""
        return [one for one in self.wire.writes() if one.path.endswith(end)]

    def job(self, number: int = 1) -> QueueJob:
        with self.store() as store:
            found = store.queue.of(number)
        assert found is not None
        return found

    def log(self, number: int = 1) -> list[str]:
        with self.store() as store:
            return [line.text for line in store.queue.log(number)]

    def events(self) -> list[Event]:
        with self.store() as store:
            return [one for one in store.outbox.waiting() if one.event == "work_failed"]

    def until(self, holds: Callable[[], bool], runs: int = 40, apart: float = 60.0) -> None:
        """Run as cron would, until something holds."""
        for _ in range(runs):
            if holds():
                return
            self.work()
            self.clock.sleep(apart)
        raise AssertionError(self.log())


def queue_lab(folder: Path, vms: int = 1) -> QueueLab:
    """A lab whose VMs are ready, with nothing in its queue."""
    lab = QueueLab(folder, fleet_files({f"vm-{number}": ONE for number in range(vms)}))
    lab.settle()
    lab.wire.calls.clear()
    return lab
