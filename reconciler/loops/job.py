"""What a loop over VMs does otherwise than `process_vms`: how one turn is decided and told."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from handlers.handler import why as split_condition
from handlers.wishes import RESTORE, wish_of
from reconciler.execute import Done, Executor
from reconciler.guard import Guarded
from reconciler.look import SiteLook
from reconciler.plan import VMPlan, plan_vm
from reconciler.reckon import WAITS, Reckoner
from reconciler.report import Action, Step
from reconciler.show.text import show_change
from reconciler.sight import see
from reconciler.turn import Narrator, Standing, Turn
from state.change import Change, Note
from state.conditions import Condition
from state.memory import Memory, Phase
from state.observed import Presence, SeenVM


@dataclass(slots=True)
class JobTurn(Turn):
    """One VM's turn in a job: it goes through no row of states."""

    action: Action = "job"

    def enter(self, phase: Phase) -> None:
        """Know the phase; a job's turn is no deploy, change or end of the VM."""
        self.phase = phase


@dataclass(slots=True)
class JobNarrator(Narrator):
    """Tells a job's turns; the journal has a run of it only once there is something to tell."""

    opened: Callable[[], int] = field(default=int)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def changed(self, turn: Turn, seen: SeenVM, done: Done, sent: Iterable[Change]) -> None:
        """Tell what was done to the VM: one line by handler."""
        by_handler: dict[str, list[Change]] = {}
        for change in sent:
            by_handler.setdefault(change.handler, []).append(change)
        steps = []
        for name, changes in by_handler.items():
            if done.landed(name):
                detail = ", ".join(": ".join(show_change(change)) for change in changes)
                seconds = done.seconds.get(name, 0.0)
                label = f"Change {name}"
                steps.append(Step(seen.at, turn.key, label, "", "", "success", detail, seconds))
        if steps:
            self.begin(turn, seen)
            self._steps(turn, steps)

    def failed(self, turn: Turn, at: datetime, handler: str, error: str) -> None:
        """Tell a step that failed."""
        self._open()
        if turn.started_at is None and turn.last is not None:
            self.begin(turn, turn.last.plan.seen)
        Narrator.failed(self, turn, at, handler, error)

    def ended(self, turn: Turn, at: datetime) -> None:
        """Tell how the turn ended, of a VM that was worked on."""
        if turn.started_at is not None:
            Narrator.ended(self, turn, at)

    def _steps(self, turn: Turn, steps: Iterable[Step]) -> None:
        self._open()
        Narrator._steps(self, turn, steps)

    def _recorded(self, turn: Turn) -> str:
        return ""

    def _open(self) -> None:
        with self._turn:
            self.run = self.run or self.opened()


@dataclass(slots=True)
class JobReckoner(Reckoner):
    """Sets down what came of a job's turns; `job` is the loop's name."""

    job: str = ""

    def told(self, turn: Turn, guarded: Guarded, memory: Memory) -> None:
        """Set where the turn stands: done, to be executed, or left to the job's next run."""
        turn.last = guarded
        if guarded.allowed:
            return
        blocking = [note for note in guarded.notes if note.blocking]
        if not blocking:
            turn.standing, turn.why = Standing.READY, ""
            still = {change.handler for change in guarded.withheld}
            for handler in sorted(memory.attempts.keys() - still):
                if handler.startswith(f"{self.job}."):
                    self.store.attempts.clear(turn.key, handler)
            return
        worst = next((note for note in blocking if note.condition not in WAITS), None)
        turn.why = (worst or blocking[0]).reason
        turn.standing = Standing.FAILED if worst else Standing.PAUSED
        if worst and not self.trouble and not (worst.condition == "BackOff" and turn.wrote):
            self.narrator.broke(turn, self.clock.now(), turn.why)


@dataclass(slots=True)
class JobExecutor(Executor):
    """Sends a job's changes; none of them is an edit of the VM's spec, so its phase stays."""

    def _begin_change(self, seen: SeenVM, group: Iterable[Change]) -> None:
        return


@dataclass(slots=True)
class JobLook(SiteLook):
    """A look for a job: plan and guard with the job's handlers those VMs that are surely ours."""

    def is_settled(self, turn: Turn) -> bool:
        return False

    def standing_note(self, turn: Turn) -> Note | None:
        return None

    def decide(self, turn: Turn) -> Guarded:
        """Plan and guard one VM; nothing is given to it."""
        memory = self.memories.get(turn.key, Memory())
        seen = see(
            turn.key,
            memory,
            self.view,
            self.ground.machines,
            self.site.vmid_free,
            self.store.id,
            self.fleet.name,
        )
        return self.gate.check(self._plan(turn, seen), turn.spec.windows, turn.spec)

    def _plan(self, turn: Turn, seen: SeenVM) -> VMPlan:
        if seen.presence is Presence.ABSENT:
            note = Note(seen.key, "exists", "vm", "the VM is not there", blocking=True)
            return VMPlan(seen, notes=(note,))
        if wish_of(seen.memory, RESTORE):
            note = Note(seen.key, "exists", "vm", "it is restored from a backup", blocking=True)
            return VMPlan(seen, notes=(note,))
        first = plan_vm(turn.spec, seen, self.handlers[:1])
        if first.changes or any(note.blocking for note in first.notes):
            blocking = tuple(note for note in first.notes if note.blocking)
            return VMPlan(seen, notes=blocking)
        return plan_vm(turn.spec, seen, self.handlers[1:])


def conditions_of_job(
    turns: Mapping[str, Turn], job: str, at: datetime
) -> dict[str, list[Condition]]:
    """Return the conditions that the job's own handlers raise, of each VM that was seen."""
    found: dict[str, list[Condition]] = {}
    for key, turn in turns.items():
        if turn.last is None or turn.last.plan.seen.presence is not Presence.PRESENT:
            continue
        mine = [one for one in turn.last.plan.notes if one.handler.startswith(f"{job}.")]
        named = {split_condition(one.condition): one for one in mine if one.condition}
        found[key] = [
            Condition(key, name, status, one.handler, one.reason, at)
            for (name, status), one in named.items()
        ]
    return found
