"""A dry run says what a run then does, and of every VM that nothing is done."""

from pathlib import Path

import pytest
import yaml

from reconciler.report import DryRun, PlannedVM, Remark
from reconciler.show.plan import plan_json, render_plan
from reconciler.show.text import Paint
from tests.lab import Lab
from tests.laws.fleets import Spec, fleet_files

SMALL: Spec = {
    "node": "pve1",
    "memory": "1GiB",
    "nics": {"net0": {"ipv4": {"pool": "public-v4"}}},
    "cloudinit": {"user": "random", "password": "generate"},
}


def lab_of(folder: Path, **vms: Spec) -> Lab:
    lab = Lab(folder, fleet_files(vms))
    lab.settle()
    return lab


def planned(dry: DryRun) -> dict[str, PlannedVM]:
    return {vm.key: vm for vm in dry.vms}


def text(dry: DryRun) -> str:
    return render_plan(dry, Paint())


def test_a_new_key_for_a_machine_is_no_new_machine(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, old=SMALL)
    lab.write(fleet_files({"new": {"was": "old", **SMALL}}))
    dry = lab.dry()
    vm = planned(dry)["new"]
    assert (vm.kind, vm.vmid) == ("change", 100)
    assert [change.field for change in vm.changes] == ["name", "description"]
    assert "key=old vmid=100 -> reconcile: " in text(dry)
    summary = lab.run()
    assert (summary.ready, summary.writes) == (1, 1)


def test_a_missing_secret_is_one_vms_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DEP-27."""
    monkeypatch.delenv("NOT_SET_1", raising=False)
    secret = {**SMALL, "cloudinit": {"password": "env:NOT_SET_1"}}
    dry = Lab(tmp_path, fleet_files({"a": secret, "b": SMALL})).dry()
    vms = planned(dry)
    assert vms["a"].kind == "stuck"
    assert "NOT_SET_1 is not set" in vms["a"].reason
    assert vms["b"].kind == "create"
    assert dry.failed


def test_what_only_a_person_can_mend_is_not_called_unchanged(tmp_path: Path) -> None:
    """IP-04, DEP-27: a dry pool, and a machine that somebody made under our id."""
    lab = lab_of(tmp_path, a=SMALL)
    lab.ask("POST", "/nodes/pve1/qemu/100/status/stop")
    lab.clock.sleep(60.0)
    lab.ask("DELETE", "/nodes/pve1/qemu/100")
    lab.clock.sleep(60.0)
    lab.ask("POST", "/nodes/pve1/qemu", vmid=100, name="theirs")
    lab.clock.sleep(60.0)
    full = {"network": "203.0.113.0/24", "start": "203.0.113.2", "stop": "203.0.113.2"}
    lab.write(fleet_files({"a": SMALL, "b": SMALL}))
    lab.write({"pools/public.yaml": yaml.dump({"public-v4": {**full, "bridge": "vmbr0"}})})
    dry = lab.dry()
    vms = planned(dry)
    assert {vm.kind for vm in vms.values()} == {"stuck"}
    assert "made anew by somebody" in vms["a"].reason
    assert "has no free address" in vms["b"].reason
    assert "0 to create, 0 to change, 0 to destroy, 0 unchanged, 2 stuck." in text(dry)
    assert dry.failed


def test_a_copy_that_somebody_made_is_told_of_and_left_alone(tmp_path: Path) -> None:
    """C-15: a clone carries our marker and our addresses with it."""
    lab = lab_of(tmp_path, a=SMALL)
    lab.ask("POST", "/nodes/pve1/qemu/100/clone", newid=777)
    lab.clock.sleep(60.0)
    dry = lab.dry()
    told = [one.text for one in lab.told.events if isinstance(one, Remark)]
    assert not (dry.differs or dry.failed)
    summary = lab.run()
    assert [one.text for one in lab.told.events if isinstance(one, Remark)] == told
    assert told[0].startswith("cluster demo: VM 777 is a copy of a (VM 100) that somebody made")
    assert "the tag reconcile-law off it" in told[0]
    assert (len(told), summary.writes) == (1, 0)


def test_a_glob_that_fits_no_vm_is_no_silent_success(tmp_path: Path) -> None:
    lab = Lab(tmp_path, fleet_files({"web-1": SMALL}))
    lab.dry(only=("wbe-*", "web-*"))
    planned_ = [one.text for one in lab.told.events if isinstance(one, Remark)]
    lab.run(only=("wbe-*", "web-*"))
    ran = [one.text for one in lab.told.events if isinstance(one, Remark)]
    assert planned_ == ran == ["--only wbe-*: no VM"]


def test_machines_that_no_spec_wants_are_listed(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, a=SMALL, b=SMALL, c=SMALL)
    lab.write(fleet_files({"a": SMALL, "b": {**SMALL, "state": "absent"}}))
    dry = lab.dry()
    assert text(dry).splitlines() == [
        f"{'- b pve1/101':53}needs approval: DESTROY  scsi0 3 GiB (local-lvm:vm-101-disk-0), "
        "ide2 4 MiB (local-lvm:vm-101-cloudinit)",
        *[line for line in text(dry).splitlines() if "ApprovalNeeded" in line],
        f"{'= c pve1/102':53}UNMANAGED: its spec is gone; left as it is: `prune` is off",
        "Plan: 0 to create, 0 to change, 1 to destroy (state: absent), 1 unchanged, 1 unmanaged. "
        f"1 change needs approval: reconcile approve {dry.digest}",
    ]
    assert dry.differs and not dry.failed
    assert plan_json(dry)["plan"]["unmanaged"] == 1  # type: ignore[index, call-overload]
    assert [vm.key for vm in lab.dry(only=("a",)).vms] == ["a"]


def test_a_description_is_one_line_without_our_marker(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, a={**SMALL, "description": "One.\nTwo."})
    lab.write(fleet_files({"a": {**SMALL, "description": "One.\nThree."}}))
    assert "    description    One. / Two. -> One. / Three.      live" in text(lab.dry())


def test_a_name_that_only_a_store_can_roll_is_shown_as_its_template(tmp_path: Path) -> None:
    lab = Lab(tmp_path, fleet_files({"a": {**SMALL, "name": "a-{{ random_digit_4 }}"}}))
    assert planned(lab.dry())["a"].fqdn == "a-{{ random_digit_4 }}.example.net"
    lab.run()
    assert planned(lab.dry())["a"].fqdn == f"{lab.world.vms[100].config['name']}.example.net"


def test_firewall_options_are_named_as_in_the_spec(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, a=SMALL)
    lab.write(fleet_files({"a": {**SMALL, "firewall": {"policy_in": "DROP"}}}))
    assert "    firewall.policy_in  (none) -> DROP" in text(lab.dry())
