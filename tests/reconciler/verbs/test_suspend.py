"""A VM that is suspended is off and stays off, whatever anybody does; then it is as it was."""

from pathlib import Path

import pytest

from reconciler.sim.clock import SOME_DAY
from state.memory import Phase
from tests.lab import Lab
from tests.laws.fleets import Spec, fleet_files
from tests.laws.test_restart import deployed, edit, power
from tests.verbs import asked, open_verbs, phase, results

PLAIN: Spec = {"memory": "1GiB"}
DENY = """\
windows: {never: {kind: deny, start: "* * * * *", for: 1h}}
"""


def vm(lab: Lab) -> tuple[str, str]:
    """Whether it runs, and whether its node starts it."""
    machine = lab.world.vms[100]
    return machine.status, str(machine.config.get("onboot", "0"))


def test_sus_01_a_suspended_vm_is_stopped_and_nothing_is_deleted(tmp_path: Path) -> None:
    lab = deployed(tmp_path, {**PLAIN, "onboot": True})
    before = lab.shot()["volumes"]
    assert asked(lab, "suspend") == "is stopped and kept off, and nothing is deleted"
    lab.settle()
    assert vm(lab) == ("stopped", "0")
    assert phase(lab) is Phase.SUSPENDED
    assert results(lab) == {"suspend t1": "done"}
    assert lab.shot()["volumes"] == before


def test_sus_01_resume_brings_it_back_as_it_was(tmp_path: Path) -> None:
    lab = deployed(tmp_path)
    lab.ask("PUT", "/nodes/pve1/qemu/100/config", onboot=1)
    world = lab.shot()
    asked(lab, "suspend")
    lab.settle()
    assert vm(lab) == ("stopped", "0")
    asked(lab, "resume", "t2")
    lab.settle()
    assert lab.shot() == world
    assert (phase(lab), open_verbs(lab)) == (Phase.READY, [])
    assert results(lab) == {"suspend t1": "done", "resume t2": "done"}


@pytest.mark.parametrize("spec", [{**PLAIN, "drift": "alert"}, {**PLAIN, "onboot": False}])
def test_sus_01_somebody_elses_start_is_undone_in_every_tick(tmp_path: Path, spec: Spec) -> None:
    """Whatever `drift`, `restart` and windows say: nobody but `resume` brings it back."""
    lab = deployed(tmp_path, {**spec, "restart": "never"})
    asked(lab, "suspend")
    lab.settle()
    for _ in range(2):
        lab.ask("PUT", "/nodes/pve1/qemu/100/config", onboot=1)
        lab.ask("POST", "/nodes/pve1/qemu/100/status/start")
        lab.clock.sleep(30.0)
        lab.ask("GET", "/cluster/resources")
        assert vm(lab)[0] == "running"
        lab.settle()
        assert vm(lab) == ("stopped", "0")
    asked(lab, "resume", "t2")
    lab.settle()
    assert vm(lab)[0] == "running"


def test_a_vm_that_is_unmanaged_comes_back_running_only_if_it_ran(tmp_path: Path) -> None:
    lab = deployed(tmp_path, {**PLAIN, "power": "unmanaged"})
    lab.ask("POST", "/nodes/pve1/qemu/100/status/start")
    lab.clock.sleep(30.0)
    for number, runs in enumerate(("running", "stopped")):
        asked(lab, "suspend", f"off-{number}")
        lab.settle()
        assert vm(lab)[0] == "stopped"
        asked(lab, "resume", f"on-{number}")
        lab.settle()
        assert vm(lab)[0] == runs
        if runs == "running":
            lab.ask("POST", "/nodes/pve1/qemu/100/status/stop")
            lab.clock.sleep(30.0)


