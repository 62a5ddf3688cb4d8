"""One step made again: what it writes, that it changes nothing, and which steps are refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.redo import INSTEAD, REDO, NoSuchStep, repeatable, step_named
from reconciler.sim.faults import Fault
from state.memory import Intent
from state.store import Store
from tests.lab import Lab
from tests.laws.fleets import everything, fleet_files


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A VM with every feature, ready."""
    lab = Lab(tmp_path_factory.mktemp("redo"), everything())
    lab.settle()
    yield lab


def ask(lab: Lab, state: str) -> None:
    with Store.open(lab.where, at=lab.clock.now()) as store:
        store.intents.put(Intent("all-1", REDO, lab.clock.now(), 0, state))


WRITES: dict[str, list[str]] = {
    "set_cpu_ram": ["config"],
    "cp_cpu_ram": ["config"],
    "set_system_disk_size": ["resize"],
    "cp_system_disk_size": ["resize"],
    "set_system_disk_bandwidth": ["config"],
    "cp_system_disk_bandwidth": ["config"],
    "set_additional_disk_size": ["resize"],
    "cp_additional_disk_size": ["resize"],
    "set_additional_disk_bandwidth": ["config"],
    "cp_additional_disk_bandwidth": ["config"],
    "set_network": ["config"],
    "cp_network": ["config"],
    "set_firewall": ["0", "1", "2", "options"],
    "cp_firewall": ["0", "1", "2", "options"],
    "set_cloudinit": ["config", "cloudinit"],
    "starting": [],
    "cp_start": [],
    "ready": [],
}


@pytest.mark.parametrize("state", repeatable())
def test_c_13_a_step_writes_what_is_there_once_and_changes_nothing(ready: Lab, state: str) -> None:
    """C-13: `redo VM STEP` repeats one step; each asks Proxmox once, and leaves the same VM."""
    before = ready.shot()
    macs = {key: value for key, value in ready.world.vms[100].config.items() if "net" in key}
    ask(ready, state)
    ready.run()
    assert [one.path.rpartition("/")[2] for one in ready.wire.writes(ready.wire.run)] == WRITES[
        state
    ]
    ready.clock.sleep(60.0)
    assert ready.settle().writes == 0
    assert ready.shot() == before
    found = ready.world.vms[100].config
    assert {key: found[key] for key in macs} == macs


def test_a_password_is_not_written_again_as_the_asterisks_that_proxmox_shows(ready: Lab) -> None:
    ask(ready, "set_cloudinit")
    ready.run()
    sent = [key for one in ready.wire.writes(ready.wire.run) for key in one.params]
    assert "ipconfig0" in sent
    assert "cipassword" not in sent


def test_a_step_that_is_refused_is_tried_again(ready: Lab) -> None:
    path = "/nodes/*/qemu/100/config"
    ready.simulator.faults.add(Fault("error-before", method="PUT", path=path, times=1, status=500))
    ask(ready, "set_network")
    ready.run()
    ready.clock.sleep(60.0)
    ready.run()
    assert [one.path.rpartition("/")[2] for one in ready.wire.writes(ready.wire.run)] == ["config"]
    ready.settle()


def test_of_several_disks_each_is_resized_once(tmp_path: Path) -> None:
    extra = {"size": "5GiB", "storage": "local-lvm"}
    disks = {"system": {"size": "10GiB"}, "scsi1": extra, "scsi2": extra}
    lab = Lab(tmp_path, fleet_files({"all-1": {"disks": disks}}))
    lab.settle()
    ask(lab, "set_additional_disk_size")
    lab.run()
    assert [one.params["disk"] for one in lab.wire.writes(lab.wire.run)] == ["scsi1", "scsi2"]
    assert lab.run().writes == 0
    with lab.store() as store:
        assert store.intents.of("all-1") == {}


@pytest.mark.parametrize("word", ["set_cloudinit", "Configure cloud-init", " SET_CLOUDINIT "])
def test_a_step_is_named_by_its_state_or_its_label(word: str) -> None:
    assert step_named(word).name == "set_cloudinit"


@pytest.mark.parametrize("word", INSTEAD)
def test_what_would_make_something_anew_is_refused_and_says_what_to_do(word: str) -> None:
    with pytest.raises(NoSuchStep, match=f"{word} is not repeated: "):
        step_named(word)


def test_records_are_written_anew_by_their_zones() -> None:
    with pytest.raises(NoSuchStep, match="reconcile dns resync"):
        step_named("set_dns")


def test_an_unknown_step_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(NoSuchStep, match="the steps are set_cpu_ram, set_system_disk_size"):
        step_named("set_fire")
