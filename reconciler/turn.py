"""One VM's turn in a tick, and its story: pipeline steps for the reporter and the journal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from desired.spec import VMSpec
from handlers.effects import running
from reconciler.execute import Done
from reconciler.guard import Guarded
from reconciler.pipeline import BESIDE, CHANGE, DEPLOY, TERMINATE, Difference, Pipeline
from reconciler.report import (
    Action,
    Reporter,
    Step,
    StepResult,
    VMDone,
    VMError,
    VMPaused,
    VMStarted,
)
from reconciler.show.text import show_change
from reconciler.skips import FOLLOWS, reasons
from state.change import Change, Effect, Note
from state.journal import Journal, StepRecord, VMRun
from state.memory import Phase
from state.observed import SeenVM


class Standing(StrEnum):
    """Where a VM's turn stands: to be looked at again, or over for this tick."""

    ACTIVE = "active"
    TASK = "task"
    WAITING = "waiting"
    PAUSED = "paused"
    FAILED = "failed"
    READY = "ready"


@dataclass(slots=True)
class Turn:
    """What this tick knows of one VM beyond its rows; `spent` is seconds by handler.

    `not_before` is when it may be looked at again; `again` counts the looks that were begun anew,
    `told` the steps that were told. `kept_back` is the condition, with its words, of a VM whose
    `spec` is not yet all that was edited; `aside` is what is said of one that is settled.
    """

    spec: VMSpec
    standing: Standing = Standing.ACTIVE
    phase: Phase = Phase.DEPLOY
    state: str = ""
    action: Action = "deploy"
    first_state: str = ""
    started_at: datetime | None = None
    not_before: datetime | None = None
    again: int = 0
    closed: bool = False
    wrote: bool = False
    told: int = 0
    why: str = ""
    last: Guarded | None = None
    kept_back: tuple[str, str] | None = None
    aside: Note | None = None
    spent: dict[str, float] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.spec.key

    @property
    def pipeline(self) -> Pipeline:
        """The row of states that the VM goes through."""
        if self.action == "terminate":
            return TERMINATE
        return DEPLOY if self.action == "deploy" else CHANGE

    def enter(self, phase: Phase) -> None:
        """Set the phase; until the story has begun it says whether this is a deploy or a change."""
        self.phase = phase
        action: Action = "deploy" if phase is Phase.DEPLOY else "change"
        if self.spec.state == "absent":
            self.action = action = "terminate"
        if self.started_at is None and action != self.action:
            self.action, self.state = action, "ready" if action == "change" else ""


