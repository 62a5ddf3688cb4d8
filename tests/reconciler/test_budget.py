"""A run keeps to its time, gives signs of life, and looks anew at what keeps it from writing."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.pve.inprocess import InProcessApi
from reconciler.report import Event, Heartbeat, Remark, VMError, VMPaused
from reconciler.show.run import TextReporter
from reconciler.show.text import Paint
from reconciler.sim.faults import Fault
from state.api import Json
from state.change import Call, Param
from state.memory import Phase
from tests.lab import Lab, WiredApi
from tests.laws.fleets import FLEET, Spec, fleet_files

SIX: dict[str, Spec] = {f"m-{n}": {"node": "pve1"} for n in range(6)}
ONE: dict[str, Spec] = {"one": {"node": "pve1"}}


def settled(folder: Path, vms: dict[str, Spec]) -> Lab:
    lab = Lab(folder, fleet_files(vms))
    lab.settle()
    lab.clock.sleep(60)
    return lab


def test_no_write_is_begun_when_the_time_is_out(tmp_path: Path) -> None:
    """C-24: six VMs, 4 s for each write, and 10 s to do it in."""
    lab = settled(tmp_path, SIX)
    lab.write(fleet_files({key: {**spec, "tags": ["b"]} for key, spec in SIX.items()}))

    def takes_time(_: Call) -> bool:
        lab.clock.sleep(4.0)
        return False

    lab.wire.meanwhile = takes_time
    began = lab.clock()
    summary = lab.run(time_limit=10.0)
    assert lab.clock() - began < 15.0
    assert (summary.changed, summary.failed) == (3, 0)
    assert "the time is out" in lab.told.words("m-5")
    lab.wire.meanwhile = None
    lab.clock.sleep(60)
    assert lab.settle().ready == 6


def test_vms_that_were_not_read_in_time_wait_and_have_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown and untouched, until the next tick goes on with the reading (design 3.2)."""
    lab = settled(tmp_path, SIX)
    for vmid in sorted(vmid for vmid in lab.world.vms if vmid < 9000):
        lab.ask("PUT", f"/nodes/pve1/qemu/{vmid}/config", tags="edited;reconcile-law")
    lab.clock.sleep(30)
    with monkeypatch.context() as slowly:
        slowly.setattr("tests.lab.TICK", 1.0)
        for limit in range(15, 60):
            summary = lab.run(time_limit=float(limit))
            if any("not read yet" in lab.told.words(key) for key in SIX):
                break
    assert (summary.failed, summary.writes) == (0, 0) and summary.waiting > 0
    assert any("not read yet" in lab.told.words(key) for key in SIX)
    assert lab.settle().ready == 6


def grave(lab: Lab) -> list[Event]:
    """What the last run told that is worse than a warning."""
    ends = [one for one in lab.told.events if isinstance(one, VMError | VMPaused)]
    errors = [one for one in lab.told.events if isinstance(one, Remark) and one.level == "error"]
    return [*ends, *errors]


PATHS = [f"/cluster/{name}" for name in ("status", "log", "tasks", "resources")]


@pytest.mark.parametrize("path", ["/version", *PATHS])
def test_a_cluster_that_is_out_of_reach_for_a_moment_is_looked_at_again(
    tmp_path: Path, path: str
) -> None:
    """DEP-08: with growing pauses, in the same run."""
    lab = Lab(tmp_path, fleet_files(ONE))
    fault = Fault("error-before", method="GET", path=path, times=3, status=595, text="No route")
    lab.simulator.faults.add(fault)
    assert lab.run().ready == 1
    assert grave(lab) == []


@pytest.mark.parametrize("path", ["/version", *PATHS])
def test_a_cluster_that_is_down_is_told_in_one_line_and_worked_on_when_it_is_back(
    tmp_path: Path, path: str
) -> None:
    """DEP-08, DEP-27: not a line for each of its VMs, and not the whole of a run's time."""
    lab = Lab(tmp_path, fleet_files({**ONE, "two": {}, "three": {}}))
    fault = Fault("error-before", method="GET", path=path, times=None, status=595, text="No route")
    lab.simulator.faults.add(fault)
    summary = lab.run()
    assert (summary.failed, summary.vms, summary.writes) == (3, 3, 0)
    assert summary.seconds < 10
    (told,) = grave(lab)
    assert isinstance(told, Remark)
    assert told.text.startswith("cluster demo: ") and "No route" in told.text
    assert told.text.endswith(": 3 VMs left alone")
    lab.simulator.faults.clear()
    lab.clock.sleep(60)
    assert lab.run().ready == 3


def test_a_cluster_that_goes_down_in_the_middle_is_told_when_the_time_is_out(
    tmp_path: Path,
) -> None:
    """C-24: the run ends in time, and what was begun is gone on with by the next."""
    lab = Lab(tmp_path, fleet_files(ONE))
    fault = Fault("error-before", method="GET", path=PATHS[0], nth=3, times=None, status=595)
    lab.simulator.faults.add(fault)
    summary = lab.run(time_limit=2.0)
    assert (summary.ready, summary.failed) == (0, 1)
    assert len([one for one in grave(lab) if isinstance(one, Remark)]) == 1
    lab.simulator.faults.clear()
    lab.clock.sleep(60)
    assert lab.settle().ready == 1


