"""The laws that every restart keeps: permitted, once for one change, by force in the end."""

import copy
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sim.api import Simulator
from reconciler.sim.faults import Fault
from reconciler.sim.world import World
from tests.lab import Lab, LabClock, Told, Wire
from tests.laws.effort import few, many
from tests.laws.fleets import Spec, fleet_files

SMALL: Spec = {"cpu": {"cores": 1}, "memory": "1GiB", "restart": "allow"}
LARGE: Spec = {"cpu": {"cores": 2}, "memory": "2GiB", "restart": "allow", "tags": ["large"]}
LATE = "VM quit/powerdown failed - got timeout"


def twin(lab: Lab, folder: Path) -> Lab:
    """The same data centre a second time: its world, its store and its files."""
    shutil.copytree(lab.database.parent, folder)
    other = copy.copy(lab)
    other.fleet, other.database = folder / "fleet", folder / "store.db"
    other.where = str(other.database)
    other.clock, other.wire, other.told = LabClock(lab.clock.seconds), Wire(), Told()
    other.world = World.load(lab.world.dump())
    other.simulator = Simulator(other.world, other.clock)
    return other


def deployed(folder: Path, spec: Spec = SMALL, speed: float = 600.0) -> Lab:
    lab = Lab(folder, fleet_files({"a": spec}), speed=speed)
    lab.settle()
    lab.wire.calls.clear()
    return lab


def edit(lab: Lab, spec: Spec) -> None:
    lab.write(fleet_files({"a": spec}))


def power(lab: Lab) -> list[str]:
    """What was sent to stop and start the VM, in order."""
    writes = [one for one in lab.wire.writes() if "/status/" in one.path and not one.error]
    return [one.path.rpartition("/")[2] for one in writes]


RESTARTED = ["shutdown", "start"]


def test_cp_15_what_is_applied_live_needs_no_restart(tmp_path: Path) -> None:
    lab = deployed(tmp_path)
    edit(lab, {**SMALL, "tags": ["x"], "nics": {"net0": {"rate": "12.5MB/s"}}, "onboot": True})
    lab.settle()
    assert power(lab) == []
    assert len(lab.wire.writes()) == 1


def test_never_is_the_default_and_the_values_wait(tmp_path: Path) -> None:
    """C-04, CP-15: all values are written at once; nobody stops the guest for them."""
    lab = deployed(tmp_path, {"memory": "1GiB"})
    edit(lab, {"memory": "2GiB"})
    lab.settle()
    assert power(lab) == []
    assert lab.world.vms[100].pending == {"memory": "2048"}
    assert condition(lab, "RestartRequired") == "waits for a stop and start: memory"


def condition(lab: Lab, name: str) -> str | None:
    with lab.store() as store:
        found = {one.type: one.message for one in store.conditions.all().get("a", ())}
        return found.get(name)


def test_a_guest_that_does_not_shut_down_is_switched_off_after_its_window(tmp_path: Path) -> None:
    """CP-04, C-09, C-24: 120 s by our clock, over ticks of 50 s; then one hard stop."""
    lab = deployed(tmp_path, speed=1.0)
    lab.simulator.faults.add(Fault("task-hang", task="qmshutdown", times=None))
    edit(lab, LARGE)
    began = lab.clock.seconds
    lab.settle(apart=10.0)
    assert power(lab) == ["shutdown", "stop", "start"]
    forced = next(one for one in lab.wire.writes() if one.path.endswith("/stop"))
    assert forced.params == {"overrule-shutdown": True}
    assert 120 < lab.clock.seconds - began < 240
    assert lab.world.vms[100].config["memory"] == "2048"


def test_a_shutdown_that_fails_at_once_is_asked_for_again_before_any_force(tmp_path: Path) -> None:
    lab = deployed(tmp_path, speed=1.0)
    lab.simulator.faults.add(Fault("task-fail", task="qmshutdown", times=1, text=LATE))
    edit(lab, LARGE)
    lab.settle(apart=10.0)
    assert power(lab) == ["shutdown", "shutdown", "start"]


def test_after_a_pause_of_the_runner_one_more_look_is_made_before_force(tmp_path: Path) -> None:
    """C-09, C-24: the window has ended unseen, so nothing is forced by the first look after it."""
    lab = deployed(tmp_path, speed=1.0)
    lab.simulator.faults.add(Fault("task-hang", task="qmshutdown", times=None))
    edit(lab, LARGE)
    lab.run(time_limit=3.0)
    assert power(lab) == ["shutdown"]
    lab.clock.sleep(600.0)
    lab.settle(apart=10.0)
    assert power(lab) == ["shutdown", "stop", "start"]
    paths = [one.path for one in lab.wire.calls if one.run > 3]
    before = paths[: paths.index("/nodes/pve1/qemu/100/status/stop")]
    assert before.count("/cluster/resources") >= 2


def test_a_vm_that_does_not_stop_is_told_and_tried_again_with_patience(tmp_path: Path) -> None:
    """CP-04, CP-09: StopFailed with its reason; each try waits longer than the last."""
    lab = deployed(tmp_path, speed=1.0)
    lab.simulator.faults.add(Fault("task-hang", task="qmshutdown", times=None))
    lab.simulator.faults.add(Fault("task-fail", task="qmstop", times=3, text="can't lock file"))
    edit(lab, LARGE)
    told = set()
    for _ in range(60):
        if lab.run().ready:
            break
        told.add(condition(lab, "StopFailed"))
        lab.clock.sleep(10.0)
    assert power(lab) == ["shutdown", *["stop"] * 4, "start"]
    assert "VM failed to stop (status: running): can't lock file. Will retry." in told