@dataclass(slots=True)
class Narrator:
    """Tells every turn's story once to the reporter and, of what was worked on, to the journal.

    A dry run has no journal.
    """

    reporter: Reporter
    journal: Journal
    run: int
    zones: bool = field(default=False, kw_only=True)
    """Whether records follow once the VMs have had their turns."""

    def progress(self, turn: Turn, guarded: Guarded) -> None:
        """Tell the steps that have landed since the last look, in the order of the table."""
        seen, remaining = guarded.plan.seen, outstanding(turn.spec, guarded)
        if turn.started_at is None and not _worth_telling(turn, guarded):
            return
        row = turn.pipeline
        state = row.derive(remaining)
        if turn.started_at is None:
            turn.state = self._recorded(turn)
        self.begin(turn, seen)
        passed = row.passed(turn.state, state)
        shown = reasons(turn.spec, guarded, turn.changes)
        self._steps(turn, [self._landed(turn, shown, *moved, seen.at) for moved in passed])
        turn.state = state

    def _recorded(self, turn: Turn) -> str:
        """The state that an earlier run left the VM in: its steps are not told twice.

        A VM that is at work is not ready: if the last run says so it tells of an earlier story.
        """
        states = turn.pipeline.names
        if turn.phase in (Phase.READY, Phase.SUSPENDED):
            return states[0]
        runs = self.journal.vm_runs(turn.key, 1)
        known = runs and runs[0].action == turn.action and runs[0].state_after
        return str(known) if known in states[:-1] else states[0]

    def begin(self, turn: Turn, seen: SeenVM) -> None:
        """Tell that work on a VM begins; only the first call says so."""
        if turn.started_at is None:
            turn.started_at, turn.first_state = seen.at, turn.state
            binding = seen.memory.binding
            vmid = binding.vmid if binding else None
            self.reporter.report(VMStarted(seen.at, turn.key, turn.action, turn.state, vmid))

    def _landed(
        self,
        turn: Turn,
        skipped: Mapping[str, str],
        label: str,
        before: str,
        after: str,
        at: datetime,
    ) -> Step:
        row = (c for c in turn.changes if not _beside(turn, c))
        mine = [c for c in row if turn.pipeline.holder((c.handler, c.field)) == after]
        handlers = {change.handler for change in mine}
        seconds = sum(turn.spent.pop(name, 0.0) for name in sorted(handlers))
        deploys = turn.action == "deploy"
        started = any(c.handler == "power" and c.new == "running" for c in turn.changes)
        made = bool(mine) or (deploys and after in ("set_ip", "clone", "starting", "ready"))
        made = made or (after == "ready" and started)
        result: StepResult = "success" if made else "skip"
        shown = ", ".join(map(_shown, mine)) or skipped.get(after, "")
        detail = shown if turn.action == "change" else self._follows(turn, after)
        return Step(at, turn.key, label, before, after, result, detail, seconds)

    def _follows(self, turn: Turn, after: str) -> str:
        """Say of a step that something else makes later, that it is so; else nothing."""
        records = turn.spec.dns is None or turn.spec.dns.records == "on"
        return FOLLOWS if after == "set_dns" and self.zones and records else ""

    def changed(self, turn: Turn, seen: SeenVM, done: Done, sent: Iterable[Change]) -> None:
        """Tell what was changed beside a ready VM's row of states: one line by handler."""
        by_handler: dict[str, list[Change]] = {}
        for change in sent:
            if turn.phase is not Phase.DEPLOY and _beside(turn, change):
                by_handler.setdefault(change.handler, []).append(change)
        if by_handler:
            self.begin(turn, seen)
        steps = []
        for name, changes in by_handler.items():
            outcome = done.outcomes.get(name)
            if outcome is None or outcome.error or outcome.retry_at:
                continue
            detail = ", ".join(map(_shown, changes))
            seconds = done.seconds.get(name, 0.0)
            label = f"Change {name}"
            step = Step(
                seen.at, turn.key, label, turn.state, turn.state, "success", detail, seconds
            )
            steps.append(step)
        self._steps(turn, steps)

    def landed(self, turn: Turn, at: datetime, after: str, detail: str, seconds: float) -> None:
        """Tell one step that was made beside the looks; the turn is at its end state then."""
        label = turn.pipeline.next_label(turn.state)
        step = Step(at, turn.key, label, turn.state, after, "success", detail, seconds)
        turn.state = after
        self._steps(turn, [step])

    def failed(self, turn: Turn, at: datetime, handler: str, error: str) -> None:
        """Tell a step that failed: the state stays where it is (DEP-05)."""
        label = turn.pipeline.label_for(handler, turn.state) or f"Change {handler}"
        seconds = turn.spent.pop(handler, 0.0)
        step = Step(at, turn.key, label, turn.state, turn.state, "error", error, seconds)
        self._steps(turn, [step])

    def _steps(self, turn: Turn, steps: Iterable[Step]) -> None:
        """Write the steps down in one transaction, then tell them."""
        told = [replace(step, action=turn.action) for step in steps]
        records = [
            StepRecord(
                one.label, one.before, one.after, one.result, one.seconds, one.at, one.detail
            )
            for one in told
        ]
        if records:
            turn.told += len(records)
            self.journal.step(self.run, turn.key, turn.action, *records)
            self.reporter.report(*told)

    def ended(self, turn: Turn, at: datetime) -> None:
        """Tell how a turn ended: what is not ready shows in every run (DEP-06).

        A turn without a step adds nothing to the VM's history, which keeps only so many runs.
        """
        since, state = turn.started_at, turn.state
        if turn.standing is Standing.READY and since is not None:
            took = (at - since).total_seconds()
            self.reporter.report(VMDone(at, turn.key, turn.action, state, took))
        elif since is not None or turn.standing not in (Standing.READY, Standing.FAILED):
            state = state or self._recorded(turn)
            binding = turn.last.plan.seen.memory.binding if turn.last else None
            vmid = binding.vmid if binding else None
            self.reporter.report(VMPaused(at, turn.key, turn.action, state, turn.why, vmid))
        if since is None or not turn.told:
            return
        result = {Standing.READY: "success", Standing.FAILED: "error"}.get(turn.standing, "waiting")
        error = "" if turn.standing is Standing.READY else turn.why
        last = VMRun(
            turn.key,
            turn.action,
            since,
            at,
            state_before=turn.first_state,
            state_after=turn.state,
            result=result,  # type: ignore[arg-type]
            error=error,
        )
        self.journal.record(self.run, last)

    def broke(self, turn: Turn, at: datetime, error: str) -> None:
        """Tell an error of the VM that is no step's."""
        binding = turn.last.plan.seen.memory.binding if turn.last else None
        vmid = binding.vmid if binding else None
        self.reporter.report(VMError(at, turn.key, error, turn.action, turn.state, vmid))


def _shown(change: Change) -> str:
    field, moved = show_change(change)
    return f"{field}: {moved}"


def outstanding(spec: VMSpec, guarded: Guarded) -> frozenset[Difference]:
    """Return what holds the row of states back.

    Values are written before the guest is stopped for them (design 2), but told behind its stop
    as the contract has it: so while one of them may still need it, the stop is open too.
    """
    plan, changes = guarded.plan, _of_now(guarded)
    blocking = {(note.handler, note.field) for note in guarded.notes if note.blocking}
    cold = any(change.effect in (Effect.HOTPLUG, Effect.STOP_START) for change in changes)
    stop = {("power", "stop")} if cold and spec.restart != "never" and running(plan.seen) else set()
    if spec.state == "absent" and running(plan.seen):
        stop = {("power", "stop")}
    later = {(change.handler, change.field) for change in plan.changes if change not in changes}
    return (plan.remaining - later) | blocking | stop


def _of_now(guarded: Guarded) -> list[Change]:
    """The changes but for a restart that waits for other VMs: one is ready meanwhile."""
    blocking = {(note.handler, note.field) for note in guarded.notes if note.blocking}
    later = [one for one in guarded.withheld if one.handler == "power"]
    later = [one for one in later if (one.handler, one.field) not in blocking]
    return [change for change in guarded.plan.changes if change not in later]


def _beside(turn: Turn, change: Change) -> bool:
    """Whether no step of a change's row tells of this, but a line of its own."""
    told = turn.pipeline.owns((change.handler, change.field))
    return change.handler in BESIDE or (turn.action == "change" and not told)


def _worth_telling(turn: Turn, guarded: Guarded) -> bool:
    """A ready VM has a story only when something of its row of states is to be changed.

    The end of a VM is one as soon as something of it may be done.
    """
    if turn.action == "terminate" and turn.phase is not Phase.TERMINATE:
        return bool(guarded.allowed)
    at_work = turn.phase not in (Phase.READY, Phase.SUSPENDED)
    return at_work or any(change.handler not in BESIDE for change in _of_now(guarded))
