"""What comes next of a guarded change, in the corners that no run is easily brought into."""

from dataclasses import replace
from datetime import timedelta

import pytest

from handlers.safeguard import GUARD, SAFEGUARD, Session, Stage, edit_of
from reconciler.guard import Guarded
from reconciler.plan import VMPlan
from reconciler.safeguard.decide import safeguarded
from state.change import Change, Effect, Note
from state.memory import Attempt, Hold, Memory, Phase
from state.observed import Presence, SeenVM
from tests.engine import AT, SECOND, UUID, binding, change, config, seen, spec, task, vm
from tests.reconciler.test_guard import gate

GUARDED = spec(guard="snapshot", restart="allow")
COLD = change("memory", effect=Effect.STOP_START)
NAME = "rc-1-abcdef"


def session(stage: Stage, **fields: object) -> Session:
    plain: dict[str, object] = {"at": AT - 30 * SECOND, "name": NAME, "edit": edit_of(GUARDED)}
    return Session(stage, **plain | fields)  # type: ignore[arg-type]


def at_work(begun: Session | None, **fields: object) -> SeenVM:
    """A running VM whose edit is being applied."""
    phase = fields.pop("phase", Phase.CHANGE)
    known = {name: fields.pop(name) for name in ("attempts", "hold") if name in fields}
    intents = {GUARD: begun.intent("web-1")} if begun else {}
    memory = Memory(binding(uuid=UUID, phase=phase), intents=intents, **known)  # type: ignore[arg-type]
    row = vm(101, status="running", uptime=9000, **fields)  # type: ignore[arg-type]
    return seen(memory=memory, row=row, status="running", config=config(memory="1024"))


def next_of(
    there: SeenVM, *changes: Change, notes: tuple[Note, ...] = (), guarded: object = GUARDED
) -> Guarded:
    plan = VMPlan(there, changes, notes)
    return safeguarded(guarded, plan, gate(10), gate(10).check)  # type: ignore[arg-type]


def fields(found: Guarded) -> list[tuple[str, str]]:
    return [(one.handler, one.field) for one in found.allowed]


def blocking(found: Guarded) -> list[tuple[str | None, str]]:
    return [(note.condition, note.reason) for note in found.notes if note.blocking]


def test_the_first_write_waits_for_the_snapshot() -> None:
    found = next_of(at_work(None, phase=Phase.READY), COLD, change("tags"))
    assert fields(found) == [(SAFEGUARD, "snapshot")]
    assert {one.handler for one in found.withheld} == {"memory", "tags"}
    assert {one.handler for one in found.plan.changes} == {"memory", "tags", SAFEGUARD}


@pytest.mark.parametrize("phase", [Phase.DEPLOY, Phase.TERMINATE])
def test_only_a_ready_vm_has_something_to_go_back_to(phase: Phase) -> None:
    assert fields(next_of(at_work(None, phase=phase), COLD)) == [("memory", "value")]
    begun = at_work(session(Stage.TAKEN), phase=phase)
    assert fields(next_of(begun, COLD)) == [("memory", "value")]


def test_a_vm_that_is_not_surely_there_is_only_checked() -> None:
    away = replace(at_work(session(Stage.BACK)), presence=Presence.UNKNOWN)
    assert fields(next_of(away)) == []


def test_a_guard_that_was_taken_out_of_the_spec_ends_what_was_begun() -> None:
    plain = spec(restart="allow")
    found = next_of(at_work(session(Stage.TAKEN)), guarded=plain)
    assert fields(found) == [(SAFEGUARD, "health")]


def test_a_lock_of_our_own_work_is_waited_for_and_one_that_is_left_is_told() -> None:
    there = at_work(session(Stage.TAKE), lock="snapshot")
    there = replace(there, config=config(memory="1024", lock="snapshot"))
    assert blocking(next_of(there, COLD)) == [
        ("Locked", "the lock snapshot stands, and no task is seen to: if it stays, qm unlock 101")
    ]
    running = replace(there.cluster, tasks=(task("qmsnapshot", 101),))
    found = next_of(replace(there, cluster=running), COLD)
    assert blocking(found) == [(None, "its snapshot is at work (lock snapshot)")]


