"""The journal (LOG-01) and the effects that guard counts."""

from dataclasses import replace
from datetime import datetime, timedelta

from state.change import Effect
from state.journal import Run, StepRecord, VMRun
from state.store import Store

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def clone(at: datetime) -> StepRecord:
    return StepRecord("Clone", "creation", "clone", "success", 0.25, at, "UPID:pve1:1")


def start(at: datetime) -> StepRecord:
    return StepRecord("Start VM", "clone", "ready", "success", 1.5, at)


def test_log_01_a_run_and_its_steps_come_back(store: Store, at: datetime) -> None:
    run = store.journal.start_run(at, "reconcile --once", "r1")
    done = VMRun(
        "web-1", "deploy", at, at + SECOND, "creation", "ready", "success", "",
        (clone(at), start(at)), run,
    )  # fmt: skip
    store.journal.record(run, done)
    store.journal.record(run, done)
    assert store.journal.vm_runs("web-1") == [done]
    store.journal.finish_run(run, at + SECOND, {"vms": 1})
    assert store.journal.runs() == [
        Run(run, at, "reconcile --once", "r1", False, at + SECOND, {"vms": 1})
    ]


def test_log_01_a_crash_loses_no_step(store: Store, at: datetime) -> None:
    run = store.journal.start_run(at, "reconcile --once", "r1")
    store.journal.step(run, "web-1", "deploy", clone(at))
    store.journal.step(run, "web-1", "deploy", start(at + SECOND))
    (left,) = store.journal.vm_runs("web-1")
    assert (left.result, left.finished_at) == ("waiting", None)
    assert (left.state_before, left.state_after) == ("creation", "ready")
    assert left.steps == (clone(at), start(at + SECOND))


def test_steps_that_landed_together_are_kept_in_their_order(store: Store, at: datetime) -> None:
    run = store.journal.start_run(at, "reconcile --once", "r1")
    store.journal.step(run, "web-1", "deploy", clone(at), start(at))
    (left,) = store.journal.vm_runs("web-1")
    assert (left.state_before, left.state_after) == ("creation", "ready")
    assert left.steps == (clone(at), start(at))


def test_closing_a_vms_run_keeps_the_steps_written_before(store: Store, at: datetime) -> None:
    run = store.journal.start_run(at, "reconcile --once", "r1")
    store.journal.step(run, "web-1", "deploy", clone(at))
    failed = VMRun("web-1", "deploy", at, at + SECOND, "creation", "clone", "error", "storage full")
    store.journal.record(run, failed)
    assert store.journal.vm_runs("web-1") == [replace(failed, steps=(clone(at),), run=run)]


def test_log_01_fifty_runs_are_kept_of_each_vm(store: Store, at: datetime) -> None:
    for number in range(55):
        run = store.journal.start_run(at + number * SECOND, "reconcile --once", "r1")
        store.journal.step(run, "web-1", "change", clone(at))
        store.journal.step(run, "web-2", "change", clone(at))
    kept = store.journal.vm_runs("web-1", limit=100)
    assert [one.run for one in kept] == list(range(55, 5, -1))
    assert len(store.journal.vm_runs("web-2", limit=3)) == 3
    with store._database.reading("count steps") as link:
        assert link.exec_driver_sql("SELECT count(*) FROM steps").scalar() == 100


def test_runs_without_vms_are_pruned_those_with_vms_stay(store: Store, at: datetime) -> None:
    first = store.journal.start_run(at, "reconcile --once", "r1")
    store.journal.step(first, "web-1", "deploy", clone(at))
    for number in range(599):
        store.journal.start_run(at + number * SECOND, "reconcile --once", "r1", dry=True)
    kept = [run.id for run in store.journal.runs(limit=1000)]
    assert kept == [*range(600, 100, -1), first]


def test_the_latest_runs_come_first(store: Store, at: datetime) -> None:
    for command in ("a", "b", "c"):
        store.journal.start_run(at, command, "r1")
    assert [run.command for run in store.journal.runs(limit=2)] == ["c", "b"]


def test_effects_count_machines_not_times(store: Store, at: datetime) -> None:
    for key, effect, when in [
        ("web-1", Effect.STOP_START, at),
        ("web-1", Effect.STOP_START, at + SECOND),
        ("web-2", Effect.STOP_START, at - DAY),
        ("web-2", Effect.DESTROY, at),
    ]:
        store.journal.effect(key, effect, when)
    assert len(store.journal.restarted_since(at)) == 1
    assert len(store.journal.restarted_since(at - DAY)) == 2
    assert len(store.journal.destroyed_since(at - DAY)) == 1
    assert store.journal.destroyed_since(at + SECOND) == frozenset()


def test_old_effects_go(store: Store, at: datetime) -> None:
    store.journal.effect("web-1", Effect.DESTROY, at - 40 * DAY)
    store.journal.effect("web-2", Effect.DESTROY, at)
    assert len(store.journal.destroyed_since(at - 50 * DAY)) == 1
