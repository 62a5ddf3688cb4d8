"""A run of the loop `process_vms`: open, look, report; one runner at a time (design 2, Loop)."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial

from desired.source import Fleet
from reconciler.aftermath import remove_kept, taken_back
from reconciler.approval import grant_now
from reconciler.clock import Clock, SystemClock, Workers
from reconciler.config import Opened, Opening, open_live
from reconciler.dns.farewell import Farewell
from reconciler.dns.fleet import SHARE, FleetZones, Settled, write_down
from reconciler.follow import Follower
from reconciler.location import fleet_lock, fleet_locks
from reconciler.lock import Lock
from reconciler.look import SiteLook
from reconciler.notices import accept
from reconciler.notices.greet import Greeter
from reconciler.options import RunOptions
from reconciler.orphans.orphan import Orphan
from reconciler.orphans.watch import watched
from reconciler.outcome import conditions_of, results_of
from reconciler.past import pull
from reconciler.prepare import Stage, addresses_in_use, fits, renamed, told_of, turns_of, unmatched
from reconciler.reckon import Reckoner
from reconciler.registry import vm_handlers
from reconciler.report import Level, Remark, Reporter, RunDone, RunStarted, Summary
from reconciler.rollout.course import Course, line_of
from reconciler.rollout.health import Health
from reconciler.settle import Settler
from reconciler.site import Site
from reconciler.spent import Spent
from reconciler.tick import Tick, deadline
from reconciler.turn import Narrator, Turn
from reconciler.verbs.taking import take_up
from reconciler.withdraw import withdraw
from state.api import Json


def run_once(
    options: RunOptions,
    reporter: Reporter,
    clock: Clock | None = None,
    opening: Opening = open_live,
) -> Summary:
    """Make the fleet what its specs say, as far as the time limit allows.

    Raises LockHeld when another run is at work, UnusableSource, GitError, StoreError, BrokenSpecs,
    ApprovalRefused; one VM's or one cluster's trouble is in the summary instead.
    """
    with fleet_lock(options.fleet, options.database) as lock:
        return run_held(options, reporter, clock or SystemClock(), opening, lock)


def run_held(
    options: RunOptions,
    reporter: Reporter,
    clock: Clock,
    opening: Opening,
    lock: Lock,
) -> Summary:
    """One run of somebody who holds the fleet's lock."""
    start = clock.now()
    if options.pull:
        reporter.report(Remark(clock.now(), str(pull(options.fleet))))
    with opening(options.fleet, options.database, start) as opened:
        options.insist(opened.fleet)
        opened.store.fenced(lock.insist)
        return Run(opened, options, reporter, clock, start, threading.Event()).go()


