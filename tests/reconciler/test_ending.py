"""The end of a VM: in which order, with which words, and what is left (TERM)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.aftermath import abandon, ask_end
from reconciler.pve.rights import needs
from reconciler.pve.usage import usage
from reconciler.reckon import Reckoner
from reconciler.sim.faults import Fault
from reconciler.sim.samples import FLEET_ROLE
from state.memory import Hold, Phase
from state.store import Store
from tests.endings import (
    GUARD,
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
from tests.engine import fleet, spec
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


def test_a_vmid_that_somebody_takes_right_after_the_destroy_is_left_to_them(
    tmp_path: Path,
) -> None:
    """TERM-09, SUS-03: our DELETE went through, so what bears the vmid now is another's."""
    lab = ending(tmp_path)
    taken = Fault("error-before", path="/cluster/nextid", status=400, text="VM 100 already exists")
    lab.simulator.faults.add(taken)
    give_up(lab, terminate={"backups": "delete"})
    lab.run(time_limit=5.0)
    assert 100 not in lab.world.vms
    lab.simulator.faults.clear()
    lab.ask("POST", "/nodes/pve2/qemu", vmid=100, name="theirs")
    lab.clock.sleep(20.0)
    lab.ask("POST", "/nodes/pve2/vzdump", vmid=100, storage="local", mode="stop")
    lab.clock.sleep(600.0)
    uuid = lab.world.vms[100].config["smbios1"]
    lab.run()
    assert bound(lab) is None and addresses(lab) == []
    theirs = lab.world.vms[100].config
    assert theirs["smbios1"] == uuid and "description" not in theirs
    assert sum(one.content == "backup" for one in lab.world.volumes.values()) == 1


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
    """TERM-08, TERM-10, LOG-04, C-09, C-19: one entry, with the true reason."""
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
    with opened(lab) as store:
        store.bindings.change(replace(kept, phase=Phase.TERMINATE))
    lab.run()
    assert bound(lab) is None and len(events(lab, "terminate_failed")) == 1


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
    lab.clock.sleep(timedelta(days=3).total_seconds())
    give_up(lab, terminate={"grace": "1d"})
    lab.run()
    assert bound(lab) is not None and "TerminateWaits" in conditions(lab)


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
    lab = ending(tmp_path)
    who = {"users": "reconcile@pve", "tokens": "reconcile@pve!fleet"}
    lab.ask("PUT", "/access/acl", path="/", roles="PVESysAdmin", **who)
    lab.write(files({"old-1": {**VM, "ha": {"state": "started"}}, "web-1": VM}))
    lab.settle()
    lab.wire.calls.clear()
    give_up(lab)
    lab.settle()
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


def test_protected_vms_wait_for_approval_and_are_not_stopped(tmp_path: Path) -> None:
    """C-19: the one approval covers the stop, the protection and the destroy."""
    lab = ending(tmp_path, {**VM, "protection": True})
    give_up(lab)
    lab.run()
    assert writes(lab) == [] and "ApprovalNeeded" in conditions(lab)
    assert machine(lab).status == "running"
    lab.run(approve=lab.dry().digest, by="ann")
    lab.settle()
    assert bound(lab) is None


def test_the_rights_for_a_last_backup_are_asked_for() -> None:
    one = spec(state="absent", terminate={"backup": "pbs"})
    asked = {right for need in needs(usage(fleet(one), "demo")) for right in need.privileges}
    assert "VM.Backup" not in asked
    one, other = one.model_copy(update={"key": "web-2"}), spec()
    asked = {right for need in needs(usage(fleet(one, other), "demo")) for right in need.privileges}
    assert "VM.Backup" in asked


def test_too_many_ends_wait_for_approval_and_stop_nobody(tmp_path: Path) -> None:
    lab = ending(tmp_path, more="guard: {destroys: 0%}\n")
    give_up(lab)
    lab.run()
    assert writes(lab) == [] and "ApprovalNeeded" in conditions(lab)