def test_what_makes_no_sense_is_that_clusters_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DEP-27: a defect of ours, or an answer that nobody thought of, stops one cluster only."""
    lab = Lab(tmp_path, fleet_files(ONE))
    with monkeypatch.context() as odd, caplog.at_level(logging.CRITICAL):

        def get(api: WiredApi, path: str, params: Mapping[str, Param] | None = None) -> Json:
            answer = InProcessApi.get(api, path, params)
            return [{"type": "qemu", "vmid": []}] if path == "/cluster/resources" else answer

        odd.setattr(WiredApi, "get", get)
        assert lab.run().failed == 1
    told = [one.text for one in lab.told.events if isinstance(one, Remark)]
    assert any("cluster demo: " in text and "1 VM left alone" in text for text in told), told
    assert lab.run().ready == 1


def test_what_preflight_learned_is_kept_between_runs(tmp_path: Path) -> None:
    lab = settled(tmp_path, ONE)
    lab.run()
    assert "/version" not in {one.path for one in lab.wire.of(lab.wire.run)}


def test_a_vm_that_waits_for_its_turn_gives_a_sign_of_life(tmp_path: Path) -> None:
    """CLI-01: one clone at a time on a storage; the second waits for the first."""
    full: Spec = {"clone": "full", "node": "pve1"}
    fleet = FLEET.replace("workers: 1", "workers: 1, clones_per_template: 1")
    files = {**fleet_files({"a": full, "b": full}), "fleet.yaml": fleet}
    lab = Lab(tmp_path, files, speed=0.5)
    lab.run(time_limit=50.0)
    beats = [one for one in lab.told.events if isinstance(one, Heartbeat)]
    waits = [one for one in beats if not one.what]
    assert [round(one.seconds, -1) for one in waits][:2] == [20, 30]
    assert "waits: 1 clones are at work" in waits[0].status
    lines: list[str] = []
    TextReporter(lines.append, Paint()).report(waits[0])
    assert lines[1].strip().startswith("still waiting after 1")


def test_a_start_that_does_not_come_about_is_told_as_a_failed_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-08, C-24, DEP-24: the start task ends well, and the guest dies each time."""
    lab = Lab(tmp_path, fleet_files(ONE))
    with monkeypatch.context() as dying:

        def get(api: WiredApi, path: str, params: Mapping[str, Param] | None = None) -> Json:
            answer = InProcessApi.get(api, path, params)
            if "qmstart" in path:
                lab.world.vms[100].status = "stopped"
            return answer

        dying.setattr(WiredApi, "get", get)
        began = lab.clock()
        lab.run(time_limit=50.0)
        assert "started" in lab.told.words("one")
        lab.clock.seconds = began + 60.0
        lab.run(time_limit=50.0)
    failed = [one for one in lab.told.steps("one") if one.result == "error"]
    assert [(one.label, one.before, one.after) for one in failed] == [
        ("Start VM", "set_cloudinit", "set_cloudinit")
    ]
    assert failed[0].detail == "VM failed to start (status: stopped). Will retry."
    starts = [one for one in lab.wire.writes() if one.path.endswith("/status/start")]
    assert len(starts) == 2
    lab.clock.sleep(60)
    assert lab.settle().ready == 1


def test_the_failures_of_what_holds_nothing_back_are_counted_on(tmp_path: Path) -> None:
    """DEP-06: a pool that is not there leaves the VM ready, fails the run all the same, and is
    tried ever more seldom."""
    lab = Lab(tmp_path, fleet_files({"one": {"node": "pve1", "pool": "nowhere"}}))
    for _ in range(3):
        assert lab.run().failed == 1
        lab.clock.sleep(200)
    with lab.store() as store:
        binding = store.bindings.of("one")
        assert binding is not None
        assert binding.phase is Phase.READY
        assert store.attempts.of("one")["pool"].count == 3
    lab.ask("POST", "/pools", poolid="nowhere")
    lab.clock.sleep(900)
    lab.settle()
    with lab.store() as store:
        assert store.attempts.of("one") == {}


def test_a_firewall_that_is_switched_off_is_noticed_by_the_next_run(tmp_path: Path) -> None:
    """C-10, FW-03: anti-spoofing rests on the cluster's firewall, and nothing hints at its end."""
    spoof: Spec = {
        "node": "pve1",
        "nics": {"net0": {"ipv4": {"pool": "public-v4"}}},
        "firewall": {"anti_spoofing": True},
    }
    lab = settled(tmp_path, {"one": spoof})

    def effective() -> bool:
        lab.run()
        with lab.store() as store:
            conditions = store.conditions.all()["one"]
        return not any(one.type == "AntiSpoofEffective" and not one.status for one in conditions)

    lab.ask("PUT", "/cluster/firewall/options", enable=1)
    lab.clock.sleep(86_500)
    assert effective()
    lab.ask("PUT", "/cluster/firewall/options", enable=0)
    lab.clock.sleep(60)
    assert not effective()
    assert len(lab.wire.of(lab.wire.run)) <= 12


def test_a_clone_that_takes_most_of_the_time_is_gone_on_with_in_the_same_run(
    tmp_path: Path,
) -> None:
    """DEP-07: reading has half of what is left of the run, not only its first half."""
    files = fleet_files({"one": {"node": "pve1", "clone": "full"}})
    probe = Lab(tmp_path / "probe", files, speed=1.0)
    took = probe.run(time_limit=900.0).seconds
    assert took > 5.0
    lab = Lab(tmp_path / "lab", files, speed=1.0)
    assert lab.run(time_limit=took * 1.3).ready == 1
