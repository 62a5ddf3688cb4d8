"""One look at one cluster: whom to read, whom to leave alone, what a lost store stops."""

from pathlib import Path

import pytest

from handlers.marker import Marker
from reconciler.config import open_live
from reconciler.gating import clone_place
from reconciler.report import Remark
from reconciler.sim.faults import Fault
from reconciler.strays import frozen
from state.machine import Machine
from tests.engine import AT, machine, storage, template, view
from tests.lab import Lab
from tests.laws.fleets import FLEET, POOLS, Spec, fleet_files

ONE: Spec = {"node": "pve1", "nics": {"net0": {"ipv4": {"pool": "public-v4"}}}}
VM = "/nodes/pve1/qemu/100"
ROWS = [template(9000, "pve1")]
STORAGES = (*storage("local-lvm", "pve1", "pve2"), *storage("ceph", "pve1", shared=True))
WORLD = view(ROWS, storages=STORAGES)


@pytest.mark.parametrize(
    ("inside", "storage", "place"),
    [
        (machine(boot="order=scsi0", scsi0="local-lvm:base"), None, "local-lvm on pve1"),
        (machine(boot="order=scsi0", scsi0="ceph:base"), None, "ceph"),
        (machine(boot="order=scsi0", scsi0="ceph:base"), "local-lvm", "local-lvm on pve1"),
        (Machine(), "ceph", "ceph"),
        (Machine(), None, "the storage of template 9000"),
        (machine(), None, "the storage of template 9000"),
    ],
)
def test_a_clones_data_goes_to_its_storage_or_the_templates(
    inside: Machine, storage: str | None, place: str
) -> None:
    assert clone_place(WORLD, {9000: inside}, 9000, storage) == place


def test_a_template_that_is_not_listed_has_a_place_too() -> None:
    assert clone_place(view(), {}, 9000, "fast") == "fast on "


def test_a_lost_store_names_a_few_of_the_vms_it_does_not_know() -> None:
    marks = [Marker("s", "demo", f"web-{n}", 100 + n) for n in range(7)]
    said = frozen(marks)
    assert said is not None
    assert "web-0 (vm 100), web-1 (vm 101)" in said
    assert "and 2 more" in said
    assert "reconcile rebuild-state" in said
    few = frozen(marks[:2])
    assert few is not None
    assert "more" not in few
    assert frozen([]) is None


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A fleet of one VM, which is ready."""
    lab = Lab(tmp_path, fleet_files({"one": ONE}))
    lab.settle()
    lab.clock.sleep(60)
    return lab


def lose_the_store(lab: Lab) -> None:
    for name in lab.bytes():
        (lab.database.parent / name).unlink()


def test_a_lost_store_creates_and_leases_nothing(lab: Lab) -> None:
    """Design 4, A lost store"""
    lose_the_store(lab)
    lab.write(fleet_files({"one": ONE, "two": ONE}))
    summary = lab.run()
    assert (summary.failed, summary.writes) == (2, 0)
    assert "VMs marked as ours are not in the store: one (vm 100)" in lab.told.words("two")
    with lab.store() as store:
        assert (store.bindings.all(), store.leases.taken()) == ({}, set())


def test_a_vm_that_the_store_was_told_to_forget_alarms_nobody(lab: Lab) -> None:
    lab.write(fleet_files({"two": ONE}))
    with open_live(lab.fleet, str(lab.database), AT) as opened:
        for lease in opened.store.leases.of("one"):
            opened.store.leases.release(lease)
        opened.store.bindings.forget("one", AT)
    assert lab.run().ready == 1


def test_a_copy_that_somebody_made_is_no_lost_vm(lab: Lab) -> None:
    """Design 4: its marker names another vmid."""
    lab.ask("POST", f"{VM}/clone", newid=777)
    lab.clock.sleep(60)
    lab.write(fleet_files({"one": ONE, "two": ONE}))
    assert lab.run().ready == 2
    told = [one.text for one in lab.told.events if isinstance(one, Remark)]
    assert any("VM 777 is a copy of one (VM 100)" in text for text in told)


def test_a_tag_alone_marks_nothing(lab: Lab) -> None:
    lab.ask("POST", "/nodes/pve1/qemu", vmid=500, tags="reconcile-law", name="theirs")
    lab.clock.sleep(60)
    summary = lab.run()
    assert (summary.ready, summary.writes) == (1, 0)


def test_a_spec_moved_to_another_cluster_touches_nothing(tmp_path: Path) -> None:
    """Cluster is provenance (design 4): the vmid there is somebody else's."""
    both = "demo: {simulated: {}}, lab: {simulated: {}}"
    two = FLEET.replace("demo: {simulated: {nodes: 3}}", both)
    two = two.replace("{demo: [9000, 9001, 9002]}", "{demo: [9000, 9001, 9002], lab: [9000]}")
    files = {**fleet_files({"one": ONE}), "fleet.yaml": two, "pools/public.yaml": POOLS}
    lab = Lab(tmp_path, files)
    lab.settle()
    lab.clock.sleep(60)
    lab.write(fleet_files({"one": {**ONE, "cluster": "lab"}}) | {"fleet.yaml": two})
    summary = lab.run()
    assert (summary.failed, summary.writes) == (1, 0)
    assert "is vm 100 of cluster demo, its spec says lab" in lab.told.words("one")


def test_a_count_raised_over_a_dry_pool_holds_only_what_needs_the_address(lab: Lab) -> None:
    """C-23: the memory of the VM that is there is changed all the same."""
    narrow = POOLS.replace("203.0.113.0/24", "203.0.113.0/30")
    more = {**ONE, "memory": "3GiB", "nics": {"net0": {"ipv4": {"pool": "public-v4", "count": 9}}}}
    lab.write({**fleet_files({"one": more}), "pools/public.yaml": narrow})
    summary = lab.run()
    assert summary.failed == 1
    assert "has no free address" in lab.told.words("one")
    config = lab.world.vms[100].config | lab.world.vms[100].pending
    assert config["memory"] == "3072"


def test_a_new_vm_over_a_dry_pool_is_not_made(lab: Lab) -> None:
    """IP-11, DEP-27"""
    narrow = POOLS.replace("203.0.113.0/24", "203.0.113.0/30")
    lab.write({**fleet_files({"one": ONE, "two": ONE}), "pools/public.yaml": narrow})
    summary = lab.run()
    assert (summary.ready, summary.failed, summary.writes) == (1, 1, 0)


def test_a_broken_reference_is_told_and_the_other_vm_goes_on(tmp_path: Path) -> None:
    """DEP-27"""
    vms = {"one": {**ONE, "cloudinit": {"password": "env:NOT_SET_9"}}, "two": ONE}
    lab = Lab(tmp_path, fleet_files(vms))
    summary = lab.run()
    assert (summary.ready, summary.failed) == (1, 1)
    assert "NOT_SET_9 is not set" in lab.told.words("one")


def test_an_id_that_could_not_be_asked_for_is_this_vms_trouble_only(lab: Lab) -> None:
    """DEP-12: nothing is known of a vmid that nobody answers for."""
    lab.write(fleet_files({"one": ONE, "two": ONE}))
    lab.simulator.faults.add(
        Fault("error-before", method="GET", path="/cluster/nextid", status=595, times=None)
    )
    summary = lab.run()
    assert (summary.ready, summary.failed, summary.writes) == (1, 1, 0)
