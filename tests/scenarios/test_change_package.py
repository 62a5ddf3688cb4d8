"""A changed spec of a VM that is ready, from the edit to ready again: the change contract."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from reconciler.pipeline import CHANGE
from reconciler.sim.faults import Fault
from state.journal import StepRecord, VMRun
from tests.lab import Killed, Lab, Sent
from tests.laws.fleets import Spec, fleet_files

SMALL: Spec = {"cpu": {"cores": 1}, "memory": "1GiB", "restart": "allow"}
LARGER: Spec = {**SMALL, "memory": "2GiB"}
VM = "/nodes/pve1/qemu/100"


@pytest.fixture(scope="module", autouse=True)
def stores() -> str:
    """These scenes are about the cluster; one kind of store will do."""
    return "sqlite"


def made(folder: Path, spec: Spec, speed: float = 600.0) -> Lab:
    """A VM `a`, ready; what was sent until then is forgotten."""
    lab = Lab(folder, fleet_files({"a": spec}), speed=speed)
    lab.settle()
    lab.wire.calls.clear()
    return lab


def changed(lab: Lab, spec: Spec) -> list[str]:
    """Edit the spec and run until nothing is left to do; return what was written, in order."""
    lab.write(fleet_files({"a": spec}))
    lab.settle(apart=20.0)
    return written(lab.wire.writes())


def written(sent: Iterable[Sent]) -> list[str]:
    return [f"{one.method} {one.path.removeprefix(f'{VM}/')}" for one in sent]


def newest(lab: Lab) -> VMRun:
    with lab.store() as store:
        return store.journal.vm_runs("a")[0]


def step(run: VMRun, state: str) -> StepRecord:
    return next(one for one in run.steps if one.after == state)


def events(lab: Lab, kind: str) -> int:
    with lab.store() as store:
        return len(store.outbox.past(kind))


def condition(lab: Lab, name: str) -> str | None:
    with lab.store() as store:
        found = store.conditions.all().get("a", ())
        return next((one.message for one in found if one.type == name), None)


def test_cp_01_an_upgrade_goes_through_its_twelve_steps_in_one_run(tmp_path: Path) -> None:
    """CP-01, CP-12, CP-13, C-04: with a result and a duration each; down only for its restart."""
    lab = made(tmp_path, SMALL)
    assert changed(lab, LARGER) == ["PUT config", "POST status/shutdown", "POST status/start"]
    run = newest(lab)
    assert [one.after for one in run.steps] == list(CHANGE.names[1:])
    assert (run.action, run.result) == ("change", "success")
    assert (run.state_before, run.state_after) == ("change_package", "ready")
    assert step(run, "cp_cpu_ram").detail == "memory: 1 GiB -> 2 GiB"
    assert step(run, "cp_stop").seconds > 0
    assert {one.run for one in lab.wire.writes()} == {2 + 1}
    assert events(lab, "vm_changed") == 1


def test_cp_05_what_is_equal_is_skipped_in_no_time(tmp_path: Path) -> None:
    """CP-05, LOG-02: an additional disk that is there says so."""
    disks = {"disks": {"system": {"size": "10GiB"}, "scsi1": {"size": "4GiB"}}}
    lab = made(tmp_path, {**SMALL, **disks})
    changed(lab, {**LARGER, **disks})
    run = newest(lab)
    told = {one.after: (one.result, one.seconds, one.detail) for one in run.steps}
    assert told["cp_network"] == told["cp_system_disk_size"] == ("skip", 0.0, "")
    assert told["cp_additional_disk"] == ("skip", 0.0, "skip — exists")
    assert told["cp_cpu_ram"][0] == "success"


def test_cp_15_a_downgrade_of_memory_alone_touches_nothing_else(tmp_path: Path) -> None:
    """CP-15: one key goes out, and the guest is stopped for it only where that is permitted."""
    lab = made(tmp_path, {**LARGER, "restart": "never"})
    before = lab.shot()
    assert changed(lab, {**SMALL, "restart": "never"}) == ["PUT config"]
    (sent,) = lab.wire.writes()
    assert sent.params.keys() == {"memory", "digest"}
    after = lab.shot()
    assert after["vms"][100].pop("pending") == {"memory": "1024"}
    assert before["vms"][100].pop("pending") == {}
    assert after == before


@pytest.mark.parametrize(
    "edit",
    [{"nics": {"net0": {"rate": "12.5MB/s"}}}, {"tags": ["gold"]}, {"onboot": True}],
    ids=["rate", "tag", "onboot"],
)
def test_cp_15_a_rate_or_a_tag_is_one_write_and_no_restart(tmp_path: Path, edit: Spec) -> None:
    lab = made(tmp_path, SMALL)
    assert changed(lab, {**SMALL, **edit}) == ["PUT config"]
    assert lab.shot()["vms"][100]["pending"] == {}


def test_cp_02_cp_03_addresses_leave_the_guest_the_filter_and_the_lease(tmp_path: Path) -> None:
    """CP-02, CP-03, C-26: the highest ordinals go, and are free once the guest cannot use them."""

    def spec(count: int) -> Spec:
        nic = {"ipv4": {"pool": "public-v4", "count": count}}
        firewall = {"ipfilter": True, "anti_spoofing": True}
        return {**SMALL, "nics": {"net0": nic}, "firewall": firewall}

    lab = made(tmp_path, spec(1))
    changed(lab, spec(3))
    assert leased(lab) == filtered(lab) == ["203.0.113.2", "203.0.113.3", "203.0.113.4"]
    assert step(newest(lab), "cp_update_ip").result == "skip"
    changed(lab, spec(1))
    assert filtered(lab) == ["203.0.113.2"]
    lab.ask("POST", f"{VM}/status/reboot")
    lab.clock.sleep(120.0)
    lab.settle()
    assert leased(lab) == ["203.0.113.2"]


def leased(lab: Lab) -> list[str]:
    with lab.store() as store:
        return sorted(lease.address for lease in store.leases.all().get("a", ()))


def filtered(lab: Lab) -> list[str]:
    sets = lab.shot()["vms"][100]["firewall"]["ipsets"]
    return sorted(row["cidr"].partition("/")[0] for row in sets["ipfilter-net0"])


def test_cp_06_a_shrink_is_skipped_with_its_words_and_the_rest_lands(tmp_path: Path) -> None:
    """CP-06: nothing is stopped for it; told once for one edit, not by every run."""

    def spec(system: str, extra: str, **more: object) -> Spec:
        disks = {"system": {"size": system}, "scsi1": {"size": extra}}
        return {"memory": "1GiB", "restart": "allow", "disks": disks, **more}

    lab = made(tmp_path, spec("10GiB", "8GiB"))
    assert changed(lab, spec("5GiB", "4GiB", tags=["small"])) == ["PUT config"]
    shot = lab.shot()["vms"][100]["config"]
    assert "size=10G" in shot["scsi0"]
    assert "size=8G" in shot["scsi1"]
    assert "small" in shot["tags"]
    for _ in range(3):
        lab.clock.sleep(3600.0)
        lab.run()
    assert events(lab, "system_disk_shrink_rejected") == 1
    assert events(lab, "additional_disk_shrink_rejected") == 1
    lab.wire.calls.clear()
    changed(lab, spec("5GiB", "4GiB", memory="2GiB", cpu={"cores": 2}))
    run = newest(lab)
    assert step(run, "cp_system_disk_size").result == "skip"
    assert "shrink not allowed by Proxmox" in step(run, "cp_system_disk_size").detail
    assert "additional_disk_shrink_rejected" in step(run, "cp_additional_disk_size").detail
    assert lab.shot()["vms"][100]["config"]["memory"] == "2048"


def test_cp_08_a_vm_that_does_not_start_stays_at_its_step(tmp_path: Path) -> None:
    """CP-08, CP-09: only the start is tried again; what was done before is not."""
    lab = made(tmp_path, {**SMALL, "disks": {"system": {"size": "8GiB"}}}, speed=1.0)
    lab.simulator.faults.add(Fault("task-fail", task="qmstart", times=2, text="no such bridge"))
    lab.write(fleet_files({"a": {**LARGER, "disks": {"system": {"size": "9GiB"}}}}))
    seen: set[str] = set()
    for _ in range(30):
        summary = lab.run()
        if summary.ready:
            break
        seen.add(newest(lab).state_after)
        assert lab.told.words("a")
        lab.clock.sleep(30.0)
    calls = written(lab.wire.writes())
    assert calls.count("PUT resize") == calls.count("POST status/shutdown") == 1
    assert calls.count("POST status/start") == 3
    assert "cp_firewall" in seen
    assert newest(lab).result == "success"


def test_c_23_what_does_not_depend_on_a_failure_lands(tmp_path: Path) -> None:
    """C-23, CP-09: the disk cannot grow; processors, tags and the firewall are set all the same."""
    lab = made(tmp_path, {**SMALL, "restart": "never", "disks": {"system": {"size": "8GiB"}}})
    lab.simulator.faults.add(Fault("task-fail", task="resize", times=None, text="no space left"))
    grown = {"disks": {"system": {"size": "20GiB"}}, "firewall": {"policy_in": "DROP"}}
    lab.write(fleet_files({"a": {**SMALL, "restart": "never", **grown, "tags": ["x"]}}))
    summary = lab.run()
    assert (summary.failed, summary.ready) == (1, 0)
    shot = lab.shot()["vms"][100]
    assert "x" in shot["config"]["tags"]
    assert shot["firewall"]["options"]["policy_in"] == "DROP"
    assert "size=8G" in shot["config"]["scsi0"]
    assert "no space left" in newest(lab).error


def test_cp_10_an_edit_during_a_deploy_waits_for_its_task_and_is_no_change(tmp_path: Path) -> None:
    """CP-10: while the clone runs nothing is sent; then the deploy ends as the new spec says."""
    lab = Lab(tmp_path, fleet_files({"a": {**SMALL, "clone": "full"}}), speed=5.0)
    with pytest.raises(Killed):
        lab.run(after=clone_of(lab, tmp_path))
    lab.write(fleet_files({"a": {**LARGER, "clone": "full"}}))
    lab.settle(apart=5.0)
    sent = written(lab.wire.writes())
    assert not [one for one in sent if "shutdown" in one]
    assert sum("/clone" in one for one in sent) == 1
    assert lab.shot()["vms"][100]["config"]["memory"] == "2048"
    with lab.store() as store:
        assert {one.action for one in store.journal.vm_runs("a")} == {"deploy"}
    assert events(lab, "vm_ready") == 1
    assert events(lab, "vm_changed") == 0


def clone_of(lab: Lab, folder: Path) -> int:
    """The number of the call that clones, of the first run of such a fleet."""
    calm = Lab(folder / "calm", fleet_files({"a": {**SMALL, "clone": "full"}}), speed=5.0)
    calm.run()
    return next(n for n, one in enumerate(calm.wire.calls) if one.path.endswith("/clone"))


def test_cp_10_an_edit_during_a_change_joins_it(tmp_path: Path) -> None:
    """CP-10: both values land; a guest that is being stopped is stopped once for both."""
    lab = made(tmp_path, SMALL, speed=1.0)
    lab.write(fleet_files({"a": LARGER}))
    lab.run(time_limit=1.0)
    calls = changed(lab, {**LARGER, "cpu": {"cores": 2}})
    assert calls.count("POST status/shutdown") == calls.count("POST status/start") == 1
    config = lab.shot()["vms"][100]["config"]
    assert (config["memory"], config["cores"]) == ("2048", "2")
    assert events(lab, "vm_changed") == 1


def test_cp_11_an_upgrade_never_moves_the_vm_to_another_node(tmp_path: Path) -> None:
    """CP-11: where it is made says nothing about where it is; storage, template and clone too."""
    where = {"node": "pve1", "storage": "local-lvm", "template": "debian-12", "clone": "linked"}
    lab = made(tmp_path, {**SMALL, **where})
    elsewhere = {"node": "pve3", "storage": "shared", "template": "ubuntu-24", "clone": "full"}
    calls = changed(lab, {**LARGER, **elsewhere})
    assert calls == ["PUT config", "POST status/shutdown", "POST status/start"]
    assert lab.world.vms[100].node == "pve1"
    assert condition(lab, "PlacementDiffers")


def test_cp_14_one_notice_for_one_upgrade_however_often_it_is_killed(tmp_path: Path) -> None:
    """CP-14: told when it is complete, and not again."""
    lab = made(tmp_path, SMALL)
    lab.write(fleet_files({"a": LARGER}))
    for index in range(4, 40, 9):
        try:
            lab.run(after=index)
        except Killed:
            assert events(lab, "vm_changed") <= 1
        lab.clock.sleep(5.0)
    lab.settle()
    assert events(lab, "vm_changed") == 1


def test_c_14_a_stop_is_a_shutdown_of_two_minutes_then_a_switch_off(tmp_path: Path) -> None:
    """C-14, CP-04: the guest has 120 s, then a minute to be gone."""
    lab = made(tmp_path, SMALL, speed=1.0)
    lab.simulator.faults.add(Fault("task-hang", task="qmshutdown", times=None))
    changed(lab, LARGER)
    asked, forced, _ = [one for one in lab.wire.writes() if "/status/" in one.path]
    assert asked.params == {"timeout": 120}
    assert forced.path == f"{VM}/status/stop"


def test_dep_26_while_proxmox_holds_a_lock_nothing_is_sent(tmp_path: Path) -> None:
    """DEP-26: a backup runs; the change waits, with its words, and goes on by itself."""
    lab = made(tmp_path, SMALL, speed=1.0)
    lab.world.vms[100].config["lock"] = "backup"
    lab.clock.sleep(20.0)
    lab.write(fleet_files({"a": {**LARGER, "tags": ["x"], "firewall": {"policy_in": "DROP"}}}))
    summary = lab.run(time_limit=2.0)
    assert (summary.writes, summary.waiting, summary.failed) == (0, 1, 0)
    assert "holds the lock backup" in lab.told.words("a")
    del lab.world.vms[100].config["lock"]
    lab.clock.sleep(20.0)
    lab.settle(apart=20.0)
    assert lab.shot()["vms"][100]["config"]["memory"] == "2048"
