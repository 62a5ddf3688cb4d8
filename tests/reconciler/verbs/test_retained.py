"""Disks that outlive their machine: they come back to it, or go to another VM, byte for byte."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.sim.vm.machine import Machine
from state.memory import Intent
from tests.endings import GUARD
from tests.lab import Killed, Lab
from tests.laws.fleets import FLEET, POOLS
from tests.laws.test_restart import twin
from tests.verbs import asked, opened, results

NIC = {"net0": {"ipv4": {"pool": "public-v4"}}}
DATA = {"size": "5GiB", "storage": "local-lvm", "reclaim": "retain"}
DB: dict[str, Any] = {"memory": "1GiB", "node": "pve1", "nics": NIC, "disks": {"scsi1": DATA}}
OTHER: dict[str, Any] = {"memory": "1GiB", "nics": NIC, "node": "pve1"}


def files(**vms: Any) -> dict[str, str]:
    return {
        "fleet.yaml": FLEET + GUARD,
        "pools/pools.yaml": POOLS,
        "vms/all.yaml": yaml.safe_dump(vms),
    }


def deployed(folder: Path, **vms: Any) -> Lab:
    """VMs that are ready; what is on the disk of `a` is marked."""
    lab = Lab(folder, files(**vms))
    lab.settle()
    config = bound(lab).config
    for slot in vms["a"]["disks"]:
        mark(lab, str(config[slot]).partition(",")[0], f"written to {slot}")
    lab.wire.calls.clear()
    return lab


def bound(lab: Lab, key: str = "a") -> Machine:
    with lab.store() as store:
        binding = store.bindings.of(key)
    assert binding is not None
    return lab.world.vms[binding.vmid]


def mark(lab: Lab, volume: str, text: str) -> None:
    (one,) = (one for one in lab.world.volumes.values() if one.volid == volume)
    one.notes = text


def on(lab: Lab, slot: str, key: str = "a") -> str | None:
    """What is written on the volume in a slot."""
    machine = bound(lab, key)
    volume = str(machine.config[slot]).partition(",")[0]
    (one,) = (one for one in lab.world.volumes.values() if one.volid == volume)
    assert one.vmid == machine.vmid and one.node in ("", machine.node)
    return one.notes


def holders(lab: Lab) -> list[int]:
    return [
        vmid
        for vmid, one in sorted(lab.world.vms.items())
        if one.config.get("tags") == "reconcile-holder"
    ]


def away(lab: Lab, key: str = "a") -> str:
    with lab.store() as store:
        found = store.conditions.all().get(key, ())
    return "".join(one.message for one in found if one.type == "DiskAway" and one.status)


def intents(lab: Lab, key: str = "a") -> list[str]:
    with lab.store() as store:
        return sorted(store.intents.of(key))


def twice(lab: Lab) -> None:
    for _ in range(2):
        lab.settle()


@pytest.mark.parametrize("verb", ["reinstall", "redeploy"])
def test_dep_28_a_retained_disk_comes_back_to_the_machine_that_is_made_anew(
    tmp_path: Path, verb: str
) -> None:
    """DEP-28, DEP-09: by way of a holder, which is gone afterwards."""
    two = {"scsi1": DATA, "scsi3": {**DATA, "size": "2GiB"}, "scsi2": {"size": "1GiB"}}
    lab = deployed(tmp_path, a={**DB, "disks": two})
    before = bound(lab).config["smbios1"]
    asked(lab, verb)
    twice(lab)
    assert results(lab) == {f"{verb} t1": "done"}
    assert bound(lab).config["smbios1"] != before and bound(lab).status == "running"
    assert [on(lab, slot) for slot in two] == ["written to scsi1", "written to scsi3", None]
    assert holders(lab) == [] and intents(lab) == []
    assert (lab.run().writes, away(lab)) == (0, "")


def test_a_holder_follows_the_machine_that_is_made_on_another_node(tmp_path: Path) -> None:
    lab = deployed(tmp_path, a=DB)
    lab.write(files(a={**DB, "node": "pve2"}))
    asked(lab, "redeploy")
    twice(lab)
    assert bound(lab).node == "pve2" and holders(lab) == []
    sent = [(one.method, one.path) for one in lab.wire.writes() if "/101/" in one.path]
    assert sent == [
        ("POST", "/nodes/pve1/qemu/101/migrate"),
        ("POST", "/nodes/pve2/qemu/101/move_disk"),
    ]


def test_a_disk_of_a_vm_that_has_gone_is_given_to_another(tmp_path: Path) -> None:
    """Declared in the spec of the other one; what it holds besides stays with the holder."""
    two = {"scsi1": DATA, "scsi2": {**DATA, "size": "2GiB"}}
    lab = deployed(tmp_path, a={**DB, "disks": two}, b=OTHER)
    lab.write(files(a={"state": "absent"}, b=OTHER))
    twice(lab)
    (holder,) = holders(lab)
    first = {"scsi5": {"adopt": f"{holder}/scsi1"}}
    lab.write(files(b={**OTHER, "disks": first}))
    twice(lab)
    assert on(lab, "scsi5", "b") == "written to scsi1" and holders(lab) == [holder]
    second = {**first, "scsi6": {"adopt": f"{holder}/scsi2", "size": "3GiB"}}
    lab.write(files(b={**OTHER, "disks": second}))
    twice(lab)
    assert on(lab, "scsi6", "b") == "written to scsi2" and holders(lab) == []
    assert "size=3G" in str(bound(lab, "b").config["scsi6"])
    assert (lab.run().writes, away(lab, "b")) == (0, "")


def test_no_empty_disk_is_made_in_the_place_of_one_that_cannot_come(tmp_path: Path) -> None:
    """A foreign VM is asked for nothing, and a VM that waits is not started."""
    foreign = 900
    lab = deployed(tmp_path, a=DB)
    lab.ask("POST", "/nodes/pve1/qemu", vmid=foreign, name="theirs", scsi1="local-lvm:1")
    lab.clock.sleep(30.0)
    lab.wire.calls.clear()
    held = {"scsi1": {"adopt": f"{foreign}/scsi1", "size": "8GiB"}}
    lab.write(files(a=DB, b={**OTHER, "disks": held}))
    for _ in range(3):
        lab.run()
        lab.clock.sleep(60.0)
    assert f"VM {foreign} (theirs) is no holder of ours" in away(lab, "b")
    assert "scsi1" not in bound(lab, "b").config and bound(lab, "b").status == "stopped"
    assert not any(f"/{foreign}/" in one.path for one in lab.wire.writes())


def test_an_end_that_is_taken_back_gives_the_disk_back(tmp_path: Path) -> None:
    """Else an empty one would be made in its place."""
    lab = deployed(tmp_path / "lab", a=DB)
    lab.write(files(a={"state": "absent"}))
    trial = twin(lab, tmp_path / "trial")
    trial.run()
    paths = [one.path for one in trial.wire.of(trial.wire.run)]
    moved = next(index for index, path in enumerate(paths) if path.endswith("/move_disk"))
    with pytest.raises(Killed):
        lab.run(after=moved)
    lab.clock.sleep(30.0)
    lab.write(files(a=DB))
    twice(lab)
    assert sum(one.path.endswith("/move_disk") for one in lab.wire.writes()) == 2
    assert on(lab, "scsi1") == "written to scsi1" and holders(lab) == []
    assert intents(lab) == []


def test_a_disk_that_dies_with_its_machine_is_not_waited_for(tmp_path: Path) -> None:
    """Somebody took `retain` off it after its way back was written down."""
    lab = deployed(tmp_path, a=DB)
    plain = {**DB, "disks": {"scsi1": {**DATA, "reclaim": "delete"}}}
    lab.write(files(a=plain))
    lab.settle()
    with opened(lab) as (store, at):
        store.intents.put(Intent("a", "back.scsi1", at, 0, "150/scsi1"))
    asked(lab, "redeploy")
    twice(lab)
    assert on(lab, "scsi1") is None and intents(lab) == [] and away(lab) == ""
