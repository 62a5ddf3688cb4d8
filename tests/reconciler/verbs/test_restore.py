"""A VM that is restored from a backup: stopped, put back, what its spec says, told once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.sim.faults import Fault
from reconciler.verbs.asking import Refused
from state.change import Call
from state.memory import Binding, Intent, Phase
from state.outbox import Event
from tests.lab import Lab
from tests.laws.fleets import Spec, fleet_files
from tests.laws.test_restart import condition, deployed, edit, power, twin
from tests.verbs import asked, open_verbs, opened, phase, results

VM: Spec = {
    "memory": "1GiB",
    "disks": {
        "system": {"size": "10GiB"},
        "scsi1": {"size": "5GiB", "storage": "local-lvm", "backup": False},
    },
    "nics": {"net0": {"bridge": "vmbr0", "ipv4": {"pool": "public-v4"}}},
    "firewall": {"policy_in": "DROP", "rules": [{"in": "ACCEPT", "proto": "tcp", "dport": 22}]},
    "cloudinit": {"user": "ops", "password": "generate"},
}
GROWN: Spec = {
    **VM,
    "memory": "2GiB",
    "restart": "allow",
    "disks": {**VM["disks"], "system": {"size": "12GiB"}, "scsi2": {"size": "2GiB"}},
}


def backed_up(lab: Lab, vmid: int = 100) -> str:
    """Have a backup made, as a person does; its volume."""
    node, before = lab.world.vms[vmid].node, volumes(lab)
    lab.ask("POST", f"/nodes/{node}/vzdump", vmid=str(vmid), storage="local")
    lab.clock.sleep(60.0)
    lab.ask("GET", "/version")
    (made,) = volumes(lab) - before
    return made


def volumes(lab: Lab) -> set[str]:
    return {one.volid for one in lab.world.volumes.values() if one.content == "backup"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, str]:
    """A VM that is ready, and a backup of it."""
    lab = deployed(tmp_path_factory.mktemp("base") / "lab", VM)
    volume = backed_up(lab)
    lab.settle()
    return lab, volume


@pytest.fixture
def lab(base: tuple[Lab, str], tmp_path: Path) -> Lab:
    return twin(base[0], tmp_path / "lab")


@pytest.fixture
def volume(base: tuple[Lab, str]) -> str:
    return base[1]


def events(lab: Lab) -> dict[str, Any]:
    """What was told of the restore."""
    names = ("backup_restored", "restore_failed", "verb_refused", "verb_failed", "vm_changed")
    with lab.store() as store:
        found: list[Event] = [one for name in names for one in store.outbox.past(name)]
    assert len({one.event for one in found}) == len(found)
    return {one.event: one.detail for one in found}


def bound(lab: Lab) -> Binding:
    with lab.store() as store:
        return store.bindings.all()["a"]


def config(lab: Lab, vmid: int = 100) -> dict[str, Any]:
    return dict(lab.world.vms[vmid].config)


def copies(lab: Lab) -> int:
    """How often a restore was asked of Proxmox."""
    return sum(one.path == "/nodes/pve1/qemu" for one in lab.wire.writes())


def said(lab: Lab) -> str:
    """Why the last verb ended as it did."""
    with lab.store() as store:
        return store.verbs.of("a")[0].message


def test_task_03_a_vm_is_put_back_and_its_package_applied_again(lab: Lab, volume: str) -> None:
    """TASK-03: sizes grown, what is in no backup attached again, started, told once."""
    edit(lab, GROWN)
    lab.settle()
    lab.ask("POST", "/nodes/pve1/qemu/100/snapshot", snapname="gold")
    lab.clock.sleep(30.0)
    lab.settle()
    lab.wire.calls.clear()
    before, disks = lab.shot(), config(lab)
    assert asked(lab, "restore", backup=volume).startswith("is stopped and put back")
    lab.settle()
    assert results(lab) == {"restore t1": "done"}
    assert (power(lab), copies(lab), phase(lab)) == (["shutdown", "start"], 1, Phase.READY)
    after = lab.shot()
    assert after["leases"] == before["leases"]
    assert (config(lab)["scsi1"], config(lab)["scsi2"]) == (disks["scsi1"], disks["scsi2"])
    assert (config(lab)["memory"], "size=12G" in str(config(lab)["scsi0"])) == ("2048", True)
    assert lab.world.vms[100].snapshots == {}
    assert config(lab)["description"] == disks["description"]
    assert events(lab)["backup_restored"]["backup"] == volume
    assert lab.run().writes == 0


def test_a_restore_is_shown_by_a_dry_run_and_waits_for_a_hold(lab: Lab, volume: str) -> None:
    asked(lab, "restore", backup=volume)
    shown = {vm.key: [change.handler for change in vm.changes] for vm in lab.dry().vms}
    assert shown == {"a": ["restore"]}
    lab.ask("PUT", "/nodes/pve1/qemu/100/config", tags="hold;reconcile-law")
    lab.clock.sleep(30.0)
    lab.run()
    assert (power(lab), copies(lab)) == ([], 0)


def test_a_deny_window_holds_a_restore_up(lab: Lab, volume: str) -> None:
    deny = '\nwindows: {never: {kind: deny, start: "* * * * *", for: 1h}}\n'
    lab.write({"fleet.yaml": (lab.fleet / "fleet.yaml").read_text() + deny})
    asked(lab, "restore", backup=volume)
    lab.run()
    assert (power(lab), copies(lab), open_verbs(lab)) == ([], 0, ["do.restore"])


def test_a_stopped_vm_that_nobody_starts_stays_stopped(tmp_path: Path) -> None:
    lab = deployed(tmp_path, {**VM, "power": "unmanaged"})
    volume = backed_up(lab)
    asked(lab, "restore", backup=volume)
    lab.settle()
    assert (results(lab), lab.world.vms[100].status) == ({"restore t1": "done"}, "stopped")
    lab.ask("POST", "/nodes/pve1/qemu/100/status/start")
    lab.clock.sleep(30.0)
    asked(lab, "restore", "t2", backup=volume)
    lab.settle()
    assert lab.world.vms[100].status == "running"


def test_a_restore_that_takes_hours_is_followed_over_runs(lab: Lab, volume: str) -> None:
    """TASK-09: nothing else is done to the bare VM that Proxmox shows meanwhile."""
    asked(lab, "restore", backup=volume)
    lab.simulator.faults.add(Fault("task-hang", task="qmrestore", times=1))
    for _ in range(2):
        lab.run(time_limit=400.0)
        lab.clock.sleep(60.0)
    assert config(lab) == {"memory": "128"}
    assert (copies(lab), power(lab)) == (1, ["shutdown"])
    assert lab.told.words("a") == "its restore takes longer"


def test_a_restore_that_fails_before_it_writes_leaves_all_as_it_was(lab: Lab, volume: str) -> None:
    """TASK-03"""
    before = config(lab)

    def start(call: Call) -> bool:
        found = call.path == "/nodes/pve1/qemu"
        if found:
            lab.ask("POST", "/nodes/pve1/qemu/100/status/start")
            lab.clock.sleep(1.0)
        return found

    lab.wire.meanwhile = start
    asked(lab, "restore", backup=volume)
    lab.settle()
    assert results(lab) == {"restore t1": "failed"}
    assert "vm is running; the VM is as it was" in said(lab)
    assert (config(lab), lab.world.vms[100].status) == (before, "running")
    assert "backup_restored" not in events(lab)
    assert "vm is running" in events(lab)["restore_failed"]["text"]


def broken(lab: Lab, volume: str) -> None:
    """Let a restore fail half way."""
    lab.simulator.faults.add(Fault("task-fail", task="qmrestore", times=1, text="no space left"))
    asked(lab, "restore", backup=volume)
    for _ in range(3):
        lab.run()
        lab.clock.sleep(60.0)


def test_task_03_a_failed_restore_starts_nothing_and_says_what_to_do(lab: Lab, volume: str) -> None:
    """TASK-03: the VM has its identity again, and waits for a person."""
    uuid = bound(lab).uuid
    broken(lab, volume)
    assert results(lab) == {"restore t1": "failed"}
    assert (lab.world.vms[100].status, power(lab), copies(lab)) == ("stopped", ["shutdown"], 1)
    assert config(lab)["smbios1"] == f"uuid={uuid}"
    text = condition(lab, "RestoreFailed") or ""
    assert "no space left" in text
    assert "reconcile restore a --backup" in text
    assert "reconcile reinstall a" in text
    assert list(events(lab)) == ["restore_failed"]
    assert asked(lab, "restore", backup=volume).endswith("nothing is done")


def test_task_03_a_failed_restore_may_be_tried_again(lab: Lab, volume: str) -> None:
    """TASK-03"""
    disks = config(lab)
    broken(lab, volume)
    asked(lab, "restore", "t2", backup=volume)
    lab.settle()
    assert results(lab) == {"restore t1": "failed", "restore t2": "done"}
    assert lab.world.vms[100].status == "running"
    assert config(lab)["scsi0"].partition(",")[0] == disks["scsi0"].partition(",")[0]
    assert condition(lab, "RestoreFailed") is None


def test_task_03_a_failed_restore_may_end_in_a_reinstall(lab: Lab, volume: str) -> None:
    """TASK-03"""
    leases = lab.shot()["leases"]
    text = (lab.fleet / "fleet.yaml").read_text()
    lab.write({"fleet.yaml": text + "guard: {destroys: 100%}\n"})
    broken(lab, volume)
    asked(lab, "reinstall", "t2")
    for _ in range(2):
        lab.settle(apart=20.0)
    assert results(lab) == {"restore t1": "failed", "reinstall t2": "done"}
    assert (lab.world.vms[100].status, lab.shot()["leases"]) == ("running", leases)


def test_other_verbs_wait_until_a_restore_is_over(lab: Lab, volume: str) -> None:
    """TASK-09"""
    asked(lab, "restore", backup=volume)
    for verb in ("snapshot", "reinstall", "suspend"):
        with pytest.raises(Refused, match="a restore of it is under way"):
            asked(lab, verb, "t2")
    with pytest.raises(Refused, match="asked for one at"):
        asked(lab, "restore", "t2", backup=volume)


@pytest.mark.parametrize("asking", [{}, {"backup": "gold"}])
def test_a_restore_names_its_backup(lab: Lab, asking: dict[str, str]) -> None:
    with pytest.raises(Refused, match="no backup is named"):
        asked(lab, "restore", **asking)


def refused(lab: Lab, **params: Any) -> str:
    """Ask, and let a run refuse it: nothing may have been stopped."""
    asked(lab, "restore", **params)
    lab.settle()
    assert results(lab) == {"restore t1": "refused"}
    assert (power(lab), copies(lab), list(events(lab))) == ([], 0, ["verb_refused"])
    return said(lab)


def test_a_backup_that_is_not_there_is_refused(lab: Lab) -> None:
    why = refused(lab, backup="local:backup/vzdump-qemu-100-2020_01_01-00_00_00.vma")
    assert why.startswith("there is no backup local:backup/vzdump-qemu-100-2020")
    assert "no storage nope" in refused_again(lab, "nope:backup/x")


def refused_again(lab: Lab, volume: str) -> str:
    asked(lab, "restore", "t2", backup=volume)
    lab.settle()
    return said(lab)


def test_a_backup_of_another_vm_is_taken_only_when_told(tmp_path: Path) -> None:
    lab = deployed(tmp_path, {**VM, "node": "pve1"})
    lab.ask("POST", "/nodes/pve1/qemu", vmid=777, name="other", memory=512, scsi0="local-lvm:3")
    lab.clock.sleep(30.0)
    volume, uuid = backed_up(lab, 777), bound(lab).uuid
    assert "it is a backup of vm 777, not of 100: --foreign" in refused(lab, backup=volume)
    asked(lab, "restore", "t2", backup=volume, foreign=True)
    lab.settle()
    assert results(lab)["restore t2"] == "done"
    assert bound(lab).uuid != uuid
    assert (config(lab)["name"], config(lab)["memory"]) == ("a", "1024")


def test_a_backup_of_a_former_vm_of_that_vmid_is_anothers(lab: Lab, volume: str) -> None:
    with opened(lab) as (store, at):
        binding = store.bindings.all()["a"]
        store.bindings.change(replace(binding, created_at=at))
    assert "of another one that had its vmid" in refused(lab, backup=volume)


def test_a_protected_vm_is_not_restored(tmp_path: Path) -> None:
    lab = deployed(tmp_path, {**VM, "protection": True})
    assert "it is protected" in refused(lab, backup=backed_up(lab))


def test_a_storage_without_room_is_refused(lab: Lab, volume: str) -> None:
    assert "no storage tiny for disks" in refused(lab, backup=volume, storage="tiny")


def test_a_row_of_another_program_restores_too(lab: Lab, volume: str) -> None:
    with opened(lab) as (store, at):
        store.intents.put(Intent("a", "do.restore", at, 0, json.dumps({"backup": volume})))
    lab.settle()
    assert list(results(lab).values()) == ["done"]


@pytest.mark.parametrize(("kind", "total"), [("rbd", 1 << 20), ("lvm", 4 << 30)])
def test_a_storage_that_is_too_small_is_refused(
    lab: Lab, volume: str, kind: str, total: int
) -> None:
    """On a thick one a disk takes its whole size at once, on others at least what is packed."""
    shared = lab.world.storages["shared"]
    shared.kind, shared.size, shared.used = kind, total, 0
    lab.clock.sleep(30.0)
    why = refused(lab, backup=volume, storage="shared")
    free = "3839 MiB" if kind == "lvm" else "0 B"
    assert why == f"storage shared has {free} free, and the backup needs more"


def test_a_vm_under_the_ha_manager_is_stopped_and_started_by_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path, fleet_files({"a": {"memory": "1GiB", "ha": {}}}))
    who = {"users": "reconcile@pve", "tokens": "reconcile@pve!fleet"}
    lab.ask("PUT", "/access/acl", path="/", roles="PVESysAdmin", **who)
    lab.settle()
    volume = backed_up(lab)
    asked(lab, "restore", backup=volume)
    lab.settle(runs=20)
    assert results(lab) == {"restore t1": "done"}
    assert (lab.world.vms[100].status, copies(lab)) == ("running", 1)


def test_a_vm_that_is_to_end_while_it_is_copied_gets_its_identity_first(
    lab: Lab, volume: str
) -> None:
    """TERM-02: what bears no marker is not destroyed, and a copy that was lost leaves none."""
    lab.simulator.faults.add(Fault("task-hang", task="qmrestore", times=1))
    asked(lab, "restore", backup=volume)
    lab.run(time_limit=60.0)
    assert config(lab) == {"memory": "128"}
    head = (lab.fleet / "fleet.yaml").read_text() + "guard: {destroys: 100%, minimum: 0}\n"
    lab.write({**fleet_files({"a": {"state": "absent"}}), "fleet.yaml": head})
    lab.world.tasks.all.clear()
    for _ in range(4):
        lab.clock.sleep(60.0)
        lab.run()
    assert 100 not in lab.world.vms
    assert results(lab)["restore t1"] == "failed"