def test_values_that_stay_pending_after_the_restart_are_not_restarted_for_again(
    tmp_path: Path,
) -> None:
    """CP-15: only one restart for one change, whatever Proxmox makes of it; another counts."""
    lab = deployed(tmp_path, speed=1.0)
    edit(lab, LARGE)
    while power(lab) != RESTARTED:
        lab.run(time_limit=3.0)
    lab.world.vms[100].config["memory"] = "1024"
    lab.world.vms[100].pending["memory"] = "2048"
    lab.settle()
    lab.clock.sleep(86_400.0)
    lab.settle()
    assert power(lab) == RESTARTED
    assert condition(lab, "RestartInVain") == "it was restarted for them, and they still wait"
    edit(lab, {**LARGE, "cpu": {"cores": 3}})
    lab.settle()
    assert power(lab) == RESTARTED * 2
    assert condition(lab, "RestartRequired") is None


def test_power_stopped_stops_and_running_starts_it_again(tmp_path: Path) -> None:
    """DEP-24: the spec is the permission."""
    lab = deployed(tmp_path, {"memory": "1GiB"})
    edit(lab, {"memory": "1GiB", "power": "stopped"})
    lab.settle()
    assert (power(lab), lab.world.vms[100].status) == (["shutdown"], "stopped")
    edit(lab, {"memory": "1GiB"})
    lab.settle()
    assert (power(lab), lab.world.vms[100].status) == (["shutdown", "start"], "running")


def test_a_reboot_by_somebody_else_is_waited_for(tmp_path: Path) -> None:
    """Between its task's end and the start by Proxmox the VM is stopped for a moment."""
    lab = deployed(tmp_path, speed=1.0)
    lab.ask("POST", "/nodes/pve1/qemu/100/status/reboot")
    for _ in range(20):
        lab.clock.sleep(1.0)
        lab.run(time_limit=1.0)
    lab.settle()
    assert power(lab) == []
    assert lab.world.vms[100].status == "running"


def test_a_failed_hot_plug_leaves_nothing_that_a_later_stop_applies(tmp_path: Path) -> None:
    """CP-15: what the guest refused is taken back; the restart is for the other values only."""
    lab = deployed(tmp_path)
    lab.simulator.faults.add(Fault("stubborn-guest", vmid=100))
    edit(lab, {**LARGE, "nics": {"net0": {"model": "e1000"}}})
    for _ in range(6):
        lab.run()
        lab.clock.sleep(60.0)
        if power(lab) == RESTARTED:
            break
        assert "net0" not in lab.world.vms[100].pending
    vm = lab.world.vms[100]
    assert vm.config["net0"].startswith("virtio=")  # type: ignore[union-attr]
    assert vm.status == "running"


steps = st.lists(
    st.one_of(
        st.tuples(st.just("memory"), st.sampled_from(["1GiB", "2GiB", "3GiB"])),
        st.tuples(st.just("cores"), st.integers(1, 3)),
        st.tuples(st.just("tags"), st.sampled_from([["x"], ["y"], []])),
        st.tuples(st.just("restart"), st.sampled_from(["never", "allow", "window"])),
        st.tuples(st.just("outside"), st.sampled_from(["cores=4", "memory=4096", "cpuunits=9"])),
        st.tuples(st.just("rebooted"), st.just("")),
    ),
    min_size=1,
    max_size=8,
)


def obeyed(plan: list[tuple[str, object]]) -> None:
    """No run restarts a VM whose policy forbids it, and none restarts it twice for one change."""
    with TemporaryDirectory() as folder:
        spec: Spec = {"memory": "1GiB", "cpu": {"cores": 1}, "restart": "never"}
        lab = deployed(Path(folder, "lab"), spec)
        for name, value in plan:
            if name == "outside":
                key, _, new = str(value).partition("=")
                lab.ask("PUT", "/nodes/pve1/qemu/100/config", **{key: new})
            elif name == "rebooted":
                lab.ask("POST", "/nodes/pve1/qemu/100/status/reboot")
            elif name == "cores":
                spec = {**spec, "cpu": {"cores": value}}
            else:
                spec = {**spec, name: value}
            edit(lab, spec)
            lab.clock.sleep(1000.0)
            sent = len(power(lab))
            lab.settle(apart=100.0)
            new_calls = power(lab)[sent:]
            assert new_calls in ([], RESTARTED)
            assert spec["restart"] == "allow" or not new_calls
        waits = lab.world.vms[100].pending
        assert not waits or spec["restart"] != "allow"


@few
@given(steps)
def test_never_a_restart_that_policy_forbids_nor_a_second_for_one_change(
    plan: list[tuple[str, object]],
) -> None:
    """C-24, CP-15."""
    obeyed(plan)


@pytest.mark.nightly
@many
@given(steps)
def test_no_restart_that_policy_forbids_whatever_is_edited(plan: list[tuple[str, object]]) -> None:
    obeyed(plan)
