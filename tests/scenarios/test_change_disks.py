"""Additional disks that come, grow and go: kept by default, erased only as approved."""

from pathlib import Path

import pytest

from reconciler.approval import ApprovalRefused
from reconciler.sim.faults import Fault
from tests.lab import Lab
from tests.laws.fleets import Spec, fleet_files
from tests.scenarios.conftest import Open
from tests.scenarios.test_change_package import changed, condition, events, made, written

VM = "/nodes/pve1/qemu/100"
GONE: Spec = {"size": 0, "reclaim": "delete"}
VOLUME = "local-lvm:vm-100-disk-1"


@pytest.fixture(scope="module", autouse=True)
def stores() -> str:
    """These scenes are about the cluster; one kind of store will do."""
    return "sqlite"


def spec(slot: str = "scsi1", restart: str = "never", **disk: object) -> Spec:
    return {"memory": "1GiB", "restart": restart, "disks": {slot: disk} if disk else {}}


def given_up(folder: Path, slot: str = "scsi1", restart: str = "never") -> Lab:
    """A VM with an additional disk that its spec gives back for good, not yet approved."""
    lab = made(folder, spec(slot, restart, size="4GiB"))
    lab.write(fleet_files({"a": spec(slot, restart, **GONE)}))
    return lab


def is_there(lab: Lab) -> bool:
    return any(one.volid == VOLUME for one in lab.world.volumes.values())


def erase(lab: Lab) -> list[str]:
    """Approve what the dry run lists, and run until nothing is left to do."""
    lab.run(approve=lab.dry().digest)
    lab.settle(apart=30.0)
    return written(one for one in lab.wire.writes() if not one.error)


def test_cp_07_a_disk_comes_and_grows_and_is_never_shrunk(tmp_path: Path) -> None:
    """CP-07: 0 to N makes it, N to more grows it, N to less is refused."""
    lab = made(tmp_path, spec())
    assert changed(lab, spec(size="4GiB")) == ["POST config"]
    lab.wire.calls.clear()
    assert changed(lab, spec(size="6GiB")) == ["PUT resize"]
    lab.wire.calls.clear()
    assert changed(lab, spec(size="5GiB")) == []
    assert "size=6G" in lab.shot()["vms"][100]["config"]["scsi1"]
    assert events(lab, "additional_disk_shrink_rejected") == 1


@pytest.mark.parametrize("disk", [{}, {"size": 0}, {"size": 0, "reclaim": "retain"}])
def test_c_07_a_disk_that_is_not_given_up_for_good_stays(tmp_path: Path, disk: Spec) -> None:
    lab = made(tmp_path, {**spec(size="4GiB"), "disks": {"system": {"size": "8GiB"}, **SCSI1}})
    kept = {"system": {"size": "8GiB"}, **({"scsi1": disk} if disk else {})}
    assert changed(lab, {**spec(), "disks": kept}) == []
    assert "stays" in str(condition(lab, "DiskUnmanaged"))
    assert is_there(lab)


SCSI1: Spec = {"scsi1": {"size": "4GiB"}}


def test_c_07_what_nobody_approved_is_not_erased_and_holds_nothing_back(tmp_path: Path) -> None:
    """CP-07, C-07: the plan names the volume; the rest of the edit lands."""
    lab = given_up(tmp_path)
    dry = lab.dry()
    (withheld,) = dry.vms[0].withheld
    assert (withheld.old, withheld.new, withheld.effect) == (f"{VOLUME}, 4 GiB", None, "destroy")
    lab.write(fleet_files({"a": {**spec(**GONE), "tags": ["x"]}}))
    lab.settle()
    assert written(lab.wire.writes()) == ["PUT config"]
    assert is_there(lab)
    assert "needs approval" in str(condition(lab, "ApprovalNeeded"))


def test_cp_07_a_disk_is_detached_and_erased_as_approved(tmp_path: Path) -> None:
    """CP-07, CP-15: the guest lets go of it while it runs; told once, and nothing is left."""
    lab = given_up(tmp_path)
    assert erase(lab) == ["PUT config", "PUT config"]
    sent = [one.params.get("delete") for one in lab.wire.writes()]
    assert sent == ["scsi1", "unused0"]
    assert not is_there(lab)
    assert events(lab, "additional_disk_deleted") == 1
    assert lab.shot()["intents"]["a"] == []
    assert condition(lab, "ApprovalNeeded") is None


