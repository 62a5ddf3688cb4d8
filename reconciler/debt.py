"""The reboot debt: VMs whose running config differs from the written one until they restart."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from desired.spec import VMSpec
from desired.windows import Opening as Time
from desired.windows import next_opening
from handlers.effects import running
from handlers.waiting import EFFECT, RESTART
from reconciler.clock import Clock, SystemClock
from reconciler.config import Opening, open_preview
from reconciler.drain import PATIENT, Stopped, stopped_by
from reconciler.glance import glance
from reconciler.guard import Guarded
from reconciler.options import RunOptions
from reconciler.report import Reporter
from state.conditions import Condition
from state.observed import SeenVM


@dataclass(frozen=True, slots=True)
class Debt:
    """One VM that waits for a restart: for which keys, and since when it is known to.

    `window` is the next time at which its policy lets it; `asked` says that a person did. `seconds`
    is what a restart is expected to take, None when none was seen; `own` says that this VM's were.
    `hindered` are words for what else keeps it from being restarted.
    """

    key: str
    keys: tuple[str, ...]
    policy: str
    since: datetime | None = None
    window: Time | None = None
    asked: bool = False
    seconds: float | None = None
    own: bool = False
    group: str = ""
    hindered: str = ""


@dataclass(frozen=True, slots=True)
class Debts:
    """All debt at one moment. `unknown` says of the VMs that could not be looked at why."""

    at: datetime
    vms: tuple[Debt, ...]
    looked: int
    unknown: Mapping[str, str]
    problems: tuple[str, ...] = ()
    stopped: Stopped | None = None


def debts(
    options: RunOptions,
    reporter: Reporter,
    clock: Clock | None = None,
    opening: Opening = open_preview,
) -> Debts:
    """Look at the clusters and return what waits for a restart; writes nothing.

    Raises UnusableSource, StoreError, BrokenSpecs.
    """
    with glance(options, reporter, clock or SystemClock(), opening) as found:
        store, vms = found.opened.store, []
        since, took = _since(store.conditions.all()), store.downtimes.all()
        for key, seen in found.seen.items():
            if waits(seen):
                guarded = found.preview.guarded[key]
                vms.append(_debt(found.turns[key].spec, guarded, since.get(key), took))
        unknown = found.unknown
        looked = len(found.turns) - len(unknown)
        return Debts(found.at, tuple(vms), looked, unknown, found.problems, stopped_by(store))


def waits(seen: SeenVM) -> bool:
    """Whether the VM runs with other values than its config has."""
    return running(seen) and bool(seen.config and seen.config.pending)


def _since(conditions: Mapping[str, tuple[Condition, ...]]) -> dict[str, datetime]:
    return {
        key: one.since
        for key, found in conditions.items()
        for one in found
        if one.type == "RestartRequired"
    }


def _debt(
    spec: VMSpec, guarded: Guarded, since: datetime | None, took: Mapping[str, list[float]]
) -> Debt:
    seen = guarded.plan.seen
    windowed = spec.restart == "window"
    hindered = (note.reason for note in guarded.notes if note.condition in PATIENT)
    seconds, own = expected(spec.key, took)
    return Debt(
        key=spec.key,
        keys=tuple(sorted(seen.config.pending if seen.config else ())),
        policy=spec.restart,
        since=since,
        window=next_opening(spec.windows, EFFECT, seen.at) if windowed else None,
        asked=RESTART in seen.memory.intents,
        seconds=seconds,
        own=own,
        group=spec.anti_affinity or "",
        hindered=next(hindered, ""),
    )


def expected(key: str, took: Mapping[str, list[float]]) -> tuple[float | None, bool]:
    """The median of a VM's past restarts, else of the fleet's; and whether it is its own."""
    if key in took:
        return median(took[key]), True
    every = [seconds for found in took.values() for seconds in found]
    return (median(every) if every else None), False
