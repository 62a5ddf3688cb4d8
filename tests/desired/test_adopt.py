"""`adopt: VMID`: a spec of a machine that is there, so it needs nothing to be made of."""

from pathlib import Path

from desired.files import FileSource
from desired.source import Fleet
from tests.desired.fleets import AT, load, write_fleet


def told_of(fleet: Fleet) -> list[str]:
    return [str(error) for error in fleet.errors]


def test_what_is_there_needs_no_template(tmp_path: Path) -> None:
    fleet = load(tmp_path, {"vms/a.yaml": "a: {adopt: 100, template: null}\n"})
    assert not fleet.errors
    assert (fleet.vms["a"].adopt, fleet.vms["a"].template) == (100, None)


def test_a_template_that_it_names_must_be_known(tmp_path: Path) -> None:
    fleet = load(tmp_path, {"vms/a.yaml": "a: {adopt: 100, template: nosuch}\n"})
    assert "unknown template 'nosuch'" in "\n".join(told_of(fleet))


def test_a_machine_is_one_spec_s_only(tmp_path: Path) -> None:
    text = "a: {adopt: 100}\nb: {adopt: 100}\nc: {adopt: 101}\n"
    fleet = load(tmp_path, {"vms/a.yaml": text})
    (told,) = told_of(fleet)
    assert "is a already" in told and "vm 100 of cluster" in told
    assert "b" not in fleet.vms and {"a", "c"} <= fleet.vms.keys()


def test_it_stands_in_a_vm_only_and_is_a_vmid(tmp_path: Path) -> None:
    fleet = load(
        tmp_path, {"packages/p.yaml": "p: {adopt: 100}\n", "vms/a.yaml": "a: {adopt: 9}\n"}
    )
    told = "\n".join(told_of(fleet))
    assert "adopt" in told and "a" not in fleet.vms
    used = load(
        tmp_path / "x", {"packages/p.yaml": "p: {adopt: 100}\n", "vms/a.yaml": "a: {package: p}\n"}
    )
    assert "stands in a VM only" in "\n".join(told_of(used))


def test_a_bare_fleet_may_have_no_vm(tmp_path: Path) -> None:
    folder = write_fleet(tmp_path, {"vms/ok.yaml": None})
    fleet = FileSource(folder, bare=True).load({}, AT)
    assert fleet.vms == {} and fleet.incomplete
