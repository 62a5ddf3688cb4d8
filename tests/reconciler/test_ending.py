"""The end of a VM: in which order, with which words, and what is left (TERM)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.aftermath import abandon, ask_end
from reconciler.sim.faults import Fault
from state.memory import Phase
from state.store import Store
from tests.endings import (
    VM,
    addresses,
    bound,
    conditions,
    ending,
    events,
    files,
    give_up,
    machine,
    told,
    writes,
)
from tests.lab import Lab

HEAD = "termination FAILED - admin attention required: "


def opened(lab: Lab) -> Store:
    return Store.open(lab.where, at=datetime.fromtimestamp(lab.clock(), UTC))


def asked(lab: Lab, token: str = "t1") -> bool:
    with opened(lab) as store:
        return ask_end(store, "old-1", "ann@desk", token, lab.clock.now())


def test_term_01_02_06_an_absent_vm_is_stopped_destroyed_and_freed(tmp_path: Path) -> None:
    """TERM-01, TERM-02, TERM-06, TERM-07, TERM-16: and no other VM is touched (SUS-03)."""
    lab = ending(tmp_path)
    vmid, node, held = machine(lab).vmid, machine(lab).node, addresses(lab)
    other = lab.world.vms[101].config.copy()
    give_up(lab)
    lab.run()
    path = f"/nodes/{node}/qemu/{vmid}"
    assert writes(lab) == [f"POST {path}/status/shutdown", f"DELETE {path}"]
    assert lab.wire.writes()[1].params == {"purge": True, "destroy-unreferenced-disks": False}
    assert vmid not in lab.world.vms and lab.world.vms[101].config == other
    assert bound(lab) is None and addresses(lab) == [] and held
    (event,) = events(lab, "vm_terminated")
    assert event.detail["addresses"] == held and event.detail["vmid"] == vmid
    assert conditions(lab) == {}


def test_term_11_each_step_has_its_line(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    vmid, node = machine(lab).vmid, machine(lab).node
    give_up(lab, terminate={"backups": "delete"})
    lab.run()
    said = told(lab)
    assert said[:3] == [
        "[terminate] starting",
        f"remote status: running, vmid: {vmid}",
        "stop request sent",
    ]
    assert said[3].startswith("stopped after ~") and said[3].endswith("s")
    assert said[4:8] == [
        f"DELETE VM vmid={vmid} node={node} purge=1",
        "VM deleted",
        "removing backups",
        "backups removed (0 of 0 backups)",
    ]
    assert said[8].startswith("[terminate] done (") and said[8].endswith("s) result=success")
    steps = [(one.label, one.after, one.result) for one in lab.told.steps("old-1")]
    assert steps == [
        ("Stop VM", "stopped", "success"),
        ("DELETE VM", "deleted", "success"),
        ("Clear record", "removed", "success"),
    ]


def test_what_is_absent_already_costs_nothing(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    give_up(lab)
    lab.run()
    summary = lab.run()
    assert (summary.vms, summary.writes) == (1, 0)


def test_term_09_addresses_are_kept_until_the_machine_is_surely_gone(tmp_path: Path) -> None:
    """TERM-09: while Proxmox says that the vmid is taken, nothing is freed."""
    lab = ending(tmp_path)
    give_up(lab)
    taken = Fault("error-before", path="/cluster/nextid", status=400, text="VM 100 already exists")
    lab.simulator.faults.add(taken)
    lab.run(time_limit=5.0)
    assert 100 not in lab.world.vms
    assert addresses(lab) and bound(lab) is not None and events(lab, "vm_terminated") == []
    lab.simulator.faults.clear()
    lab.run()
    assert addresses(lab) == [] and bound(lab) is None


def test_c_09_a_deaf_guest_is_switched_off(tmp_path: Path) -> None:
    """C-09, TERM-03, C-24: the windows span runs."""
    lab = ending(tmp_path)
    lab.simulator.faults.add(Fault("task-hang", task="qmshutdown", times=None))
    give_up(lab)
    for _ in range(4):
        lab.run(time_limit=5.0)
        lab.clock.sleep(60.0)
    kinds = [one.rsplit("/", 1)[1] for one in writes(lab)]
    assert kinds == ["shutdown", "stop", "100"]
    assert bound(lab) is None


def test_c_09_a_guest_that_cannot_be_stopped_ends_in_the_words_of_delete(tmp_path: Path) -> None:
    """C-09, TERM-03: after both windows it goes on to DELETE, and the true reason stands."""
    lab = ending(tmp_path)
    lab.simulator.faults.add(Fault("task-hang", task="qmshutdown", times=None))
    lab.simulator.faults.add(Fault("task-hang", task="qmstop", times=None))
    give_up(lab)
    for _ in range(6):
        lab.run(time_limit=5.0)
        lab.clock.sleep(60.0)
    kinds = [one.rsplit("/", 1)[1] for one in writes(lab)]
    assert kinds == ["shutdown", "stop", "100"]
    (event,) = events(lab, "terminate_failed")
    assert str(event.detail["text"]).startswith(HEAD)
    assert "is running - destroy failed" in str(event.detail["text"])


def test_term_08_a_delete_that_fails_keeps_all_and_is_never_tried_again(tmp_path: Path) -> None:
    """TERM-08, TERM-10, C-09, C-19: one entry, with the true reason."""
    lab = ending(tmp_path)
    held = addresses(lab)
    give_up(lab)
    text = "unable to remove VM 100 - storage 'local-lvm' is not online"
    fault = Fault("error-before", method="DELETE", path="/nodes/*/qemu/100", status=500, text=text)
    lab.simulator.faults.add(fault)
    assert lab.run().failed == 1
    assert HEAD + text in lab.told.words("old-1")
    lab.simulator.faults.clear()
    before = len(lab.wire.writes())
    for _ in range(3):
        lab.clock.sleep(3600.0)
        lab.run()
    assert len(lab.wire.writes()) == before
    kept = bound(lab)
    assert kept is not None and kept.phase is Phase.ERROR_TERMINATE and addresses(lab) == held
    (event,) = events(lab, "terminate_failed")
    assert event.detail["text"] == HEAD + text


def test_term_15_a_dead_nodes_vm_is_closed_out_and_keeps_its_addresses(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    held = addresses(lab)
    give_up(lab)
    with opened(lab) as store:
        abandon(store, "old-1", "ann@desk", lab.clock.now())
    lab.run()
    kept = bound(lab)
    assert kept is not None and kept.phase is Phase.ABANDONED
    assert writes(lab) == [] and addresses(lab) == held
    assert [one.detail["by"] for one in events(lab, "vm_abandoned")] == ["ann@desk"]


def test_what_a_person_ends_by_word_is_not_made_again(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    assert asked(lab) and not asked(lab)
    lab.run()
    assert bound(lab) is None
    before = len(lab.wire.writes())
    lab.run()
    assert bound(lab) is None and len(lab.wire.writes()) == before
    with lab.store() as store:
        (row,) = store.verbs.of("old-1")
    assert (row.result, row.by) == ("done", "ann@desk")
    lab.write(files({"web-1": VM}))
    lab.run()
    lab.write(files({"old-1": VM, "web-1": VM}))
    lab.settle()
    assert bound(lab) is not None


def test_an_end_that_is_taken_back_lets_the_vm_live_on(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    give_up(lab, terminate={"grace": "1d"})
    lab.run()
    assert machine(lab).status == "stopped"
    lab.write(files({"old-1": VM, "web-1": VM}))
    lab.settle()
    kept = bound(lab)
    assert kept is not None and kept.phase is Phase.READY and machine(lab).status == "running"


def test_a_grace_keeps_the_stopped_vm_with_a_last_backup(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    lab.ask("PUT", f"/nodes/{machine(lab).node}/qemu/100/config", onboot=1)
    give_up(lab, terminate={"grace": "7d", "backup": "local"})
    lab.run()
    assert machine(lab).status == "stopped" and machine(lab).config["onboot"] == 0
    waits = conditions(lab)["TerminateWaits"]
    assert waits.startswith("stopped, and kept until ")
    lab.clock.sleep(timedelta(days=6.5).total_seconds())
    lab.run()
    assert bound(lab) is not None
    lab.clock.sleep(timedelta(days=1).total_seconds())
    lab.run()
    assert bound(lab) is None
    backups = [one for one in lab.world.volumes.values() if one.content == "backup"]
    assert [one.vmid for one in backups] == [100]
    assert sum(one.endswith("/vzdump") for one in writes(lab)) == 1


@pytest.mark.parametrize("backups", ["keep", "delete", {"keep": "30d"}])
def test_c_22_backups_go_by_policy_after_the_machine(tmp_path: Path, backups: object) -> None:
    """C-22, TERM-04: and never one that an earlier machine of that vmid left."""
    lab = ending(tmp_path)
    node = machine(lab).node
    lab.ask("POST", f"/nodes/{node}/vzdump", vmid=100, storage="local", mode="stop")
    lab.clock.sleep(600.0)
    lab.run()
    foreign = older(lab)
    give_up(lab, terminate={"backups": backups})
    lab.run()
    lab.clock.sleep(60.0)
    lab.run()
    left = {one.volid for one in lab.world.volumes.values() if one.content == "backup"}
    assert foreign in left and len(left) == (1 if backups == "delete" else 2)
    lab.clock.sleep(timedelta(days=31).total_seconds())
    for _ in range(2):
        lab.run()
        lab.clock.sleep(60.0)
    left = {one.volid for one in lab.world.volumes.values() if one.content == "backup"}
    assert foreign in left and len(left) == (2 if backups == "keep" else 1)
    with lab.store() as store:
        assert store.kept.all() == ()


def test_c_19_ha_is_left_before_the_guest_is_stopped(tmp_path: Path) -> None:
    lab = ending(tmp_path, {**VM, "ha": {"state": "started"}})
    give_up(lab)
    lab.run()
    kinds = [one.split("/", 1)[1] for one in writes(lab)]
    assert kinds[0] == "cluster/ha/resources/vm:100"
    assert kinds[1].endswith("/status/shutdown") and bound(lab) is None


def test_a_paused_guest_is_switched_off(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    lab.ask("POST", f"/nodes/{machine(lab).node}/qemu/100/status/suspend")
    lab.clock.sleep(20.0)
    give_up(lab)
    for _ in range(4):
        lab.run()
        lab.clock.sleep(120.0)
    assert bound(lab) is None and any(one.endswith("/status/stop") for one in writes(lab))


def test_retained_disks_go_to_a_holder_first(tmp_path: Path) -> None:
    """What the spec under which it settled retains is kept, though the absent one names no disk."""
    disks = {"scsi1": {"size": "5GiB", "storage": "local-lvm", "reclaim": "retain"}}
    lab = ending(tmp_path, {**VM, "disks": disks, "pool": "customers"})
    assert "scsi1" not in plan_of(lab)
    give_up(lab)
    lost = plan_of(lab)
    assert "scsi0 3 GiB (local-lvm:vm-100-disk-0)" in lost and "scsi1" not in lost
    lab.run()
    assert bound(lab) is None and 100 not in lab.world.vms
    (holder,) = (one for one in lab.world.vms.values() if one.config.get("name") == "old-1-holder")
    assert str(holder.config["scsi1"]).startswith(f"local-lvm:vm-{holder.vmid}-disk-")
    assert holder.config["tags"] == "reconcile-holder" and holder.status == "stopped"
    assert (lab.run().vms, lab.run().writes) == (1, 0)


def plan_of(lab: Lab) -> str:
    return " ".join(text for vm in lab.dry().vms if vm.key == "old-1" for text in vm.details)


def test_c_19_a_snapshot_that_holds_a_retained_disk_forbids_the_end(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    lab.ask("POST", f"/nodes/{machine(lab).node}/qemu/100/snapshot", snapname="before")
    lab.clock.sleep(30.0)
    give_up(lab, disks={"scsi1": {"reclaim": "retain"}})
    lab.run()
    assert writes(lab) == [] and "before" in conditions(lab)["TerminateBlocked"]


def older(lab: Lab) -> str:
    """Make a backup of the vmid look as one that another machine left long before."""
    from dataclasses import replace

    (ours,) = (one for one in lab.world.volumes.values() if one.content == "backup")
    name = ours.volid.replace("2027", "2019")
    old = replace(ours, volid=name, ctime=ours.ctime - 10**8)
    lab.world.volumes[(old.node, name)] = old
    return name
