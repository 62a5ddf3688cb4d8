"""The whole engine in process: a fleet's files, a store, one simulated cluster, one clock.

A `Lab` outlives its runs as a data centre outlives a cron job: each `run` opens the store and the
specs anew, as a new process would. A run may be killed before or after any API call.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from desired.zones import ZoneSpec
from reconciler.config import Opened, Opening, open_live, open_preview
from reconciler.dryrun import dry_run
from reconciler.loop import run_once
from reconciler.options import RunOptions
from reconciler.pve.inprocess import InProcessApi
from reconciler.report import DryRun, Event, Step, Summary, VMError, VMPaused
from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY
from reconciler.sim.samples import FLEET_TOKEN, FLEET_USER, demo_world
from reconciler.sim.world import World
from state.api import ApiError, Json
from state.change import Call, Method, Param
from state.drivers import ZoneDriver
from state.store import Store
from tests.portrait import Portrait, portrait
from tests.stores import where

TICK = 0.001
"""Seconds that pass whenever somebody looks at the clock."""


class Killed(BaseException):
    """`kill -9`: nothing catches it, so nothing is tidied up."""


@dataclass(slots=True)
class LabClock:
    """The one clock of engine and cluster; it moves when it is read and when somebody sleeps."""

    seconds: float = SOME_DAY

    def now(self) -> datetime:
        self.seconds += TICK
        return datetime.fromtimestamp(self.seconds, UTC)

    def sleep(self, seconds: float) -> None:
        self.seconds += max(seconds, 0.0)

    def __call__(self) -> float:
        return self.seconds


@dataclass(frozen=True, slots=True)
class Sent:
    """One API call as it went out in run number `run`; `error` is what came back, if it did."""

    run: int
    method: str
    path: str
    params: Mapping[str, Param]
    error: str = ""
    answer: Json = None

    @property
    def is_write(self) -> bool:
        return self.method != "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.path}" + (f" ({self.error})" if self.error else "")


@dataclass
class Wire:
    """The way between engine and cluster, which tells all that goes over it and may be cut.

    With `kill_before` N the N-th call of the run (from 0) is never sent, with `kill_after` it has
    its effect and its answer is never heard. A call that was killed unsent is `on_the_way`: with
    `late` M it arrives all the same, just before call M of the next run. `meanwhile` happens once,
    just before the first write that it is told of and answers True to.
    """

    calls: list[Sent] = field(default_factory=list)
    run: int = 0
    count: int = 0
    kill_before: int | None = None
    kill_after: int | None = None
    late: int | None = None
    on_the_way: Call | None = None
    meanwhile: Callable[[Call], bool] | None = None

    def intervene(self, call: Call) -> None:
        if self.meanwhile is not None and self.meanwhile(call):
            self.meanwhile = None

    def next_run(self, before: int | None = None, after: int | None = None) -> None:
        self.run, self.count = self.run + 1, 0
        self.kill_before, self.kill_after = before, after

    def of(self, run: int) -> list[Sent]:
        return [sent for sent in self.calls if sent.run == run]

    def writes(self, run: int | None = None) -> list[Sent]:
        return [one for one in self.calls if one.is_write and run in (None, one.run)]


class WiredApi(InProcessApi):
    """The simulator's API, over a wire and on the lab's clock."""

    def __init__(self, simulator: Simulator, identity: str, wire: Wire, clock: LabClock) -> None:
        super().__init__(simulator, identity)
        self.trace: Callable[[str, str, float, int], None] | None = None
        self._wire = wire
        self._clock = clock

    def _call(self, method: Method, path: str, params: Mapping[str, Param]) -> Json:
        wire, index = self._wire, self._wire.count
        if wire.kill_before == index:
            wire.on_the_way = Call(method, path, params)
            raise Killed(f"before call {index}: {method} {path}")
        if wire.late == index and wire.on_the_way is not None:
            call, wire.on_the_way = wire.on_the_way, None
            with suppress(ApiError):
                super()._call(call.method, call.path, call.params)
        if method is not Method.GET:
            wire.intervene(Call(method, path, params))
        wire.count += 1
        error, answer = "", None
        try:
            answer = super()._call(method, path, params)
            return answer
        except ApiError as failure:
            error = f"{type(failure).__name__}: {failure.text}"
            raise
        finally:
            wire.calls.append(Sent(wire.run, str(method), path, dict(params), error, answer))
            self._clock.seconds = max(self._clock.seconds, self._simulator.world.now)
            if wire.kill_after == index:
                raise Killed(f"after call {index}: {method} {path}")


class LabOpened(Opened):
    """A fleet whose clusters are all the lab's."""

    lab: "Lab"

    def connect(self, name: str) -> WiredApi:
        return self.lab.api(name)

    def dns(self, zone: ZoneSpec) -> ZoneDriver:
        return self.lab.driven(super().dns(zone))


