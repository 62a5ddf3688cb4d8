"""A loop over VMs: the engine's own looks, guard, executor and journal with other handlers.

What is only `process_vms`' business does not happen: nothing is leased or made, no phase moves, no
spec counts as applied. The VMs are those that are made and not at their end.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

from desired.timetable import Timetable, read_timetable
from handlers.exists import Exists
from handlers.handler import Handler
from reconciler.clock import Workers
from reconciler.dryrun import planned_vm
from reconciler.follow import Follower
from reconciler.guard import Guarded
from reconciler.loops.job import (
    JobExecutor,
    JobLook,
    JobNarrator,
    JobReckoner,
    JobTurn,
    conditions_of_job,
)
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.outcome import results_of
from reconciler.plan import approval_digest, in_order
from reconciler.prepare import Stage, addresses_in_use, fits
from reconciler.report import DryRun, PlannedVM, RunDone, RunStarted, Summary
from reconciler.secrets import SecretError
from reconciler.settle import Settler
from reconciler.show.text import count_of
from reconciler.site import Site
from reconciler.spent import Spent
from reconciler.tick import Tick
from state.api import ApiError, Json
from state.memory import Phase

MADE = (Phase.READY, Phase.CHANGE, Phase.SUSPENDED)
FOLLOW = timedelta(seconds=30)
"""How long one run of a job follows a task, which its next run then goes on with."""


Handlers = Callable[[Occasion, Site], Sequence[Handler]]
"""Makes a job's handlers for one look at one cluster, of what the job has read there by then."""


def vm_loop(
    name: str,
    about: str,
    handlers: Sequence[Handler] | Handlers,
    schedule: str | Timetable,
    *,
    phases: Collection[Phase] = MADE,
    follow: timedelta = FOLLOW,
    aliases: tuple[str, ...] = (),
) -> Loop:
    """Return a loop that makes `handlers` have nothing left to do on each VM in `phases`.

    A VM's identity (`exists`) is looked at before them: one that may not be ours, or is being
    made, is left alone. Their names begin with the loop's and a dot (`NAME.part`), so that no
    other loop takes their failures and conditions for its own; ValueError where one does not. A
    job whose handlers go by more than a VM's view gives a function that makes them for each look.
    """
    made = handlers if callable(handlers) else _always(_in_order(name, handlers)[1:])
    over = Over(name, made, tuple(phases), follow)
    return Loop(name, about, over, read_timetable(schedule), aliases)


def _always(handlers: Sequence[Handler]) -> Handlers:
    return lambda occasion, site: handlers


def _in_order(name: str, handlers: Sequence[Handler]) -> tuple[Handler, ...]:
    """The handlers in order, `exists` first."""
    for handler in handlers:
        if not handler.name.startswith(f"{name}."):
            raise ValueError(f"loop {name}: its handler {handler.name} is not called {name}.PART")
    return in_order((Exists(), *handlers))


@dataclass(frozen=True, slots=True)
class Over:
    """What a loop over VMs does when it runs."""

    name: str
    handlers: Handlers
    phases: tuple[Phase, ...]
    follow: timedelta

    def __call__(self, occasion: Occasion) -> LoopResult:
        return self._dry(occasion) if occasion.dry else Work(self, occasion).go()

    def turns(self, occasion: Occasion) -> dict[str, JobTurn]:
        """A turn for each wanted VM that is made, if its key fits what was asked for."""
        bindings, only = occasion.store.bindings.all(), occasion.options.only
        about = occasion.keys
        return {
            key: JobTurn(spec)
            for key, spec in sorted(occasion.opened.fleet.vms.items())
            if key in bindings
            and bindings[key].phase in self.phases
            and spec.state == "present"
            and fits(key, only)
            and (about is None or key in about)
        }

    def look(self, occasion: Occasion, site: Site, spent: Spent, first: bool) -> JobLook:
        opened, handlers = occasion.opened, _in_order(self.name, self.handlers(occasion, site))
        site.executor.handlers = {handler.name: handler for handler in handlers}
        return JobLook(
            site,
            opened.fleet,
            opened.store,
            handlers,
            occasion.clock.now,
            opened.resolve,
            addresses_in_use(opened.fleet, opened.store, occasion.start),
            spent,
            first,
            dry=occasion.dry,
        )

    def _dry(self, occasion: Occasion) -> LoopResult:
        """One look that writes nothing; what it found is the result's `plan`."""
        opened, start = occasion.opened, occasion.start
        turns = self.turns(occasion)
        stage = Stage(opened, occasion.reporter, occasion.clock, dry=True)
        sites = stage.sites((turn.spec for turn in turns.values()), start)
        planned, found = list[PlannedVM](), dict[str, Guarded]()
        spent, workers = Spent(), Workers(opened.fleet.limits.workers)
        memories = opened.store.memories()
        for name, site in sites.items():
            site.rotation = 0
            mine = [turn for turn in turns.values() if turn.spec.cluster == name]
            look = self.look(occasion, site, spent, first=True)
            look.observe(mine, memories, workers, occasion.out_of_time)
            for turn in mine:
                try:
                    found[turn.key] = look.decide(turn)
                except (ApiError, SecretError) as error:
                    planned.append(PlannedVM(turn.key, "stuck", reason=str(error)))
        planned += [planned_vm(turns[key], one) for key, one in found.items()]
        plan = DryRun(
            at=start,
            vms=tuple(sorted(planned, key=lambda vm: vm.key)),
            digest=approval_digest((one.plan for one in found.values()), opened.store.vault.key),
            problems=tuple(site.problem for site in sites.values() if site.problem),
            reads=sum(api.reads for api in stage.apis),
            seconds=(occasion.clock.now() - start).total_seconds(),
            commit=opened.fleet.commit,
        )
        changing = sum(bool(vm.changes) for vm in plan.vms)
        text = f"{count_of(changing, 'VM')} of {len(plan.vms)} would be worked on"
        status = "error" if plan.failed else "success"
        return LoopResult(status, changing, len(plan.problems), message=text, plan=plan)  # type: ignore[arg-type]


