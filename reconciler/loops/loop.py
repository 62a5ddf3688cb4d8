"""What a loop is, what it is given when it runs, and what it answers."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from desired.timetable import Timetable
from reconciler.clock import Clock
from reconciler.config import Opened
from reconciler.options import RunOptions
from reconciler.report import DryRun, Remark, Reporter, Summary
from state.store import Store


@dataclass(frozen=True, slots=True)
class Occasion:
    """One run of one loop: what it works on, and until when.

    With `dry` the store is a preview and nothing may be written anywhere. `row` is the number of
    the run, its fence, `last` when it ran before; `by` is who asked for it; `keys` are the VMs
    that the loop is about, where those are not all. Once `stopped` is set no call is begun.
    """

    name: str
    opened: Opened
    options: RunOptions
    reporter: Reporter
    clock: Clock
    start: datetime
    deadline: datetime
    stopped: threading.Event = field(default_factory=threading.Event)
    dry: bool = False
    by: str = ""
    number: int = 0
    keys: frozenset[str] | None = None
    last: datetime | None = None

    @property
    def store(self) -> Store:
        return self.opened.store

    def out_of_time(self) -> bool:
        """Whether nothing more may be begun: the rest is for the next run (FRM-11)."""
        return self.stopped.is_set() or self.clock.now() >= self.deadline

    def note(self, text: str, key: str = "") -> None:
        """Say something, to who is looking and to the loop's kept output (FRM-10, FRM-18)."""
        self.reporter.report(Remark(self.clock.now(), text, "note", key))

    def warn(self, text: str, key: str = "") -> None:
        self.reporter.report(Remark(self.clock.now(), text, "warning", key))


@dataclass(frozen=True, slots=True)
class LoopResult:
    """How a run ended (TASK-08, FRM-04): `skipped` could not run, `error` tried and failed.

    `details` are lines for a person. `deactivate` switches the loop off (FRM-05). Of a loop over
    VMs `summary` counts them and `plan` is what its dry run found.
    """

    status: Literal["success", "skipped", "error"] = "success"
    processed: int = 0
    errors: int = 0
    details: tuple[str, ...] = ()
    message: str = ""
    deactivate: bool = False
    summary: Summary | None = None
    plan: DryRun | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """A scheduled job: `run` does it, or with `Occasion.dry` says what it would do.

    `schedule` is when it is due, unless the fleet or a person says otherwise; `active` whether it
    is on until a person says so; `source` where the schedule is from. A `suspended` one is not
    run, since its plugin is off. One that has no work, by the store, is left out of a run as if it
    were not due. An error that `run` raises is the loop's error; the others go on.
    """

    name: str
    about: str
    run: Callable[[Occasion], LoopResult]
    schedule: Timetable
    aliases: tuple[str, ...] = ()
    active: bool = True
    suspended: bool = False
    has_work: Callable[[Store, datetime], bool] = lambda store, at: True
    source: str = "built in"