@dataclass
class Told:
    """Everything that a run said."""

    events: list[Event] = field(default_factory=list)

    def report(self, *events: Event) -> None:
        self.events.extend(events)

    def steps(self, key: str) -> list[Step]:
        return [one for one in self.events if isinstance(one, Step) and one.key == key]

    def words(self, key: str) -> str:
        """Why the VM is not ready, as said by the run."""
        said = [one.why for one in self.events if isinstance(one, VMPaused) and one.key == key]
        said += [one.error for one in self.events if isinstance(one, VMError) and one.key == key]
        said += [one.detail for one in self.steps(key) if one.result == "error"]
        return "\n".join(said)


class Lab:
    """A data centre with one cluster `demo`, and the fleet in `files` below `folder`."""

    def __init__(
        self,
        folder: Path,
        files: Mapping[str, str],
        nodes: int = 3,
        speed: float = 600.0,
        seed: int = 0,
    ) -> None:
        self.fleet, self.database = folder / "fleet", folder / "store.db"
        self.where = where(self.database)
        self.clock = LabClock()
        self.world: World = demo_world(SOME_DAY, nodes=nodes, seed=seed, speed=speed)
        self.simulator = Simulator(self.world, self.clock)
        self.wire = Wire()
        self.told = Told()
        self.driven: Callable[[ZoneDriver], ZoneDriver] = lambda driver: driver
        self.ask("POST", "/pools", poolid="customers")
        self.write(files)

    def write(self, files: Mapping[str, str]) -> None:
        """Write spec files, over those of the same name."""
        for name, text in files.items():
            path = self.fleet / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def api(self, name: str = "demo") -> WiredApi:
        return WiredApi(self.simulator, f"{FLEET_USER}!{FLEET_TOKEN}", self.wire, self.clock)

    def ask(self, method: str, path: str, /, **params: object) -> object:
        """Do something as root@pam, as a person would in the GUI; fails unless it is accepted."""
        answer = self.simulator.call(method, path, params)
        assert answer.ok, answer
        return answer.data

    def run(
        self, *, before: int | None = None, after: int | None = None, **options: object
    ) -> Summary:
        """One `reconcile --once`, killed where it is told to be (raises Killed)."""
        self.wire.next_run(before, after)
        self.told = Told()
        return run_once(self._options(**options), self.told, self.clock, self._opening(open_live))

    def dry(self, **options: object) -> DryRun:
        self.wire.next_run()
        self.told = Told()
        asked = self._options(**options)
        return dry_run(asked, self.told, self.clock, self._opening(open_preview))

    def settle(self, runs: int = 12, apart: float = 60.0) -> Summary:
        """Run as cron would, every `apart` seconds, until a run has nothing left to write."""
        for _ in range(runs):
            summary = self.run()
            if summary.ready == summary.vms and summary.writes == 0:
                return summary
            self.clock.sleep(apart)
        said = "\n".join(str(event) for event in self.told.events)
        raise AssertionError(f"not settled after {runs} runs: {summary}\n{said}")

    def shot(self) -> Portrait:
        """The portrait of the cluster and of what the store knows of it."""
        with self.store() as store:
            return portrait(self.world, store)

    def bytes(self) -> dict[str, bytes]:
        """Every file beside the store, to the byte."""
        folder = self.database.parent
        return {one.name: one.read_bytes() for one in sorted(folder.iterdir()) if one.is_file()}

    def store(self) -> Store:
        """The store, for looking only; close it."""
        return Store.preview(self.where, at=datetime.fromtimestamp(self.clock(), UTC))

    def _options(self, **options: object) -> RunOptions:
        return RunOptions(self.fleet, self.where, **options)  # type: ignore[arg-type]

    def _opening(self, opening: Opening) -> Opening:
        @contextmanager
        def opened(folder: Path, database: str | None, at: datetime | None) -> Iterator[Opened]:
            with opening(folder, database, at) as real:
                ours = LabOpened(real.fleet, real.store, real.database, real.preview, real.stack)
                ours.lab = self
                yield ours

        return opened