@dataclass(slots=True)
class Run:
    """One run over an opened fleet."""

    opened: Opened
    options: RunOptions
    reporter: Reporter
    clock: Clock
    start: datetime
    stopped: threading.Event
    skipped: Mapping[str, str] = field(default_factory=dict)
    orphans: Mapping[str, Orphan] = field(default_factory=dict)

    def go(self) -> Summary:
        """Prepare, tick, and set down what came of it."""
        store = self.opened.store
        self._watch()
        fleet = self.opened.fleet
        only = self.options.only
        for key, said in take_up(fleet, store, lambda key: fits(key, only), self.start):
            self._remark(f"{key}: {said}", key=key)
        for said in taken_back(fleet, store):
            self._remark(said)
        accept.begin(fleet, store, self.start)
        turns = turns_of(fleet, self.options.only, told_of(fleet, store))
        run, before = self._begin(turns)
        stage = Stage(self.opened, self.reporter, self.clock)
        sites = stage.sites((turn.spec for turn in turns.values()), before)
        if self.options.approve:
            until = deadline(self.start, self.options.time_limit)
            by = self.options.by
            grant_now(self.opened, sites, turns, self.options.approve, by, self.clock, until)
        for site in sites.values():
            site.executor.stopping = self.stopped.is_set
        course = Course.enter(fleet, store, self.clock.now())
        course.hold_back(turns)
        greeter = self._greeter()
        try:
            self._side_by_side(self._ticks(run, sites, turns, greeter))
        finally:
            greeter.end()
        course.leave(turns, Health(sites, store), self.clock.now())
        self._tell_what_else(course, sites)
        zones = self._zones(run, turns)
        found = conditions_of(fleet, store, turns, self.orphans, self.clock.now())
        for key, more in zones.conditions(self.clock.now()).items():
            if key in found:
                found[key] = [*found[key], *more]
        store.conditions.replace_many(found)
        summary = replace(self._summary(turns, stage), **asdict(zones.counts))
        met: dict[str, Json] = {name: site.trouble for name, site in sites.items()}
        store.journal.finish_run(run, self.clock.now(), {**_plain(summary), "clusters": met})
        self.reporter.report(RunDone(self.clock.now(), summary))
        return summary

    def _greeter(self) -> Greeter:
        """What welcomes new VMs under the lock of the loop that sends all other notices."""
        options = self.options

        def lock() -> Lock:
            known = fleet_locks(options.fleet, options.database, none=options.no_lock)
            return known.of("notices")

        return Greeter(self.opened, self.reporter, self.clock, lock)

    def _zones(self, run: int, turns: Mapping[str, Turn]) -> Settled:
        """Bring DNS in order in what is left of the time; no VM waits for that (DEP-14)."""
        until = deadline(self.start, self.options.time_limit)
        zones = FleetZones(
            self.opened,
            self.reporter,
            self.clock,
            lambda: self.stopped.is_set() or self.clock.now() >= until,
        )
        specs = {key: turn.spec for key, turn in turns.items()}
        settled = zones.settle(specs, partial=bool(self.options.only))
        told = {
            key: (turn.action, turn.state or "ready", turn.told > 0) for key, turn in turns.items()
        }
        write_down(self.opened.store, run, told, settled, self.clock.now())
        return settled

    def _watch(self) -> None:
        """Note whose spec has gone; those that prune ends are in the fleet, as absent ones."""
        store = self.opened.store
        fleet, found = watched(self.opened.fleet, store, self.start)
        found.keep(store)
        for one in found.new:
            self._remark(f"{one.key}: {one.told}")
        self.opened.fleet, self.orphans = fleet, found.orphans

    def _begin(self, turns: Mapping[str, Turn]) -> tuple[int, datetime | None]:
        """Open the run; return its number, and when the one before began."""
        fleet, store = self.opened.fleet, self.opened.store
        last = next(iter(store.journal.runs(1)), None)
        store.cache.inherit(self.start)
        run = store.journal.start_run(
            self.start, self.options.command, fleet.revision, commit=fleet.commit
        )
        begun = RunStarted(
            self.start,
            keys=tuple(turns),
            interval=self.options.interval,
            last=last.started_at if last else None,
            run=run,
            commit=fleet.commit,
        )
        self.reporter.report(begun)
        self._remark_on_specs(fleet)
        for moved in renamed(fleet, store):
            self._remark(f"renamed {moved}")
        return run, begun.last

    def _tell_what_else(self, course: Course, sites: Mapping[str, Site]) -> None:
        """Say what concerns no single VM at work: withdrawn specs, rollouts, copies of VMs."""
        within = {name: site for name, site in sites.items() if not site.missed}
        for said in remove_kept(self.opened.store, sites, self.start):
            self._remark(said)
        for key in withdraw(self.opened.fleet, self.opened.store, within, self.start):
            self._remark(f"{key}: spec gone, no machine made: its vmid and addresses are free")
        for rollout in course.rollouts:
            self._remark(line_of(rollout), "warning" if rollout.why else "note")
        for _, skipped in sorted(self.skipped.items()):
            self._remark(f"AddressInUse: {skipped}", "warning")
        for copied in (text for site in sites.values() for text in site.copies):
            self._remark(copied, "warning")

    def _remark_on_specs(self, fleet: Fleet) -> None:
        for error in fleet.errors:
            self._remark(str(error), "error", error.vm or "")
        for glob in unmatched(fleet, self.options.only):
            self._remark(f"--only {glob}: no VM", "warning")

    def _remark(self, text: str, level: Level = "note", key: str = "") -> None:
        self.reporter.report(Remark(self.clock.now(), text, level, key))

    def _side_by_side(self, ticks: Sequence[Tick]) -> None:
        """Run the clusters' ticks, each in a thread, so that none waits for a slow or dead one."""
        if len(ticks) < 2 or self.opened.fleet.limits.workers == 1:
            self._one_by_one(ticks)
            return
        with ThreadPoolExecutor(len(ticks)) as threads:
            running = [threads.submit(tick.run) for tick in ticks]
            try:
                for one in as_completed(running):
                    one.result()
            except BaseException:
                self.stopped.set()
                raise

    def _one_by_one(self, ticks: Sequence[Tick]) -> None:
        """Run them in turn; what a lost store forbids must be known before the first leases."""
        for tick in ticks:
            if len(ticks) > 1 and tick.site.neighbours.awaited:
                tick.peek()
        for tick in ticks:
            tick.run()

    def _ticks(
        self, run: int, sites: dict[str, Site], turns: dict[str, Turn], greeter: Greeter
    ) -> list[Tick]:
        """One tick for each cluster; they share what no two of them may give away twice."""
        fleet, store = self.opened.fleet, self.opened.store
        store.quarantine.expire(self.start)
        addresses, spent = addresses_in_use(fleet, store, self.start), Spent()
        self.skipped = addresses.skipped
        narrator = Narrator(self.reporter, store.journal, run, zones=bool(fleet.zones))
        limit = self.options.time_limit * (1 - SHARE if fleet.zones else 1)
        farewells = (Farewell(self.opened),) if fleet.zones else ()
        settler = partial(Settler, store, self.clock, fleet)

        def look(site: Site, first: bool) -> SiteLook:
            return SiteLook(
                site,
                fleet,
                store,
                vm_handlers(),
                self.clock.now,
                self.opened.resolve,
                addresses,
                spent,
                first,
            )

        return [
            Tick(
                reckoner=Reckoner(
                    store, site, narrator, self.clock, settler(), farewells=farewells
                ),
                workers=Workers(fleet.limits.workers),
                deadline=deadline(self.start, limit),
                turns={key: one for key, one in turns.items() if one.spec.cluster == name},
                follower=Follower(self.clock, self.reporter, lambda cluster: sites[cluster].api),
                look=look,
                stopped=self.stopped,
                greet=greeter.greet,
            )
            for name, site in sites.items()
        ]

    def _summary(self, turns: Mapping[str, Turn], stage: Stage) -> Summary:
        fleet = self.opened.fleet
        broken = sum(fits(key, self.options.only) for key in fleet.broken)
        results = results_of(turns)
        ready = sum(result == "ready" for result in results.values())
        failed = sum(result == "error" for result in results.values()) + broken
        return Summary(
            vms=len(turns) + broken,
            ready=ready,
            changed=sum(bool(turn.changes) for turn in turns.values()),
            failed=failed,
            reads=sum(api.reads for api in stage.apis),
            writes=sum(api.writes for api in stage.apis),
            seconds=(self.clock.now() - self.start).total_seconds(),
            waiting=len(turns) + broken - ready - failed,
            results={key: result for key, result in results.items() if turns[key].started_at},
        )


def _plain(summary: Summary) -> dict[str, Json]:
    return {**asdict(summary), "results": dict(summary.results)}
