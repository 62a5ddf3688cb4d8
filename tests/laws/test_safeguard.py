"""The laws of a guarded change: a snapshot first, back if the VM is not well, and never a loop."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.sim.faults import Fault
from state.memory import Hold, Phase
from state.secret import Secret
from state.store import Store
from tests.lab import Killed, Lab, Sent
from tests.laws.fleets import FLEET, Spec, fleet_files
from tests.laws.test_crash import commits
from tests.laws.test_restart import LATE, edit, power, twin
from tests.laws.test_restart_killed import at_calls, at_commit

HOME: Spec = {"net0": {"ipv4": {"static": "127.0.0.1/8"}}}
CLOSED: Spec = {"health": {"tcp": 1}, "within": "1min"}
"""Nothing listens on port 1 of the machine that the tests run on."""

SMALL: Spec = {"memory": "1GiB", "restart": "allow", "nics": HOME, "agent": True}
LARGE: Spec = {**SMALL, "memory": "2GiB", "tags": ["large"]}


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


def guarded(folder: Path, spec: Spec = SMALL, guard: object = "snapshot", **lab: float) -> Lab:
    """A VM that is ready, and guarded from now on."""
    made = Lab(folder, fleet_files({"a": {**spec, "guard": guard}}), **lab)  # type: ignore[arg-type]
    made.settle()
    made.wire.calls.clear()
    return made


def steps(lab: Lab) -> list[str]:
    """What was written, in order, in a word each; not what failed, and no word to the guest."""
    return [_word(one) for one in lab.wire.writes() if not one.error and "/agent/" not in one.path]


def _word(one: Sent) -> str:
    last = one.path.rpartition("/")[2]
    if "/snapshot/" in one.path:
        return "remove" if one.method == "DELETE" else last
    return last


GOOD = ["snapshot", "config", "shutdown", "start", "remove"]
BAD = ["snapshot", "config", "shutdown", "start", "shutdown", "rollback", "start", "remove"]


def conditions(lab: Lab) -> dict[str, str]:
    with lab.store() as store:
        return {one.type: one.message for one in store.conditions.all().get("a", ())}


def events(lab: Lab) -> list[str]:
    with lab.store() as store:
        return [event.event for event in store.outbox.waiting()]


def runs(lab: Lab, count: int = 6) -> None:
    """Runs a minute apart, until one leaves a guarded change behind that is over and undone."""
    for _ in range(count):
        lab.run()
        lab.clock.sleep(60.0)
        if lab.wire.calls and not lab.wire.writes(lab.wire.run) and undone_by(lab):
            return


def undone_by(lab: Lab) -> bool:
    return "ChangeRolledBack" in conditions(lab)


def test_a_change_that_goes_well_leaves_no_snapshot(tmp_path: Path, port: int) -> None:
    """The snapshot comes before the first write, and goes when all that is asked for answers."""
    guard = {"health": {"tcp": port}}
    lab = guarded(tmp_path, guard=guard)
    edit(lab, {**LARGE, "guard": guard})
    lab.settle()
    assert steps(lab) == GOOD
    taken = next(one for one in lab.wire.writes() if one.path.endswith("/snapshot"))
    assert taken.params["description"] == "reconcile: before memory, tags"
    vm = lab.world.vms[100]
    assert (vm.config["memory"], vm.status, vm.snapshots) == ("2048", "running", {})
    assert events(lab)[-1] == "vm_changed"
    assert [one.path for one in lab.wire.writes()].count("/nodes/pve1/qemu/100/agent/ping") == 2


def test_what_is_not_well_in_its_time_is_rolled_back_held_and_not_tried_again(
    tmp_path: Path,
) -> None:
    lab = guarded(tmp_path, guard=CLOSED)
    before = lab.shot()["vms"][100]
    edit(lab, {**LARGE, "guard": CLOSED})
    runs(lab)
    assert steps(lab) == BAD
    assert lab.shot()["vms"][100] == before
    told = conditions(lab)
    assert "port 1 of 127.0.0.1 takes no connection" in told["ChangeRolledBack"]
    assert "lift it with reconcile unhold a" in told["Held"]
    assert events(lab)[-1] == "change_rolled_back"
    with lab.store() as store:
        binding = store.bindings.of("a")
        assert binding is not None and binding.phase is Phase.READY


@pytest.fixture
def undone(tmp_path: Path) -> Lab:
    """A VM whose change was rolled back."""
    lab = guarded(tmp_path, guard=CLOSED)
    edit(lab, {**LARGE, "guard": CLOSED})
    runs(lab, 4)
    assert "ChangeRolledBack" in conditions(lab)
    lab.wire.calls.clear()
    return lab


def test_an_edit_of_the_spec_is_tried_and_lifts_the_hold(undone: Lab, port: int) -> None:
    edit(undone, {**LARGE, "memory": "3GiB", "guard": {"health": {"tcp": port}}})
    undone.settle()
    assert steps(undone) == GOOD
    assert undone.world.vms[100].config["memory"] == "3072"
    assert conditions(undone).keys() == {"Ready"}


def test_an_edit_of_the_guard_alone_tries_nothing_again(undone: Lab, port: int) -> None:
    edit(undone, {**LARGE, "guard": {"health": {"tcp": port}}})
    runs(undone, 2)
    assert steps(undone) == []


def test_the_old_spec_lifts_the_hold_and_writes_nothing(undone: Lab) -> None:
    edit(undone, {**SMALL, "guard": CLOSED})
    undone.settle()
    assert steps(undone) == []
    assert conditions(undone).keys() == {"Ready"}
    with undone.store() as store:
        assert not store.holds.all()


def test_a_person_lets_it_be_tried_again(undone: Lab) -> None:
    with Store.open(undone.where, at=undone.clock.now()) as store:
        assert store.holds.lift("a")
    runs(undone)
    assert steps(undone) == BAD


def test_a_hold_that_a_person_put_is_no_one_else_s_to_lift(undone: Lab, port: int) -> None:
    with Store.open(undone.where, at=undone.clock.now()) as store:
        store.holds.put(Hold("a", "mine", undone.clock.now()))
    edit(undone, {**LARGE, "memory": "3GiB", "guard": {"health": {"tcp": port}}})
    runs(undone, 2)
    assert steps(undone) == []
    with undone.store() as store:
        assert store.holds.all()["a"].why == "mine"


def test_a_vm_that_does_not_stay_on_after_its_change_is_rolled_back(tmp_path: Path) -> None:
    """CP-08: StartFailed is enough; nobody waits for the whole time."""
    lab = guarded(tmp_path, speed=1.0)
    edit(lab, {**LARGE, "guard": "snapshot"})
    for _ in range(60):
        lab.run(time_limit=3.0)
        if power(lab)[-1:] == ["start"] and lab.world.vms[100].config["memory"] == "2048":
            lab.ask("POST", "/nodes/pve1/qemu/100/status/stop")
        if undone_by(lab):
            break
        lab.clock.sleep(10.0)
    assert "VM failed to start" in conditions(lab)["ChangeRolledBack"]
    assert steps(lab)[4:] == ["rollback", "start", "remove"]
    assert lab.world.vms[100].config["memory"] == "1024"
    assert lab.world.vms[100].status == "running"


def test_a_vm_that_cannot_be_started_after_its_change_is_rolled_back_in_its_time(
    tmp_path: Path,
) -> None:
    lab = guarded(tmp_path, guard={"within": "3min"})
    fault = lab.simulator.faults.add(
        Fault("task-fail", task="qmstart", times=None, text="cannot allocate memory")
    )
    edit(lab, {**LARGE, "guard": {"within": "3min"}})
    runs(lab, 3)
    assert "rollback" not in steps(lab)
    runs(lab, 6)
    assert "rollback" in steps(lab)
    lab.simulator.faults.remove(fault.id)
    runs(lab, 12)
    assert "cannot allocate memory" in conditions(lab)["ChangeRolledBack"]
    assert lab.world.vms[100].status == "running"


def test_values_that_wait_for_a_person_are_guarded_when_they_may_be_applied(
    tmp_path: Path,
) -> None:
    """CP-15: writing what only a stop applies needs no snapshot; the stop does."""
    never = {**SMALL, "restart": "never"}
    lab = guarded(tmp_path, never)
    edit(lab, {**never, "memory": "2GiB", "guard": "snapshot"})
    lab.settle()
    assert steps(lab) == ["config"]
    edit(lab, {**LARGE, "guard": "snapshot"})
    lab.settle()
    assert steps(lab)[1:] == ["snapshot", "config", "shutdown", "start", "remove"]


def test_what_takes_effect_live_is_guarded_only_where_it_is_asked_for(tmp_path: Path) -> None:
    lab = guarded(tmp_path)
    edit(lab, {**SMALL, "onboot": True, "guard": "snapshot"})
    lab.settle()
    assert steps(lab) == ["config"]
    edit(lab, {**SMALL, "onboot": False, "guard": {"effects": ["live"]}})
    lab.settle()
    assert steps(lab)[1:] == ["snapshot", "config", "remove"]


def test_drift_is_put_back_without_a_snapshot(tmp_path: Path) -> None:
    lab = guarded(tmp_path, guard={"effects": ["live"]})
    lab.ask("PUT", "/nodes/pve1/qemu/100/config", onboot=1)
    edit(lab, {**SMALL, "onboot": False, "guard": {"effects": ["live"]}})
    lab.settle()
    lab.wire.calls.clear()
    lab.ask("PUT", "/nodes/pve1/qemu/100/config", onboot=1)
    lab.clock.sleep(20.0)
    lab.settle()
    assert steps(lab) == ["config"]


def plain(lab: Lab) -> None:
    """Nothing."""


def thick(lab: Lab) -> None:
    lab.ask("POST", "/storage", storage="thick", type="lvm", vgname="pve", content="images")
    lab.ask("POST", "/nodes/pve1/qemu/100/config", scsi3="thick:1")


def taken(lab: Lab) -> None:
    lab.ask("POST", "/nodes/pve1/qemu/100/snapshot", snapname="mine")
    lab.clock.sleep(30.0)


WITHOUT: list[tuple[Callable[[Lab], None], Spec, str]] = [
    (thick, {}, "the storage of a disk cannot: scsi0 (local-lvm:"),
    (taken, {"quota": {"snapshots": 1}}, "it has 1 snapshots, and its quota is 1"),
    (plain, {"quota": {"snapshots": 0}}, "its quota of snapshots is 0"),
]
IMPOSSIBLE = pytest.mark.parametrize(("prepare", "more", "why"), WITHOUT)


@IMPOSSIBLE
def test_task_10_where_no_snapshot_can_be_taken_the_change_waits(
    tmp_path: Path, prepare: Callable[[Lab], None], more: Spec, why: str
) -> None:
    """TASK-10: a quota of 0 disables snapshots, for this too."""
    lab = guarded(tmp_path, {**SMALL, **more})
    prepare(lab)
    edit(lab, {**LARGE, **more, "guard": "snapshot"})
    summary = [lab.run() for _ in range(3)][-1]
    assert (summary.failed, summary.waiting) == (0, 1)
    assert power(lab) == []
    assert [sorted(one.params) for one in lab.wire.writes()] == [["digest", "tags"]]
    assert why in conditions(lab)["GuardUnavailable"]
    assert "the change waits" in conditions(lab)["GuardUnavailable"]


@IMPOSSIBLE
def test_a_guard_that_is_not_required_lets_the_change_be_made_without_one(
    tmp_path: Path, prepare: Callable[[Lab], None], more: Spec, why: str
) -> None:
    guard = {"required": False}
    lab = guarded(tmp_path, {**SMALL, **more}, guard)
    prepare(lab)
    edit(lab, {**LARGE, **more, "guard": guard})
    lab.settle()
    assert steps(lab) == ["config", "shutdown", "start"]
    assert lab.world.vms[100].config["memory"] == "2048"


def test_an_agent_that_the_token_may_not_ask_is_found_out_before_the_change(tmp_path: Path) -> None:
    """Else every VM would be taken for one that is not well."""
    lab = guarded(tmp_path)
    no = "Permission check failed (/vms/100, VM.Monitor)"
    lab.simulator.faults.add(
        Fault("error-before", path="*/agent/ping", times=None, status=403, text=no)
    )
    edit(lab, {**LARGE, "guard": "snapshot"})
    runs(lab, 2)
    assert "may not ask the guest agent (VM.Monitor" in conditions(lab)["GuardUnavailable"]
    assert power(lab) == []


def test_a_password_that_was_reset_is_no_change_to_guard(tmp_path: Path) -> None:
    spec = {**SMALL, "cloudinit": {"user": "ops", "password": "generate"}}
    lab = guarded(tmp_path, spec)
    with Store.open(lab.where, at=lab.clock.now()) as store:
        secret = Secret("another one")
        store.vault.keep("a", "password", secret)
        store.vault.set_fingerprint("a", "password.wanted", store.vault.fingerprint(secret))
    lab.settle()
    assert steps(lab) == ["config"]


def test_a_snapshot_that_fails_is_tried_again_before_anything_is_written(tmp_path: Path) -> None:
    lab = guarded(tmp_path)
    lab.simulator.faults.add(Fault("task-fail", task="qmsnapshot", times=1, text="no space left"))
    edit(lab, {**LARGE, "guard": "snapshot"})
    lab.run()
    assert steps(lab) == ["snapshot"]
    lab.clock.sleep(5.0)
    lab.run()
    lab.settle()
    assert steps(lab) == ["snapshot", *GOOD]


def test_a_rollback_that_fails_is_tried_again_once_its_lock_is_taken_off(tmp_path: Path) -> None:
    lab = guarded(tmp_path, guard=CLOSED)
    lab.simulator.faults.add(
        Fault("task-fail", task="qmrollback", times=1, text="lvconvert failed")
    )
    edit(lab, {**LARGE, "guard": CLOSED})
    runs(lab, 3)
    assert (lab.world.vms[100].lock, steps(lab)) == ("rollback", BAD[:6])
    lab.ask("PUT", "/nodes/pve1/qemu/100/config", delete="lock", skiplock=1)
    lab.clock.sleep(20.0)
    runs(lab)
    assert steps(lab) == [*BAD[:6], "rollback", *BAD[6:]]
    assert "ChangeRolledBack" in conditions(lab)


def test_a_snapshot_that_somebody_removed_cannot_be_rolled_back_to_and_that_is_said(
    tmp_path: Path,
) -> None:
    lab = guarded(tmp_path, guard=CLOSED)
    edit(lab, {**LARGE, "guard": CLOSED})
    lab.run()
    (name,) = lab.world.vms[100].snapshots
    lab.ask("DELETE", f"/nodes/pve1/qemu/100/snapshot/{name}")
    lab.clock.sleep(60.0)
    runs(lab)
    assert "its snapshot is gone" in conditions(lab)["ChangeRolledBack"]
    assert lab.world.vms[100].status == "running"


def test_a_snapshot_of_ours_that_was_left_behind_is_removed(tmp_path: Path) -> None:
    """As when a store was restored from a backup that was made before the change was over."""
    lab = guarded(tmp_path, guard=CLOSED)
    edit(lab, {**LARGE, "guard": CLOSED})
    lab.run()
    with Store.open(lab.where, at=lab.clock.now()) as store:
        store.intents.drop("a", "guard")
    edit(lab, {**LARGE, "guard": "snapshot"})
    lab.settle()
    assert steps(lab)[-1] == "remove"
    assert lab.world.vms[100].snapshots == {}


def test_a_snapshot_of_somebody_else_stays(tmp_path: Path) -> None:
    lab = guarded(tmp_path, guard=CLOSED)
    lab.ask("POST", "/nodes/pve1/qemu/100/snapshot", snapname="rc-1-abcdef")
    lab.clock.sleep(30.0)
    edit(lab, {**LARGE, "guard": CLOSED})
    runs(lab)
    assert list(lab.world.vms[100].snapshots) == ["rc-1-abcdef"]


def test_what_the_snapshot_does_not_cover_is_said_before_and_after(tmp_path: Path) -> None:
    lab = guarded(tmp_path, guard=CLOSED)
    rules = {"rules": [{"in": "ACCEPT", "proto": "tcp", "dport": 22}]}
    edit(lab, {**LARGE, "firewall": rules, "disks": {"system": {"size": "20GiB"}}, "guard": CLOSED})
    notes = [note for vm in lab.dry().vms for note in vm.notes if note.condition == "GuardPartial"]
    assert "does not cover system.size, firewall: a rollback" in notes[0].reason
    runs(lab)
    assert "still as the change made it: system.size" in conditions(lab)["ChangeRolledBack"]


def test_a_guest_that_does_not_stop_is_switched_off_before_it_is_rolled_back(
    tmp_path: Path,
) -> None:
    lab = guarded(tmp_path, guard=CLOSED, speed=1.0)
    edit(lab, {**LARGE, "guard": CLOSED})
    lab.run()
    lab.simulator.faults.add(Fault("task-hang", task="qmshutdown", times=None))
    lab.simulator.faults.add(Fault("task-fail", task="qmshutdown", times=0, text=LATE))
    while not undone_by(lab):
        lab.run()
        lab.clock.sleep(20.0)
    assert power(lab) == ["shutdown", "start", "shutdown", "stop", "start"]
    assert "ChangeRolledBack" in conditions(lab)


def test_a_vm_that_nobody_starts_or_stops_for_runs_again_after_its_rollback(
    tmp_path: Path,
) -> None:
    """`power: unmanaged`: it ran before the change, so Proxmox starts it with the rollback."""
    spec = {**SMALL, "power": "unmanaged", "restart": "never"}
    lab = Lab(tmp_path, fleet_files({"a": {**spec, "guard": CLOSED}}))
    lab.settle()
    lab.ask("POST", "/nodes/pve1/qemu/100/status/start")
    lab.clock.sleep(60.0)
    lab.settle()
    lab.wire.calls.clear()
    nics = {"net0": {**HOME["net0"], "model": "e1000"}}
    edit(lab, {**spec, "nics": nics, "guard": CLOSED})
    runs(lab)
    assert steps(lab) == ["snapshot", "config", "shutdown", "rollback", "remove"]
    assert lab.world.vms[100].status == "running"


def batches(memory: str) -> dict[str, str]:
    """Four VMs of one package, whose edits go out in batches; none answers on port 1."""
    guard = "guard: {health: {tcp: 1}, within: 1min}"
    nics = "nics: {net0: {ipv4: {pool: here}}}"
    rules = "guard: {restarts: 100%}\nrollout: {over: 2, canary: 1}\nlimits:"
    return {
        "fleet.yaml": FLEET.replace("limits:", rules),
        "pools/here.yaml": "here: {bridge: vmbr0, network: 127.9.0.0/24}\n",
        "packages/p.yaml": f"p: {{memory: {memory}, restart: allow, {nics}, {guard}}}\n",
        "vms/all.yaml": "web: {package: p, count: 4}\n",
    }


def test_a_canary_that_is_rolled_back_pauses_its_rollout(tmp_path: Path) -> None:
    lab = Lab(tmp_path, batches("1GiB"))
    lab.settle()
    lab.wire.calls.clear()
    lab.write(batches("2GiB"))
    runs(lab, 8)
    assert {one.path.split("/")[4] for one in lab.wire.writes()} == {"100"}
    assert {vm.config["memory"] for vm in lab.world.vms.values() if not vm.template} == {"1024"}
    with lab.store() as store:
        (rollout,) = store.rollouts.recent()
    assert rollout.state == "paused"
    assert "web/1" in rollout.why


def begun(folder: Path, guard: object) -> Lab:
    lab = guarded(folder, guard=guard)
    edit(lab, {**LARGE, "guard": guard})
    return lab


def unwell(folder: Path) -> Lab:
    """A VM that is about to be found unwell for too long."""
    lab = begun(folder, CLOSED)
    lab.run()
    lab.clock.sleep(60.0)
    lab.wire.calls.clear()
    return lab


def killed(folder: Path, base: Lab, wanted: list[str], kept: Callable[[Sent], bool]) -> None:
    """Kill the next run at each of its calls that is `kept`; the runs after it end the same."""
    calm = twin(base, folder / "calm")
    calm.run()
    points = [index for index, one in enumerate(calm.wire.calls) if kept(one)]
    runs(calm, 1)
    assert steps(calm) == wanted
    wrong = []
    for number, kill in enumerate(at_calls(points)):
        lab = twin(base, folder / str(number))
        with pytest.raises(Killed) as at:
            kill(lab)
        lab.clock.sleep(30.0)
        runs(lab, 2)
        if (lab.shot(), steps(lab)) != (calm.shot(), wanted):
            wrong.append(f"{at.value}: {steps(lab)}")
    assert wrong == []


def changes(one: Sent) -> bool:
    return one.is_write and "/agent/" not in one.path


def test_a_guarded_change_killed_at_any_write_ends_the_same(tmp_path: Path, port: int) -> None:
    lab = begun(tmp_path / "base", {"health": {"tcp": port}})
    killed(tmp_path, lab, GOOD, changes)


def test_a_rollback_killed_at_any_write_ends_the_same(tmp_path: Path) -> None:
    killed(tmp_path, unwell(tmp_path / "base"), BAD[4:], changes)


@pytest.mark.nightly
def test_a_guarded_change_killed_at_any_call_ends_the_same(tmp_path: Path, port: int) -> None:
    lab = begun(tmp_path / "base", {"health": {"tcp": port}})
    killed(tmp_path, lab, GOOD, lambda one: True)


@pytest.mark.nightly
def test_a_rollback_killed_at_any_call_ends_the_same(tmp_path: Path) -> None:
    killed(tmp_path, unwell(tmp_path / "base"), BAD[4:], lambda one: True)


def between_commits(folder: Path, base: Lab, wanted: list[str]) -> None:
    """Kill the next run between any two transactions; the runs after it end the same."""
    calm = twin(base, folder / "calm")
    with commits() as counted:
        calm.run()
    runs(calm, 1)
    wrong = []
    for number in range(counted[0]):
        lab = twin(base, folder / str(number))
        with pytest.raises(Killed) as at:
            at_commit(number)(lab)
        lab.clock.sleep(30.0)
        runs(lab, 2)
        if (lab.shot(), steps(lab)) != (calm.shot(), wanted):
            wrong.append(f"{at.value}: {steps(lab)} {conditions(lab)}")
    assert wrong == []


@pytest.mark.nightly
def test_a_guarded_change_killed_between_transactions_ends_the_same(
    tmp_path: Path, port: int
) -> None:
    between_commits(tmp_path, begun(tmp_path / "base", {"health": {"tcp": port}}), GOOD)


@pytest.mark.nightly
def test_a_rollback_killed_between_transactions_ends_the_same(tmp_path: Path) -> None:
    between_commits(tmp_path, unwell(tmp_path / "base"), BAD[4:])
