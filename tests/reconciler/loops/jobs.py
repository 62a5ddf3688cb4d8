"""Loops for the tests, and a lab that runs them as cron does."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from desired.spec import VMSpec
from desired.timetable import read_timetable
from handlers.handler import Subject, config_call, send_calls
from reconciler.config import open_live, open_preview
from reconciler.location import fleet_locks
from reconciler.lock import PROCESS_VMS
from reconciler.loops.cycle import Cycle, Tally, locks_of, run_due
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.loops.over import vm_loop
from reconciler.loops.perform import dry_loop, run_loop
from reconciler.loops.process import process_vms
from state.change import Change, Note
from state.observed import SeenVM
from state.store import Store
from tests.lab import Lab, Told
from tests.laws.fleets import Spec, fleet_files

ONE: Spec = {"node": "pve1", "memory": "1GiB"}
WISH = "looked after"


class Label:
    """Gives a VM's description one more line, and raises a condition of those that wait for it."""

    name = "label.line"
    subject = Subject.VM
    after: tuple[str, ...] = ()
    blocking = True
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        text = (seen.config and seen.config.wanted.description) or ""
        if WISH in text:
            return
        yield Note(seen.key, self.name, "line", "no line yet", "Unlabelled")
        call = config_call(seen, {"description": f"{WISH}\n\n{text}"})
        yield Change(seen.key, self.name, "line", None, WISH, (call,))


def label(schedule: str = "hourly") -> Loop:
    return vm_loop("label", "label every VM", (Label(),), schedule)


@dataclass
class Plain:
    """A loop that is no loop over VMs: it counts, and does what it is told to."""

    name: str = "count"
    schedule: str = "hourly"
    act: Callable[[Occasion], LoopResult | None] = lambda occasion: None
    runs: list[Occasion] = field(default_factory=list)

    def loop(self) -> Loop:
        return Loop(self.name, "count", self._run, read_timetable(self.schedule))

    def _run(self, occasion: Occasion) -> LoopResult:
        self.runs.append(occasion)
        return self.act(occasion) or LoopResult(processed=1, message="counted")


class LoopLab(Lab):
    """A lab whose runs are those of cron: every loop that is due."""

    def due(self, *loops: Loop, **options: object) -> Tally:
        """One `reconcile --once`."""
        self.wire.next_run()
        self.told = Told()
        chosen = (process_vms(), *loops)
        return run_due(
            self._options(**options),
            self.told,
            self.clock,
            self._opening(open_live),
            loops=chosen,
        )

    def one(self, loop: Loop, kill: int | None = None, **options: object) -> LoopResult:
        """One `reconcile job run`, killed after so many calls."""
        self.wire.next_run(after=kill)
        self.told = Told()
        opening = self._opening(open_live)
        return run_loop(loop, self._options(**options), self.told, self.clock, opening)

    def preview(self, loop: Loop, **options: object) -> LoopResult:
        """One `reconcile job dry-run`."""
        self.wire.next_run()
        self.told = Told()
        opening = self._opening(open_preview)
        return dry_loop(loop, self._options(**options), self.told, self.clock, opening)

    @contextmanager
    def month(self) -> Iterator[Callable[..., Tally]]:
        """Run as cron does at any moments, with the fleet opened once and a store in memory."""
        opening, known = self._opening(open_live), fleet_locks(self.fleet, self.where)
        options, lock = self._options(time_limit=3600.0), known.of(PROCESS_VMS)
        at = self.clock.now()
        with opening(self.fleet, self.where, at) as opened, Store.temporary(at=at) as store:
            opened.store = store

            def run(at: datetime, *loops: Loop) -> Tally:
                self.clock.seconds = at.timestamp()
                stop, locks = threading.Event(), locks_of(known, lock)
                cycle = Cycle(opened, options, self.told, self.clock, at, locks, stop)
                return cycle.go((process_vms(), *loops))

            yield run

    def zone(self, name: str) -> ZoneInfo:
        return ZoneInfo(name)


def loop_lab(folder: Path, schedule: str = "", vms: int = 1) -> LoopLab:
    """A lab with VMs that are ready, or to be made by its first run."""
    files = fleet_files({f"vm-{number}": ONE for number in range(vms)})
    head = files["fleet.yaml"]
    return LoopLab(folder, {**files, "fleet.yaml": f"{head}\n{schedule}\n" if schedule else head})