@dataclass(slots=True)
class Work:
    """One live run of a loop over VMs."""

    over: Over
    occasion: Occasion

    def go(self) -> LoopResult:
        """Tick over each cluster, and set down what came of it."""
        occasion, name = self.occasion, self.over.name
        turns = self.over.turns(occasion)
        start, commit = occasion.start, occasion.opened.fleet.commit
        begun = RunStarted(start, name, tuple(turns), last=occasion.last, commit=commit)
        occasion.reporter.report(begun)
        stage = Stage(occasion.opened, occasion.reporter, occasion.clock)
        sites = stage.sites((turn.spec for turn in turns.values()), occasion.start)
        narrator = JobNarrator(occasion.reporter, occasion.store.journal, 0, self._begin)
        ticks = self._ticks(sites, turns, narrator)
        Workers(max(1, len(ticks))).map(Tick.run, ticks)
        now = occasion.clock.now()
        occasion.store.conditions.replace_many(conditions_of_job(turns, name, now), name)
        summary = self._summary(turns, stage)
        if narrator.run:
            plain: dict[str, Json] = {**asdict(summary), "results": dict(summary.results)}
            occasion.store.journal.finish_run(narrator.run, now, plain)
        occasion.reporter.report(RunDone(now, summary, name))
        return self._result(summary)

    def _begin(self) -> int:
        fleet = self.occasion.opened.fleet
        command = f"job {self.over.name}"
        journal = self.occasion.store.journal
        return journal.start_run(self.occasion.start, command, fleet.revision, commit=fleet.commit)

    def _ticks(
        self, sites: Mapping[str, Site], turns: Mapping[str, JobTurn], narrator: JobNarrator
    ) -> list[Tick]:
        occasion, over, spent = self.occasion, self.over, Spent()
        store, clock = occasion.store, occasion.clock
        for name, site in sites.items():
            site.rotation = 0
            parting = site.executor.parting
            site.executor = JobExecutor(site.api, store, {}, clock.now, name, parting=parting)
            site.executor.stopping = occasion.stopped.is_set

        def look(site: Site, first: bool) -> JobLook:
            return over.look(occasion, site, spent, first)

        settler = Settler(store, clock, occasion.opened.fleet)
        return [
            Tick(
                reckoner=JobReckoner(store, site, narrator, clock, settler, job=over.name),
                workers=Workers(occasion.opened.fleet.limits.workers),
                deadline=occasion.deadline,
                turns={key: one for key, one in turns.items() if one.spec.cluster == name},
                follower=Follower(clock, occasion.reporter, lambda cluster: sites[cluster].api),
                look=look,
                stopped=occasion.stopped,
                follows=over.follow,
            )
            for name, site in sites.items()
        ]

    def _summary(self, turns: Mapping[str, JobTurn], stage: Stage) -> Summary:
        results = results_of(turns)
        ready = sum(result == "ready" for result in results.values())
        failed = sum(result == "error" for result in results.values())
        start = self.occasion.start
        return Summary(
            vms=len(turns),
            ready=ready,
            changed=sum(bool(turn.changes) for turn in turns.values()),
            failed=failed,
            reads=sum(api.reads for api in stage.apis),
            writes=sum(api.writes for api in stage.apis),
            seconds=(self.occasion.clock.now() - start).total_seconds(),
            waiting=len(turns) - ready - failed,
            results={key: result for key, result in results.items() if turns[key].started_at},
        )

    def _result(self, summary: Summary) -> LoopResult:
        worked = {key for key, result in summary.results.items()}
        text = f"{count_of(summary.vms, 'VM')} looked at, {summary.changed} changed"
        text += f", {summary.waiting} waiting" if summary.waiting else ""
        return LoopResult(
            "error" if summary.failed else "success",
            processed=len(worked),
            errors=summary.failed,
            details=tuple(f"{key}: {result}" for key, result in sorted(summary.results.items())),
            message=text,
            summary=summary,
        )
