"""How a VM can come to a node: cloned there, across, or migrated after its clone."""

from typing import Any

import pytest

from desired.catalog import PlacementRules
from desired.units import GIB
from state.machine import Machine
from tests.engine import machine, spec, storage
from tests.ground import (
    LOCAL,
    ON_CEPH,
    ON_LOCAL,
    ONE_COPY,
    Where,
    against,
    chosen,
    placed,
)


def test_a_linked_clone_lands_beside_the_copy_on_the_wanted_node() -> None:
    """DEP-13"""
    assert placed(spec(node="pve2", storage="ceph")) == Where(9001, "pve2", "pve2")


def test_a_full_clone_names_its_storage() -> None:
    """DEP-13"""
    answer = placed(spec(clone="full", storage="local-lvm", node="pve3"))
    assert answer == Where(9002, "pve3", "pve3", "local-lvm")


def test_a_copy_on_shared_storage_is_cloned_across_to_the_wanted_node() -> None:
    """DEP-16"""
    assert placed(spec(node="pve3"), ONE_COPY, ON_CEPH) == Where(9000, "pve3", "pve3")


def test_a_full_clone_goes_across_only_when_its_target_storage_is_shared_too() -> None:
    wanted = spec(node="pve3", clone="full", storage="local-lvm")
    assert placed(wanted, ONE_COPY, ON_CEPH) == Where(9000, "pve1", "pve1", "local-lvm")
    wanted = spec(node="pve3", clone="full", storage="ceph")
    assert placed(wanted, ONE_COPY, ON_CEPH) == Where(9000, "pve3", "pve3", "ceph")


def test_a_clone_on_local_storage_is_migrated_to_its_node_afterwards() -> None:
    """DEP-15: only where the template is on another node, and by default."""
    on = {"rules": PlacementRules()}
    answer = chosen(spec(node="pve3"), ONE_COPY, **on)
    assert (answer.node, answer.end, answer.placing.storages) == ("pve1", "pve3", "")
    assert placed(spec(node="pve1"), ONE_COPY, **on) == Where(9000, "pve1", "pve1")
    answer = chosen(spec(node="pve3"), ONE_COPY)
    assert (answer.end, answer.placing.problem) == (
        "pve1",
        "pve3: its template is on pve1, and post_clone_migration is off",
    )


def test_what_is_carried_along_goes_to_the_storage_that_stands_in_for_its_own() -> None:
    """CI-06, DEP-15: the first that the node has."""
    rules = PlacementRules(storage_map={"local-lvm": ("fast", "tank")})
    rows = [*storage("local-lvm", "pve1", "pve2"), *storage("tank", "pve1", "pve3")]
    answer = chosen(spec(node="pve3"), ONE_COPY, storages=rows, rules=rules)
    assert (answer.end, answer.placing.storages) == ("pve3", "local-lvm:tank")
    rows += storage("fast", "pve1")
    answer = chosen(spec(node="pve3"), ONE_COPY, storages=rows, rules=rules)
    assert (answer.end, answer.placing.storages) == ("pve3", "local-lvm:tank")
    assert answer.needs == {"tank": 3 * GIB}
    answer = chosen(spec(node="pve3"), ONE_COPY, storages=rows, rules=PlacementRules())
    assert against(answer, "pve3") == (
        "storage local-lvm is not there, and `storage_map` names none there that stands in for it"
    )


@pytest.mark.parametrize("kind", ["zfspool", "dir", "btrfs"])
def test_linked_clones_that_name_their_base_are_not_migrated(kind: str) -> None:
    rows = storage("local-lvm", "pve1", "pve2", "pve3", kind=kind)
    rules = PlacementRules()
    answer = chosen(spec(node="pve3"), ONE_COPY, storages=rows, rules=rules)
    assert answer.placing.problem == (
        "pve3: a linked clone on local-lvm cannot leave pve1; `clone: full` can"
    )
    answer = chosen(spec(node="pve3", clone="full"), ONE_COPY, storages=rows, rules=rules)
    assert answer.end == "pve3"


@pytest.mark.parametrize(
    ("inside", "fields", "reason"),
    [
        (Machine(), {}, "its template on pve1 was not read yet"),
        (
            ON_LOCAL,
            {"clone": "full", "storage": "fast"},
            "its template is on pve1: storage fast is not there",
        ),
        (
            machine(scsi0="far:base,size=3G"),
            {},
            "storage far is not there",
        ),
        (
            machine(scsi0="local-lvm:base,size=3G", ide2="local:iso/x.iso,media=cdrom"),
            {},
            "the image local:iso/x.iso in its CD-ROM drive is on one node only",
        ),
    ],
)
def test_a_clone_that_cannot_be_migrated_stays_and_says_why(
    inside: Machine, fields: dict[str, Any], reason: str
) -> None:
    """DEP-16"""
    rows = (*LOCAL, *storage("fast", "pve3"), *storage("far", "pve1", "pve2", shared=True))
    wanted = spec(node="pve3", **fields)
    answer = chosen(wanted, ONE_COPY, inside, rows, rules=PlacementRules())
    assert (answer.node, answer.end) == ("pve1", "pve1")
    assert answer.placing.problem == f"pve3: {reason}"


def test_an_image_in_the_drive_of_a_template_may_be_shared() -> None:
    inside = machine(
        scsi0="local-lvm:base,size=3G", ide2="ceph:iso/x.iso,media=cdrom", scsi1="none"
    )
    answer = chosen(spec(node="pve3"), ONE_COPY, inside, rules=PlacementRules())
    assert answer.end == "pve3"


def test_a_template_on_both_kinds_of_storage_carries_only_what_is_local() -> None:
    inside = machine(scsi0="ceph:base,size=3G", scsi1="local-lvm:base,size=2G")
    answer = chosen(spec(node="pve2"), ONE_COPY, inside, rules=PlacementRules())
    assert (answer.end, answer.needs) == ("pve2", {"ceph": 3 * GIB, "local-lvm": 2 * GIB})
