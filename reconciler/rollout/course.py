"""The rollouts of one run: what goes to which VM now, and what came of it.

All is decided before the clusters' ticks begin and set down after they have ended, by one thread.
A batch is stored before it begins, so a killed run is gone on with by the same batch.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from desired.source import Fleet
from handlers.safeguard import UNDONE
from reconciler.outcome import results_of
from reconciler.rollout.batches import begin, grouping, next_batch
from reconciler.rollout.edits import held_back, survey
from reconciler.rollout.renewal import renewed
from reconciler.show.text import count_of
from reconciler.turn import Turn
from state.api import Json
from state.memory import Hold
from state.rollouts import SEEN, Member, Rollout
from state.store import Store

PATIENCE = timedelta(minutes=10)
"""How long a ready VM may be unhealthy before the rollout is paused for it."""

HINDERED = ("GroupDown", "DrainStopped")
"""Conditions of a VM whose restart waits for another VM."""

CONDITIONS = {
    "active": "RolloutWaiting",
    "paused": "RolloutPaused",
    "aborted": "RolloutAborted",
}
"""The condition of a VM that waits, by the rollout's state."""

Healthy = Callable[[Turn], str]
"""Asks a ready VM whether it is well; says what it lacks, nothing when it is."""


def current(fleet: Fleet, store: Store, at: datetime) -> list[Rollout]:
    """Return the rollouts as the source has them now; those that are new have no number yet.

    Where the source says what it said before nothing is compared.
    """
    holding = store.rollouts.holding()
    if fleet.revision and store.settings.get(SEEN) == fleet.revision:
        return holding
    members = {one.key for rollout in holding for one in rollout.members}
    unreadable = {key for key in members - fleet.vms.keys() if fleet.knows(key)}
    return renewed(holding, survey(fleet, store), fleet.rollout, at, unreadable)


@dataclass(slots=True)
class Course:
    """The rollouts that this run carries on."""

    fleet: Fleet
    store: Store
    rollouts: list[Rollout]

    @classmethod
    def enter(cls, fleet: Fleet, store: Store, at: datetime) -> "Course":
        """Find what was edited, let the next batches begin, and store that."""
        before = {one.id: one for one in store.rollouts.holding()}
        found = current(fleet, store, at)
        held = {key for key, hold in store.holds.all().items() if stands(hold, at)} if found else ()
        found = [advanced(one, fleet, held, at) for one in found]
        changed = [one for one in found if one != before.get(one.id)]
        seen = None if store.settings.get(SEEN) == fleet.revision else fleet.revision
        if changed or seen is not None:
            saved = store.rollouts.save(changed, seen)
            found = [*(one for one in found if one not in changed), *saved]
        return cls(fleet, store, sorted((one for one in found if one.holds), key=_number))

    def hold_back(self, turns: Mapping[str, Turn]) -> None:
        """Let those that wait be compared with their specs as they were before the edit."""
        waiting = [(one, member.key) for one in self.rollouts for member in one.of("waiting")]
        applied = self.store.applied.all() if waiting else {}
        for rollout, key in waiting:
            if key in turns and key in applied and turns[key].spec.state == "present":
                turns[key].spec = held_back(applied[key], turns[key].spec, rollout.edits)
        self._tell(turns)

    def _tell(self, turns: Mapping[str, Turn]) -> None:
        for rollout in self.rollouts:
            for member in rollout.of("waiting"):
                if member.key in turns:
                    turns[member.key].kept_back = (CONDITIONS[rollout.state], waits_for(rollout))

    def leave(self, turns: Mapping[str, Turn], healthy: Healthy, at: datetime) -> list[Rollout]:
        """Set down what came of the batches at work; return those whose state has changed.

        What a person said meanwhile, be it to pause or to leave a VM out, stands.
        """
        said = {one.id: one for one in self.store.rollouts.holding()} if self.rollouts else {}
        before = [said.get(one.id, one) for one in self.rollouts]
        after = [booked(one, turns, healthy, at) for one in before]
        pairs = list(zip(before, after, strict=True))
        changed = [new for old, new in pairs if new != old]
        turned = [new for old, new in pairs if new.state != old.state]
        if changed:
            self.store.rollouts.save(changed)
        for one in turned:
            detail: dict[str, Json] = {"rollout": one.id, "edit": one.about, "why": one.why}
            occurrence = f"rollout/{one.id}/{one.state}/{at.isoformat()}"
            self.store.outbox.add(f"rollout_{one.state}", "", at, detail, occurrence)
        self.rollouts = after
        self._tell(turns)
        return turned