def test_cp_07_snapshots_go_first_and_only_those_that_were_approved(tmp_path: Path) -> None:
    """CP-07: another snapshot after the approval is another plan."""
    lab = given_up(tmp_path)
    for name in ("one", "two"):
        lab.ask("POST", f"{VM}/snapshot", snapname=name)
        lab.clock.sleep(60.0)
    lab.run()
    digest = lab.dry().digest
    lab.ask("POST", f"{VM}/snapshot", snapname="three")
    lab.clock.sleep(60.0)
    with pytest.raises(ApprovalRefused):
        lab.run(approve=digest)
    assert lab.world.vms[100].snapshots.keys() == {"one", "two", "three"}
    calls = [one for one in erase(lab) if "snapshot" in one]
    assert calls == [f"DELETE snapshot/{name}" for name in ("three", "two", "one")]
    assert not is_there(lab)


@pytest.mark.parametrize("slot", ["sata1", "scsi1"])
def test_cp_07_a_disk_that_the_guest_keeps_goes_with_the_stop_that_policy_allows(
    tmp_path: Path, slot: str
) -> None:
    """CP-07, CP-15: not hot-pluggable, or the guest refuses: one stop, and then it is erased."""
    lab = given_up(tmp_path, slot, "allow")
    lab.simulator.faults.add(Fault("stubborn-guest", vmid=100))
    calls = erase(lab)
    assert calls.count("POST status/shutdown") == calls.count("POST status/start") == 1
    assert not is_there(lab)


def test_cp_07_without_a_permission_to_stop_the_detaching_waits(tmp_path: Path) -> None:
    """CP-07, C-24: and who takes the disk back in time keeps it, with all that is on it."""
    lab = given_up(tmp_path, "sata1")
    erase(lab)
    assert "sata1" in str(condition(lab, "RestartRequired"))
    assert is_there(lab)
    changed(lab, spec("sata1", size="4GiB"))
    shot = lab.shot()["vms"][100]
    assert (shot["pending"], shot["config"]["sata1"]) == ({}, f"{VOLUME},size=4G")
    assert lab.shot()["intents"]["a"] == []
    assert events(lab, "additional_disk_deleted") == 0


def test_cp_07_over_the_wire_a_person_approves_with_the_command(scene: Open) -> None:
    """CP-07, C-07"""
    grounds = scene("web: {node: pve1, disks: {scsi1: {size: 4GiB}}}\n")
    grounds.settle()
    grounds.write({"vms/vms.yaml": "web: {node: pve1, disks: {scsi1: {size: 0, reclaim: delete}}}"})
    told = grounds.cli("--once", "--dry-run")
    assert f"{VOLUME}, 4 GiB" in told.stdout and "destroy, needs approval" in told.stdout
    grounds.settle()
    assert "scsi1" in grounds.shot()["vms"][100]["config"]
    assert grounds.cli("approve", grounds.dry().digest).returncode == 0
    grounds.settle()
    assert not [one for one in grounds.world().volumes.values() if one.volid == VOLUME]


def test_cp_07_nothing_is_erased_while_a_guarded_change_may_go_back(tmp_path: Path) -> None:
    """CP-07: its snapshot holds the disk; first the change is well, then the disk goes."""
    lab = made(tmp_path, spec(size="4GiB", restart="allow"))
    guarded = {**spec(restart="allow", **GONE), "memory": "2GiB", "guard": {"snapshot": True}}
    lab.write(fleet_files({"a": guarded}))
    lab.run(approve=lab.dry().digest)
    lab.settle(apart=30.0)
    if is_there(lab):
        erase(lab)
    sent = [one for one in lab.wire.writes() if not one.error]
    deletes = [str(one.params.get("delete", one.path.rpartition("/")[2])) for one in sent]
    gone = [name for name in deletes if name in ("scsi1", "unused0") or name.startswith("rc-")]
    assert [name.partition("-")[0] for name in gone] == ["rc", "scsi1", "unused0"]
    assert not is_there(lab)
    assert lab.world.vms[100].snapshots == {}
