"""A job over VMs goes through the engine: planned, guarded, executed, journaled, dry-run."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from desired.spec import VMSpec
from handlers.handler import vm_path
from handlers.pool import Pool
from reconciler.loops.loop import Occasion
from reconciler.loops.over import vm_loop
from reconciler.report import RunStarted, VMError
from reconciler.site import Site
from state.change import Call, Change, Method, Note
from state.memory import Hold, OpenTask, Phase
from state.observed import SeenVM
from state.store import Store
from tests.lab import Killed
from tests.reconciler.loops.jobs import WISH, Label, LoopLab, label, loop_lab


@pytest.fixture
def lab(tmp_path: Path) -> LoopLab:
    made = loop_lab(tmp_path, vms=2)
    made.settle()
    return made


def labels(lab: LoopLab) -> int:
    return sum(WISH in str(vm.config.get("description")) for vm in lab.world.vms.values())


def opened(lab: LoopLab) -> Store:
    return Store.open(lab.where, at=datetime.fromtimestamp(lab.clock(), UTC))


def test_a_job_changes_the_vms_and_then_has_nothing_to_do(lab: LoopLab) -> None:
    """TASK-08"""
    result = lab.one(label())
    assert (result.status, result.processed, result.errors) == ("success", 2, 0)
    assert result.details == ("vm-0: ready", "vm-1: ready")
    assert labels(lab) == 2
    begun = lab.clock.now()
    again = lab.one(label())
    lasts = [one.last for one in lab.told.events if isinstance(one, RunStarted)]
    assert len(lasts) == 1 and lasts[0] is not None and lasts[0] < begun
    assert (again.status, again.processed, lab.wire.writes(lab.wire.run)) == ("success", 0, [])


def test_a_job_is_journaled_beside_the_runs_of_process_vms(lab: LoopLab) -> None:
    """LOG-01: and a quiet one leaves no run behind."""
    with lab.store() as store:
        before = store.journal.runs()[0]
    for _ in range(2):
        lab.one(label())
    with lab.store() as store:
        runs = store.journal.vm_runs("vm-0")
        assert store.journal.runs()[0] == before
        assert store.bindings.all()["vm-0"].phase is Phase.READY
    assert (runs[0].action, runs[0].result, runs[0].run) == ("job", "success", before.id + 1)
    assert [step.label for step in runs[0].steps] == ["Change label.line"]
    assert len([run for run in runs if run.action == "job"]) == 1


def test_a_job_runs_for_some_vms_only(lab: LoopLab) -> None:
    assert lab.one(label(), only=("vm-1",)).details == ("vm-1: ready",)
    assert labels(lab) == 1


def test_frm_06_a_dry_run_says_what_would_be_done_and_writes_nothing(lab: LoopLab) -> None:
    """FRM-06"""
    before = lab.bytes()
    result = lab.preview(label())
    assert (lab.bytes(), lab.wire.writes(lab.wire.run)) == (before, [])
    assert (result.processed, result.message) == (2, "2 VMs of 2 would be worked on")
    assert result.plan is not None
    assert [(vm.key, vm.kind, vm.changes[0].new) for vm in result.plan.vms] == [
        ("vm-0", "change", WISH),
        ("vm-1", "change", WISH),
    ]


def test_a_held_vm_is_left_alone(lab: LoopLab) -> None:
    """DEP-26: the guard is that of every run."""
    with opened(lab) as store:
        store.holds.put(Hold("vm-0", "mine", datetime.fromtimestamp(lab.clock(), UTC)))
    assert lab.one(label()).details == ("vm-1: ready",)
    assert labels(lab) == 1


def test_task_09_a_vm_in_a_backup_is_left_alone(lab: LoopLab) -> None:
    """TASK-09"""
    with lab.store() as store:
        vmid = store.bindings.all()["vm-0"].vmid
    lab.world.vms[vmid].config["lock"] = "backup"
    assert lab.one(label()).details == ("vm-1: ready",)


def test_a_vm_that_is_not_made_is_not_made_by_a_job(tmp_path: Path) -> None:
    lab = loop_lab(tmp_path)
    assert lab.one(label()).message == "0 VMs looked at, 0 changed"
    assert lab.wire.writes() == []
    lab.settle()
    with lab.store() as store:
        vmid = store.bindings.all()["vm-0"].vmid
    lab.ask("POST", f"/nodes/pve1/qemu/{vmid}/status/stop")
    lab.clock.sleep(30)
    lab.ask("DELETE", f"/nodes/pve1/qemu/{vmid}")
    lab.clock.sleep(30)
    result = lab.one(label())
    assert (result.processed, lab.wire.writes(lab.wire.run)) == (0, [])
    plan = lab.preview(label()).plan
    assert plan is not None
    assert [vm.changes for vm in plan.vms] == [()]


def test_a_vm_with_a_strange_marker_is_an_error_of_that_vm(lab: LoopLab) -> None:
    with lab.store() as store:
        vmid = store.bindings.all()["vm-0"].vmid
    lab.ask(
        "PUT",
        f"/nodes/pve1/qemu/{vmid}/config",
        description="reconcile: store=x fleet=y key=z vmid=7",
    )
    lab.clock.sleep(20)
    result = lab.one(label())
    assert (result.status, result.errors) == ("error", 1)
    assert [one.key for one in lab.told.events if isinstance(one, VMError)] == ["vm-0"]
    assert labels(lab) == 1


class Refused(Label):
    """Asks for what Proxmox refuses."""

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        call = Call(Method.PUT, f"{vm_path(seen)}/config", {"cores": 0})
        yield Change(seen.key, self.name, "line", None, WISH, (call,))


def test_a_jobs_failure_is_its_own_and_backs_off(lab: LoopLab) -> None:
    """DEP-06: and `process_vms`, for which the VM is ready, does not forget it."""
    broken = vm_loop("label", "label", (Refused(),), "hourly")
    result = lab.one(broken, only=("vm-0",))
    assert (result.status, result.errors) == ("error", 1)
    assert lab.run().ready == 2
    with lab.store() as store:
        assert store.attempts.of("vm-0")["label.line"].count == 1
        assert store.bindings.all()["vm-0"].phase is Phase.READY
    again = lab.one(broken, only=("vm-0",))
    assert (again.errors, lab.wire.writes(lab.wire.run)) == (1, [])
    lab.clock.sleep(600)
    assert lab.one(label(), only=("vm-0",)).status == "success"
    with lab.store() as store:
        assert store.attempts.of("vm-0") == {}


def test_a_jobs_condition_stands_beside_those_of_process_vms(lab: LoopLab) -> None:
    """A condition ends with the job that raised it, and with no other."""

    class Waiting(Label):
        def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
            yield Note(seen.key, self.name, "line", "no line yet", "Unlabelled")

    def types() -> list[tuple[str, str]]:
        with lab.store() as store:
            return [(one.type, one.reason) for one in store.conditions.all()["vm-0"]]

    lab.one(vm_loop("label", "label", (Waiting(),), "hourly"))
    with_label = types()
    assert ("Unlabelled", "label.line") in with_label
    assert "Ready" in dict(with_label)
    lab.run()
    assert types() == with_label
    lab.one(label())
    lab.one(label())
    assert "Unlabelled" not in dict(types())


class Rest(Label):
    """Starts a task that takes its time: the VM is shut down."""

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        if seen.memory.task is None and seen.status == "running":
            call = Call(Method.POST, f"{vm_path(seen)}/status/shutdown", {"timeout": 300})
            yield Change(seen.key, self.name, "line", None, WISH, (call,))


def test_a_job_follows_its_task_for_a_while_and_the_next_run_goes_on(tmp_path: Path) -> None:
    lab = loop_lab(tmp_path)
    lab.settle()
    lab.world.speed = 1.0
    long = vm_loop("label", "label", (Rest(),), "hourly", follow=timedelta(seconds=1))
    began = lab.clock()
    result = lab.one(long, time_limit=300)
    assert result.details == ("vm-0: waiting",)
    assert lab.clock() - began < 60
    lab.clock.sleep(600)
    assert lab.one(long).status == "success"
    with lab.store() as store:
        assert store.tasks.all() == {}


def test_process_vms_waits_little_for_a_jobs_task_and_says_so(lab: LoopLab) -> None:
    """TASK-09: while a job works on a VM the rest leaves it alone."""
    lab.world.speed = 0.001
    upid = lab.ask("POST", "/nodes/pve1/qemu/100/status/shutdown", timeout=300)
    with opened(lab) as store:
        vmid = store.bindings.all()["vm-0"].vmid
        assert vmid == 100
        at = datetime.fromtimestamp(lab.clock(), UTC)
        store.tasks.open(OpenTask(str(upid), "vm-0", "demo", "label.line", at))
    began = lab.clock()
    assert lab.run().waiting == 1
    assert "label.line is at work" in lab.told.words("vm-0")
    assert lab.clock() - began < 10


def test_a_job_may_make_its_handlers_for_each_look(lab: LoopLab) -> None:
    """Of what it has read of the cluster by then."""
    met: list[str] = []

    def made(occasion: Occasion, site: Site) -> list[Label]:
        met.append(f"{occasion.name} {site.name} {occasion.dry}")
        return [Label()]

    loop = vm_loop("label", "label", made, "hourly")
    assert lab.preview(loop).processed == 2
    assert lab.one(loop).processed == 2
    assert met[:2] == ["label demo True", "label demo False"]


def test_the_handlers_of_a_job_bear_its_name() -> None:
    with pytest.raises(ValueError, match="its handler pool is not called label"):
        vm_loop("label", "label", (Pool(),), "hourly")


def test_a_job_killed_after_any_call_is_gone_on_with(tmp_path: Path) -> None:
    """DEP-20: as any run; what it wrote it does not write again."""
    whole = loop_lab(tmp_path / "whole")
    whole.settle()
    whole.one(label())
    calls = whole.wire.count
    assert calls > 3
    for call in range(2, calls, 3):
        lab = loop_lab(tmp_path / f"killed-{call}")
        lab.settle()
        with pytest.raises(Killed):
            lab.one(label(), kill=call)
        with lab.store() as store:
            assert store.loops.of("label").status == "running"
        lab.clock.sleep(60)
        assert lab.due(label()).results["label"].status == "success"
        assert labels(lab) == 1
        written = [one for one in lab.wire.writes() if WISH in str(one.params)]
        assert len(written) == 1