def test_a_broadcast_that_still_tells_of_our_lock_holds_nothing_up() -> None:
    there = at_work(session(Stage.TAKEN), lock="snapshot")
    assert fields(next_of(there, COLD)) == [("memory", "value")]
    assert fields(next_of(at_work(None, lock="snapshot"), COLD)) == []


def test_a_step_that_failed_waits_for_its_next_try() -> None:
    failed = Attempt("web-1", SAFEGUARD, 2, "no space", AT, AT + 60 * SECOND)
    found = next_of(at_work(session(Stage.RELEASE), attempts={SAFEGUARD: failed}))
    ((condition, reason),) = blocking(found)
    assert condition == "BackOff"
    assert reason.startswith("failed: no space; next try at ")
    taking = next_of(at_work(session(Stage.TAKE), attempts={SAFEGUARD: failed}), COLD)
    assert "no snapshot can be taken before the change: no space" in blocking(taking)[-1][1]
    assert blocking(taking)[-1][0] == "GuardUnavailable"


def test_a_hold_stops_every_step_but_the_end_of_our_own_rollback() -> None:
    held = Hold("web-1", "mine", AT - SECOND)
    for stage in (Stage.TAKE, Stage.RELEASE, Stage.BACK, Stage.ROLLING, Stage.ROLLED):
        found = next_of(at_work(session(stage), hold=held))
        assert [condition for condition, _ in blocking(found)] == ["Held"]
    ours = Hold("web-1", "undone", AT - 30 * SECOND)
    found = next_of(at_work(session(Stage.ROLLED), hold=ours))
    assert fields(found) == [(SAFEGUARD, "hold")]


def test_what_was_undone_stays_so_while_the_spec_is_the_same() -> None:
    ours = Hold("web-1", "undone", AT - 30 * SECOND)
    there = at_work(session(Stage.UNDONE), hold=ours, phase=Phase.READY)
    assert fields(next_of(there, COLD)) == []
    other = spec(guard="snapshot", restart="allow", memory="2GiB")
    assert fields(next_of(there, COLD, guarded=other)) == [(SAFEGUARD, "forget")]


def test_a_change_that_goes_on_failing_is_given_up_in_its_time_and_not_before() -> None:
    note = Note("web-1", "memory", "value", "refused", "BackOff", blocking=True)
    early = next_of(at_work(session(Stage.TAKEN)), notes=(note,))
    assert fields(early) == []
    late = session(Stage.TAKEN, at=AT - timedelta(minutes=6))
    assert fields(next_of(at_work(late), notes=(note,))) == [(SAFEGUARD, "failure")]


def test_a_start_of_which_nothing_was_heard_says_nothing_of_the_change() -> None:
    note = Note("web-1", "power", "verify", "VM failed to start", "StartFailed", blocking=True)
    there = at_work(session(Stage.TAKEN))
    assert fields(next_of(there, notes=(note,))) == []
    started = replace(there.cluster, tasks=(task("qmstart", 101, endtime=2),))
    found = next_of(replace(there, cluster=started), notes=(note,))
    assert fields(found) == [(SAFEGUARD, "failure")]


def test_a_vm_that_keeps_breaking_while_it_is_checked_is_given_up() -> None:
    late = session(Stage.CHECK, at=AT - timedelta(minutes=6), looks=3, why="it fell over")
    found = next_of(at_work(late), change("power", "power", new="running"))
    assert fields(found) == [(SAFEGUARD, "failure")]
    patient = replace(late, looks=2)
    found = next_of(at_work(patient), change("power", "power", new="running"))
    assert fields(found) == [("power", "power")]
