"""A fleet whose specs stand in the database runs as one of files does."""

import sqlite3
from pathlib import Path

import pytest

from reconciler.specs import Batch, RefusedSpecs, open_desk, read_fleet
from state.specs import Edit, Superseded
from tests.lab import Lab

HEAD = """\
fleet: demo
clusters: {demo: {simulated: {}}}
defaults: {cluster: demo, template: debian-12, storage: local-lvm}
templates: {debian-12: {demo: [9000]}}
"""
BOTH = {"fleet.yaml": HEAD + "sources: [files, database]\n"}
FILES = {**BOTH, "packages/small.yaml": "small: {memory: 1GiB}\n", "vms/a.yaml": "a: {}\n"}
STORED: dict[str, object] = {"package": "small"}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, FILES)


def edit(lab: Lab, name: str, document: dict[str, object] | None) -> None:
    with open_desk(lab.fleet, str(lab.database), lab.clock.now()) as desk:
        desk.store.specs.edit([Edit(name, document)], "ann", lab.clock.now())


def test_vms_of_the_database_are_made_changed_and_then_left_alone(lab: Lab) -> None:
    edit(lab, "b", {**STORED, "count": 2})
    assert lab.settle().vms == 3
    assert lab.run().writes == 0
    edit(lab, "b", {**STORED, "count": 2, "description": "of the shop"})
    summary = lab.run()
    assert (summary.changed, summary.ready) == (2, 3)
    assert lab.run().writes == 0


def test_a_fleet_at_rest_stays_settled_whichever_source_a_vm_is_of(lab: Lab) -> None:
    edit(lab, "b", STORED)
    lab.settle()
    lab.clock.sleep(60)
    lab.run()
    reads = len(lab.wire.of(lab.wire.run))
    edit(lab, "b", {**STORED, "tags": ["x"]})
    edit(lab, "b", STORED)
    again = lab.run()
    assert (again.writes, len(lab.wire.of(lab.wire.run))) == (0, reads)


def test_a_deleted_spec_leaves_its_vm_unmanaged(lab: Lab) -> None:
    edit(lab, "b", STORED)
    edit(lab, "c", STORED)
    lab.settle()
    edit(lab, "b", None)
    dry = lab.dry()
    assert [(vm.key, vm.kind) for vm in dry.vms if vm.kind != "unchanged"] == [("b", "unmanaged")]
    assert lab.run().writes == 0


def test_an_empty_database_takes_no_vm_for_removed(lab: Lab) -> None:
    edit(lab, "b", STORED)
    lab.settle()
    edit(lab, "b", None)
    dry = lab.dry()
    assert [vm.kind for vm in dry.vms] == ["unchanged"]
    assert any("none is stored" in error for error in dry.errors)
    assert lab.run().writes == 0


def test_specs_that_cannot_be_read_take_no_vm_for_removed(lab: Lab) -> None:
    edit(lab, "b", STORED)
    lab.settle()
    with sqlite3.connect(lab.database) as link:
        link.execute("DROP TABLE desired_vm")
    link.close()
    dry = lab.dry()
    assert [(vm.key, vm.kind) for vm in dry.vms] == [("a", "unchanged")]
    assert any("db: the specs cannot be read" in error for error in dry.errors)
    assert lab.run().writes == 0


def test_a_name_in_both_sources_breaks_only_that_vm(lab: Lab) -> None:
    edit(lab, "a", STORED)
    edit(lab, "b", STORED)
    summary = lab.run()
    assert (summary.vms, summary.failed) == (2, 1)
    dry = lab.dry()
    assert {vm.key: vm.kind for vm in dry.vms}["a"] == "broken"


def test_what_is_stored_in_between_is_not_written_over_unchecked(lab: Lab) -> None:
    with open_desk(lab.fleet, str(lab.database), lab.clock.now()) as desk:
        count = desk.store.specs.after([])[1]
        desk.store.specs.put("b", STORED, "bob", lab.clock.now())
        with pytest.raises(Superseded, match="edited meanwhile"):
            desk.store.specs.edit([Edit("c", STORED)], "ann", lab.clock.now(), after=count)


def test_a_look_at_the_specs_reads_the_database_where_the_fleet_does(lab: Lab) -> None:
    edit(lab, "b", STORED)
    assert sorted(read_fleet(lab.fleet, str(lab.database), lab.clock.now()).vms) == ["a", "b"]
    lab.write({"fleet.yaml": HEAD})
    fleet = read_fleet(lab.fleet, str(lab.database), lab.clock.now())
    assert sorted(fleet.vms) == ["a"] and not fleet.incomplete


def test_deleting_is_never_refused(lab: Lab) -> None:
    edit(lab, "b", {"memory": 10})
    with open_desk(lab.fleet, str(lab.database), None) as desk:
        desk.store_batch(Batch((Edit("b", None),)), "ann", lab.clock.now())
        assert desk.store.specs.all() == {}


def test_a_spec_stays_refused_however_often_it_is_put(lab: Lab) -> None:
    lab.write({"packages/small.yaml": "small: {memory: wrong}\n"})
    with open_desk(lab.fleet, str(lab.database), None) as desk:
        for number in (1, 2):
            with pytest.raises(RefusedSpecs, match=r"small\.yaml:1:17: memory"):
                desk.store_batch(Batch((Edit("b", STORED),)), "ann", lab.clock.now())
            edit(lab, "b", {**STORED, "description": f"edit {number}"})