@pytest.mark.parametrize("lost", ["uuid", "copy", "store"])
def test_what_is_not_surely_ours_is_never_touched(tmp_path: Path, lost: str) -> None:
    """C-19: vmid, marker, uuid and cluster must agree."""
    lab = ending(tmp_path)
    vm = machine(lab)
    text = str(vm.config["description"])
    if lost == "uuid":
        uuid = "uuid=11111111-2222-4333-8444-555555555555"
        lab.ask("PUT", f"/nodes/{vm.node}/qemu/100/config", smbios1=uuid)
    elif lost == "copy":
        copied = text.replace("vmid=100", "vmid=999")
        lab.ask("PUT", f"/nodes/{vm.node}/qemu/100/config", description=copied)
    else:
        other = text.replace("store=", "store=dead")
        lab.ask("PUT", f"/nodes/{vm.node}/qemu/100/config", description=other)
    lab.clock.sleep(20.0)
    give_up(lab)
    lab.run()
    assert writes(lab) == [] and "IdentityMismatch" in conditions(lab)


def test_a_marker_that_is_gone_is_put_back_before_the_end(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    lab.ask("PUT", f"/nodes/{machine(lab).node}/qemu/100/config", delete="description")
    lab.clock.sleep(20.0)
    give_up(lab)
    lab.run()
    assert writes(lab)[0].endswith("/config") and "description" in lab.wire.writes()[0].params
    assert bound(lab) is None


def templated(lab: Lab) -> str:
    """Make a template of `old-1`; the path of its VM."""
    path = f"/nodes/{machine(lab).node}/qemu/100"
    lab.ask("POST", f"{path}/status/stop")
    lab.clock.sleep(30.0)
    lab.ask("POST", f"{path}/template")
    lab.clock.sleep(30.0)
    return path


def test_c_19_a_template_with_linked_clones_is_left_alone(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    path = templated(lab)
    lab.ask("POST", f"{path}/clone", newid=500)
    lab.clock.sleep(60.0)
    give_up(lab)
    lab.run()
    assert writes(lab) == [] and "500" in conditions(lab)["TerminateBlocked"]


def test_a_template_without_clones_is_destroyed(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    templated(lab)
    give_up(lab)
    lab.run()
    assert bound(lab) is None


def test_c_19_a_right_that_lacks_is_told_before_the_guest_is_stopped(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    lab.world.access.roles[FLEET_ROLE].remove("VM.Allocate")
    give_up(lab)
    lab.run()
    assert writes(lab) == [] and "VM.Allocate" in conditions(lab)["TerminateBlocked"]


def test_the_plan_names_all_that_goes(tmp_path: Path) -> None:
    """Saved memory and backups are no volumes of its config, and go too."""
    lab = ending(tmp_path)
    node = machine(lab).node
    lab.ask("POST", f"/nodes/{node}/vzdump", vmid=100, storage="local", mode="stop")
    lab.clock.sleep(600.0)
    lab.run()
    lab.ask("POST", f"/nodes/{node}/qemu/100/snapshot", snapname="before", vmstate=1)
    lab.clock.sleep(30.0)
    give_up(lab, terminate={"backups": {"keep": "30d"}})
    said = plan_of(lab)
    assert "saved memory of snapshot before, 1 backup (after 30 d)" in said
    assert "scsi1 5 GiB (local-lvm:vm-100-disk-1)" in said
    assert lab.wire.writes(lab.wire.run) == []


def test_a_held_vm_is_not_ended(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    with opened(lab) as store:
        store.holds.put(Hold("old-1", "look at it", lab.clock.now()))
    give_up(lab)
    lab.run()
    assert writes(lab) == [] and "Held" in conditions(lab)


def test_a_vm_that_was_never_made_is_given_up_once_none_can_come(tmp_path: Path) -> None:
    """TERM-09: its vmid and addresses stay while its clone may still arrive."""
    lab = Lab(tmp_path, files({"old-1": VM}))
    fault = Fault("drop-before", method="POST", path="*/clone", times=None)
    lab.simulator.faults.add(fault)
    lab.run(time_limit=5.0)
    lab.simulator.faults.clear()
    give_up(lab)
    lab.run(only=("old-1",))
    assert addresses(lab) and "TerminateWaits" in conditions(lab)
    lab.clock.sleep(timedelta(days=2).total_seconds())
    lab.run(only=("old-1",))
    assert addresses(lab) == [] and bound(lab) is None


class Registrar:
    """Another world that knows of a VM; its second record cannot be removed."""

    def records(self, key: str) -> Iterator[str]:
        yield f"fwd-del OK [lab] example.net ← {key}.example.net"
        raise OSError("no answer")


def test_term_05_other_worlds_are_told_and_hold_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TERM-05, TERM-10: a line for each record, and what fails there is a warning."""
    lab = ending(tmp_path)

    def telling(*given: object, **named: object) -> Reckoner:
        return Reckoner(*given, **{**named, "farewells": (Registrar(),)})  # type: ignore[arg-type]

    monkeypatch.setattr("reconciler.loop.Reckoner", telling)
    give_up(lab)
    lab.run()
    said = told(lab)
    first = said.index("deleting DNS records")
    assert said[first - 1 : first + 3] == [
        "VM deleted",
        "deleting DNS records",
        "fwd-del OK [lab] example.net ← old-1.example.net",
        "deleting DNS records failed: no answer",
    ]
    assert bound(lab) is None


def test_protected_backups_and_those_that_cannot_be_removed_stay(tmp_path: Path) -> None:
    """TERM-04: best effort; errors are told and ignored."""
    lab = ending(tmp_path)
    node = machine(lab).node
    for _ in range(2):
        lab.ask("POST", f"/nodes/{node}/vzdump", vmid=100, storage="local", mode="stop")
        lab.clock.sleep(600.0)
        lab.run()
    kept, lost = (one for one in lab.world.volumes.values() if one.content == "backup")
    kept.protected = True
    lab.simulator.faults.add(Fault("error-before", method="DELETE", path="*/content/*", status=500))
    give_up(lab, terminate={"backups": "delete"})
    lab.run()
    said = "\n".join(told(lab))
    assert f"backup {kept.volid} is protected, and stays" in said
    assert f"backup {lost.volid} stays: " in said and "backups removed (0 of 2 backups)" in said
    assert bound(lab) is None


def test_kept_backups_wait_for_a_cluster_that_answers(tmp_path: Path) -> None:
    lab = ending(tmp_path)
    node = machine(lab).node
    lab.ask("POST", f"/nodes/{node}/vzdump", vmid=100, storage="local", mode="stop")
    lab.clock.sleep(600.0)
    lab.run()
    give_up(lab, terminate={"backups": {"keep": "1d"}})
    lab.run()
    lab.clock.sleep(timedelta(days=2).total_seconds())
    lab.simulator.faults.add(Fault("error-before", method="DELETE", path="*/content/*", status=500))
    lab.run()
    lab.simulator.faults.clear()
    (volume,) = (one for one in lab.world.volumes.values() if one.content == "backup")
    volume.protected = True
    lab.run()
    with lab.store() as store:
        assert store.kept.all() == ()


def test_an_end_holds_no_restart_of_its_group_back(tmp_path: Path) -> None:
    """Nobody waits for a VM to come back that was stopped for its end."""
    group = {**VM, "anti_affinity": "web", "restart": "allow"}
    lab = Lab(
        tmp_path, files({"old-1": group, "web-1": group}, GUARD.replace("}", ", restarts: 100%}"))
    )
    lab.settle()
    assert asked(lab)
    lab.write(files({"old-1": {**group, "terminate": {"grace": "7d"}}, "web-1": group}))
    lab.run()
    larger = {**group, "memory": "2GiB"}
    lab.write(files({"old-1": {**group, "terminate": {"grace": "7d"}}, "web-1": larger}))
    lab.clock.sleep(60.0)
    lab.run()
    assert machine(lab).status == "stopped" and machine(lab, "web-1").status == "running"
    assert conditions(lab, "web-1") == {} and machine(lab, "web-1").pending == {}
