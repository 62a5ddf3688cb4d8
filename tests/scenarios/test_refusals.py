"""What Proxmox refuses, wholly or in part: the culprit waits, everything else lands."""

from collections.abc import Callable
from pathlib import Path

import pytest

from state.change import Call
from tests.lab import Lab
from tests.laws.fleets import Spec, fleet_files

VM = "/nodes/pve1/qemu/100"
ONE: Spec = {
    "node": "pve1",
    "cpu": {"cores": 2},
    "disks": {"system": {"size": "10GiB"}},
    "nics": {"net0": {"ipv4": {"pool": "public-v4"}}},
    "firewall": {"policy_in": "DROP", "rules": [{"in": "ACCEPT", "proto": "tcp", "dport": 22}]},
    "cloudinit": {"user": "ops", "password": "generate"},
    "tags": ["a"],
}
Make = Callable[..., Lab]


@pytest.fixture
def lab(tmp_path: Path) -> Make:
    """A lab with one VM `one`; the words given are laid over its spec."""

    def made(**changes: object) -> Lab:
        return Lab(tmp_path, fleet_files({"one": {**ONE, **changes}}))

    return made


def respec(lab: Lab, **changes: object) -> None:
    lab.write(fleet_files({"one": {**ONE, **changes}}))


def config(lab: Lab) -> dict[str, str]:
    return {key: str(value) for key, value in lab.world.vms[100].config.items()}


def test_a_refused_key_lets_the_other_handlers_land(lab: Make) -> None:
    """C-23, DEP-05, DEP-07: one key is wrong; its owner is left out of the one resend."""
    here = lab(config={"watchdog": "bogus"})
    summary = here.run()
    assert (summary.ready, summary.failed) == (0, 1)
    sent = [one for one in here.wire.writes() if one.path == f"{VM}/config"]
    assert [bool(one.error) for one in sent] == [True, False]
    assert "watchdog" in sent[0].params
    assert sent[1].params.keys() == sent[0].params.keys() - {"watchdog"}
    assert sent[0].params["digest"] == sent[1].params["digest"]
    assert (config(here)["cores"], config(here)["ciuser"]) == ("2", "ops")
    assert here.shot()["vms"][100]["firewall"]["options"]["policy_in"] == "DROP"
    assert here.world.vms[100].status == "stopped"
    assert "watchdog" in here.told.words("one")


def test_what_comes_after_a_failure_waits_and_is_tried_again(lab: Make) -> None:
    """C-23, DEP-05, DEP-06, DEP-07: the start waits; nothing that landed is made again."""
    here = lab(config={"watchdog": "bogus"})
    here.run()
    firewall = [one for one in here.wire.writes() if "/firewall/" in one.path]
    tries = []
    for _ in range(8):
        here.clock.sleep(900.0)
        here.run()
        tries.append([str(one.path) for one in here.wire.writes(here.wire.run)])
        assert "watchdog" in here.told.words("one")
    assert all(set(paths) <= {f"{VM}/config"} for paths in tries) and any(tries)
    respec(here)
    here.settle(apart=900.0)
    assert here.world.vms[100].status == "running"
    assert [one for one in here.wire.writes() if "/firewall/" in one.path] == firewall


def test_an_edit_between_read_and_write_is_not_lost(lab: Make) -> None:
    """Stale: the digest is old, so we look again; both edits stand in the end."""
    here = lab()
    here.settle()
    respec(here, tags=["b"])

    def somebody_edits(call: Call) -> bool:
        if not call.path.endswith("/config"):
            return False
        here.ask("PUT", f"{VM}/config", searchdomain="edited.example", tags="a;reconcile-law;hers")
        return True

    here.wire.meanwhile = somebody_edits
    summary = here.run()
    sent = [one for one in here.wire.writes(here.wire.run) if one.path == f"{VM}/config"]
    assert sent[0].error.startswith("Stale") and not sent[1].error and len(sent) == 2
    assert summary.ready == 1
    assert config(here)["searchdomain"] == "edited.example"
    assert set(config(here)["tags"].split(";")) == {"b", "hers", "reconcile-law"}


def test_a_hot_plug_that_failed_is_taken_back(lab: Make) -> None:
    """PartlyApplied: the guest ignores unplugging; the rest is applied, nothing stays pending."""
    here = lab()
    here.settle()
    here.world.vms[100].stubborn = True
    respec(here, tags=["b"], nics={"net0": {"ipv4": {"pool": "public-v4"}, "model": "e1000"}})
    summary = here.run()
    assert summary.failed == 1 and "net0" in here.told.words("one")
    assert here.world.vms[100].pending == {}
    assert config(here)["net0"].startswith("virtio=") and "b" in config(here)["tags"]
    refused = [one for one in here.wire.writes(here.wire.run) if "net0" in one.params]
    assert len(refused) == 1
    here.world.vms[100].stubborn = False
    here.settle(apart=900.0)
    assert config(here)["net0"].startswith("e1000=")


def test_a_start_that_fails_is_told_and_tried_again(lab: Make) -> None:
    """C-08, C-24, DEP-24: not running after its window: the state stays, the start is repeated."""
    from reconciler.sim.faults import Fault

    here = lab()
    text = "start failed: QEMU exited with code 1"
    here.simulator.faults.add(Fault("task-fail", task="qmstart", times=2, text=text))
    summary = here.run()
    assert summary.failed == 1 and text in here.told.words("one")
    with here.store() as store:
        (run,) = store.journal.vm_runs("one")
    assert (run.state_after, run.result) == ("set_cloudinit", "error")
    assert (run.steps[-1].label, run.steps[-1].before, run.steps[-1].after) == (
        "Start VM",
        "set_cloudinit",
        "set_cloudinit",
    )
    here.settle(apart=900.0)
    starts = [one for one in here.wire.writes() if one.path.endswith("/status/start")]
    assert len(starts) == 3 and here.world.vms[100].status == "running"


def test_no_run_waits_past_its_time_limit(lab: Make) -> None:
    """C-24, DEP-08, FRM-11: a hanging clone spans runs; each ends in time and says why."""
    from reconciler.sim.faults import Fault

    here = lab()
    here.simulator.faults.add(Fault("task-hang", task="qmclone"))
    for _ in range(3):
        begun = here.clock.seconds
        summary = here.run(time_limit=20.0)
        assert 19.0 < here.clock.seconds - begun < 21.5
        assert (summary.ready, summary.failed, summary.waiting) == (0, 0, 1)
        assert here.told.words("one")
    clones = [one for one in here.wire.writes() if one.path.endswith("/clone")]
    assert len(clones) == 1
