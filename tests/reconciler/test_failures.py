"""One VM's failures by the error tree (design 3.5): what is refused stops nothing beside it."""

from itertools import pairwise
from pathlib import Path

import pytest

from reconciler.sim.faults import Fault
from tests.lab import Lab
from tests.laws.fleets import Spec, fleet_files

VM = "/nodes/pve1/qemu/100"
ONE: Spec = {
    "node": "pve1",
    "cpu": {"cores": 3},
    "memory": "3GiB",
    "nics": {"net0": {"rate": "10MB/s"}},
    "cloudinit": {"user": "ops", "password": "generate"},
    "firewall": {"policy_in": "DROP"},
    "tags": ["a"],
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, fleet_files({"one": ONE}))


def puts(lab: Lab) -> list[tuple[bool, frozenset[str]]]:
    """Of each config PUT of the last run: whether it was accepted, and its keys."""
    return [
        (not one.error, frozenset(one.params.keys() - {"digest"}))
        for one in lab.wire.writes(lab.wire.run)
        if one.path == f"{VM}/config"
    ]


def refuse(lab: Lab, status: int, text: str, times: int = 1, nth: int = 1) -> None:
    fault = Fault("error-before", method="PUT", path=f"{VM}/config", status=status, text=text)
    fault.times, fault.nth = times, nth
    lab.simulator.faults.add(fault)


def test_a_missing_right_is_found_out_handler_by_handler_and_the_others_land(lab: Lab) -> None:
    """C-23, DEP-07: `Forbidden` names no key, so each handler is sent alone, after a new look."""
    refuse(lab, 403, "Permission check failed (/vms/100, VM.Config.CPU)", times=2)
    summary = lab.run()
    sent = puts(lab)
    assert [accepted for accepted, _ in sent[:2]] == [False, False]
    assert sent[1][1] == {"cores"}
    alone = [keys for accepted, keys in sent[2:] if accepted]
    assert frozenset().union(*alone) >= {"memory", "net0", "ciuser", "cipassword", "tags"}
    assert summary.failed == 1 and "VM.Config.CPU" in lab.told.words("one")
    assert lab.shot()["vms"][100]["firewall"]["options"]["policy_in"] == "DROP"
    assert lab.world.vms[100].status == "stopped"


def test_looks_lie_between_the_handlers_that_are_sent_alone(lab: Lab) -> None:
    refuse(lab, 403, "Permission check failed", times=1)
    lab.run()
    calls = lab.wire.of(lab.wire.run)
    at = [i for i, one in enumerate(calls) if one.path == f"{VM}/config" and one.is_write]
    for first, second in pairwise(at):
        assert any(one.path == f"{VM}/pending" for one in calls[first:second])


def test_the_resend_may_be_refused_too_and_nothing_of_it_counts_as_done(lab: Lab) -> None:
    """Two keys are wrong one after the other; the third look sends what is left."""
    lab.write(fleet_files({"one": {**ONE, "config": {"audio0": "bogus"}, "tags": ["b"]}}))
    refuse(lab, 500, "only root can set 'net0' config", nth=2)
    summary = lab.run()
    sent = puts(lab)
    assert [accepted for accepted, _ in sent] == [False, False, True]
    assert sent[0][1] - sent[1][1] == {"audio0"}
    assert sent[1][1] - sent[2][1] == {"net0"}
    assert summary.failed == 1
    with lab.store() as store:
        assert store.attempts.of("one").keys() == {"passthrough", "network"}


def test_a_failed_hot_plug_leaves_what_landed_with_it_done(lab: Lab) -> None:
    """PartlyApplied: the password of the same call is written, and is not written again."""
    lab.settle()
    lab.world.vms[100].stubborn = True
    password = {"user": "ops", "password": "env:ONE_PASSWORD"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONE_PASSWORD", "correct horse battery")
        nic = {"net0": {"rate": "10MB/s", "model": "e1000"}}
        lab.write(fleet_files({"one": {**ONE, "nics": nic, "cloudinit": password}}))
        lab.run()
        assert puts(lab)[0][1] == {"net0", "cipassword"}
        with lab.store() as store:
            assert not [kind for kind in store.intents.of("one") if kind.startswith("write:")]
        lab.clock.sleep(900)
        lab.run()
        assert not any("cipassword" in keys for _, keys in puts(lab))


def test_what_is_held_is_not_written_to_even_to_take_something_back(lab: Lab) -> None:
    """A hold means no write at all, the revert of a failed hot-plug included."""
    lab.settle()
    lab.world.vms[100].stubborn = True
    nic = {"net0": {"rate": "10MB/s", "model": "e1000"}}
    lab.write(fleet_files({"one": {**ONE, "nics": nic}}))
    refuse(lab, 500, "got timeout", nth=2, times=99)
    lab.run()
    lab.simulator.faults.clear()
    assert lab.world.vms[100].pending
    lab.ask("PUT", f"{VM}/config", tags="a;hold;reconcile-law")
    lab.clock.sleep(900)
    lab.run()
    assert puts(lab) == []
    lab.ask("PUT", f"{VM}/config", tags="a;reconcile-law")
    lab.clock.sleep(30)
    lab.run()
    assert puts(lab)[0][1] == {"revert"}
    assert not lab.world.vms[100].pending


def test_what_is_not_there_time_and_again_is_a_failure_with_a_back_off(lab: Lab) -> None:
    """DEP-06: looking again helps with what has moved, not with what never comes."""
    text = "Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist"
    refuse(lab, 500, text, times=99)
    summary = lab.run()
    assert summary.failed == 1
    assert text in lab.told.words("one")
    tries = len(puts(lab))
    lab.clock.sleep(5)
    lab.run()
    assert tries > 5 and puts(lab) == []


def test_a_busy_lock_is_told_in_proxmox_words(lab: Lab) -> None:
    text = "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"
    refuse(lab, 500, text, times=99)
    lab.run(time_limit=5.0)
    assert text in lab.told.words("one")