def _number(rollout: Rollout) -> int:
    return rollout.id


def stands(hold: Hold, at: datetime) -> bool:
    """Whether a person still wants the VM left alone."""
    return hold.until is None or hold.until > at


def advanced(rollout: Rollout, fleet: Fleet, held: Collection[str], at: datetime) -> Rollout:
    """Return the rollout with its next batch begun, if that is due."""
    if rollout.state != "active" or rollout.of("working"):
        return rollout
    pause = timedelta(seconds=fleet.rollout.pause)
    if rollout.of("done") and at < rollout.moved_at + pause:
        return rollout
    batch = next_batch(rollout, fleet.rollout, grouping(fleet), held)
    return begin(rollout, batch, at) if batch else rollout


def booked(rollout: Rollout, turns: Mapping[str, Turn], healthy: Healthy, at: datetime) -> Rollout:
    """Return the rollout with what came of its batch: VMs that are done, or why it is paused."""
    working = [one for one in rollout.of("working") if one.key in turns]
    members = {one.key: _judged(one, turns[one.key], healthy, at) for one in working}
    after = rollout.with_members(members.values())
    failed = [one for one in working if _failed(members[one.key], turns[one.key], at)]
    if failed and rollout.state == "active":
        why = f"{failed[0].key}: {members[failed[0].key].why}"
        after = replace(after, state="paused", why=why)
    if after.of("working"):
        return after
    if not after.of("waiting"):
        return replace(after, state="done", why="", ended_at=at)
    return replace(after, moved_at=at) if rollout.of("working") else after


def _judged(member: Member, turn: Turn, healthy: Healthy, at: datetime) -> Member:
    result = results_of({member.key: turn})[member.key]
    why = _hindered(turn) or healthy(turn) if result == "ready" else _trouble(turn)
    if result == "ready" and not why:
        return replace(member, state="done", why="", at=at)
    return member if why == member.why else replace(member, why=why, at=at)


def _hindered(turn: Turn) -> str:
    """Say what keeps a VM from the restart that the edit needs, though its policy allows it."""
    notes = turn.last.notes if turn.last else ()
    return next((one.reason for one in notes if one.condition in HINDERED), "")


def _trouble(turn: Turn) -> str:
    refused = (one.reason for one in (turn.last.notes if turn.last else ()) if one.condition)
    return turn.why or next(refused, f"it is {turn.standing}")


def _failed(member: Member, turn: Turn, at: datetime) -> bool:
    """Whether it went wrong: at once where a step did or the change was rolled back, after a while
    where it is only unwell."""
    if member.state == "done":
        return False
    if any(one.condition == UNDONE for one in (turn.last.notes if turn.last else ())):
        return True
    result = results_of({member.key: turn})[member.key]
    return result == "error" or (result == "ready" and at - member.at > PATIENCE)


def waits_for(rollout: Rollout) -> str:
    """Say to a VM that waits why it does, and what a person can do."""
    if rollout.state == "active":
        return f"waits for its batch in rollout {rollout.id} ({rollout.about})"
    act = f"reconcile rollout resume {rollout.id}"
    if rollout.state == "paused":
        return f"rollout {rollout.id} ({rollout.about}) is paused: {rollout.why}; then {act}"
    aborted = f"rollout {rollout.id} ({rollout.about}) was aborted: it stays as it is until its"
    return f"{aborted} spec is edited, or {act}"


def line_of(rollout: Rollout) -> str:
    """Say in a line of a run where a rollout stands."""
    done, whole = len(rollout.of("done")), len(rollout.members) - len(rollout.of("left"))
    working = [one.key for one in rollout.of("working")]
    at_work = f"; at work: {', '.join(working)}" if working else ""
    why = f": {rollout.why}" if rollout.why else ""
    progress = f"{done} of {count_of(whole, 'VM')} done{at_work}"
    return f"rollout {rollout.id} ({rollout.about}): {rollout.state}, {progress}{why}"