def test_a_deny_window_holds_no_suspend_back(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    files = fleet_files({"a": PLAIN})
    lab.write({"fleet.yaml": files["fleet.yaml"] + DENY})
    asked(lab, "suspend")
    lab.settle()
    assert vm(lab)[0] == "stopped"


def test_an_edit_reaches_a_suspended_vm_and_does_not_start_it(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    asked(lab, "suspend")
    lab.settle()
    edit(lab, {"memory": "2GiB"})
    lab.settle()
    assert (vm(lab)[0], lab.world.vms[100].config["memory"]) == ("stopped", "2048")
    assert phase(lab) is Phase.SUSPENDED


def test_a_vm_may_be_suspended_before_it_is_made(tmp_path: Path) -> None:
    lab = Lab(tmp_path, fleet_files({"a": {**PLAIN, "do": {"suspend": "unpaid"}}}))
    lab.settle()
    assert (vm(lab)[0], phase(lab)) == ("stopped", Phase.SUSPENDED)
    edit(lab, {**PLAIN, "do": {"suspend": "unpaid", "resume": "paid"}})
    lab.settle()
    assert (vm(lab)[0], phase(lab)) == ("running", Phase.READY)


def test_a_suspended_vm_is_kept_off_under_the_ha_manager(tmp_path: Path) -> None:
    lab = Lab(tmp_path, fleet_files({"a": {**PLAIN, "ha": {}}}))
    who = {"users": "reconcile@pve", "tokens": "reconcile@pve!fleet"}
    lab.ask("PUT", "/access/acl", path="/", roles="PVESysAdmin", **who)
    lab.settle()
    asked(lab, "suspend")
    lab.settle(apart=60.0)
    assert vm(lab)[0] == "stopped"
    lab.clock.sleep(600.0)
    lab.settle(apart=60.0)
    assert vm(lab)[0] == "stopped"
    asked(lab, "resume", "t2")
    lab.settle(apart=60.0)
    assert vm(lab)[0] == "running"


def test_a_dry_run_tells_what_a_spec_asks_and_writes_nothing(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    edit(lab, {**PLAIN, "do": {"suspend": "unpaid"}})
    before = lab.bytes()
    planned = lab.dry().vms[0]
    assert {change.field for change in planned.changes} == {"stop.off"}
    assert lab.bytes() == before
    assert power(lab) == []


def test_the_same_token_suspends_once(tmp_path: Path) -> None:
    lab = deployed(tmp_path, {**PLAIN, "do": {"suspend": "unpaid"}})
    assert phase(lab) is Phase.SUSPENDED
    asked(lab, "resume", "paid")
    lab.settle()
    assert (vm(lab)[0], phase(lab)) == ("running", Phase.READY)
    assert lab.clock.seconds > SOME_DAY


def test_a_suspended_vm_is_told_of_as_such_and_its_runs_tell_no_story(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    asked(lab, "suspend", why="unpaid")
    lab.settle()
    with lab.store() as store:
        before = store.journal.vm_runs("a", 50)
    lab.settle()
    with lab.store() as store:
        assert store.journal.vm_runs("a", 50) == before
        found = {one.type: one.message for one in store.conditions.all()["a"]}
    assert found["Suspended"].startswith("suspended by ann@desk at ")
    assert found["Suspended"].endswith(": unpaid")


def test_a_vm_that_is_suspended_in_its_deploy_was_ready_first(tmp_path: Path) -> None:
    """NOTE-01: its event is told once, and resuming tells no second one."""
    lab = Lab(tmp_path, fleet_files({"a": {**PLAIN, "do": {"suspend": "t"}}}))
    lab.settle()
    asked(lab, "resume", "t2")
    lab.settle()
    with lab.store() as store:
        told = [one.event for one in store.outbox.waiting()]
    wanted = {"vm_ready", "vm_suspended", "vm_resumed"}
    assert [one for one in told if one in wanted] == ["vm_ready", "vm_suspended", "vm_resumed"]


def test_what_a_spec_asks_besides_a_suspend_waits_until_the_vm_is_made(tmp_path: Path) -> None:
    do: Spec = {"suspend": "t1", "snapshot": "t2"}
    lab = Lab(tmp_path, fleet_files({"a": {**PLAIN, "do": do}}))
    lab.settle()
    assert results(lab) == {"suspend t1": "done", "snapshot t2": "done"}
    assert len(lab.world.vms[100].snapshots) == 1
