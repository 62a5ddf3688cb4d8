"""What rules a node out for a VM."""

import pytest

from desired.catalog import PlacementRules
from desired.units import GIB
from reconciler.allocation.placing import Placed, place
from state.machine import Machine
from tests.engine import machine, node, spec, storage
from tests.ground import (
    LOCAL,
    ON_CEPH,
    ON_LOCAL,
    ONE_COPY,
    THREE_COPIES,
    Where,
    against,
    chosen,
    placed,
    terrain,
)


def test_a_vm_stays_beside_the_template_where_the_wanted_node_cannot_be_reached() -> None:
    """DEP-16: none found, so it stays on the template's node and goes on."""
    assert placed(spec(node="pve3"), ONE_COPY) == Where(9000, "pve1", "pve1")


def test_a_wanted_node_that_is_down_is_no_target() -> None:
    down = [node("pve1"), node("pve2"), node("pve3", online=False)]
    answer = chosen(spec(node="pve3"), ONE_COPY, ON_CEPH, nodes=down)
    assert (answer.end, answer.placing.problem) == ("pve1", "pve3: it is not online")


def test_an_unread_template_is_cloned_only_on_its_own_node() -> None:
    assert placed(spec(node="pve2"), ONE_COPY, Machine()) == Where(9000, "pve1", "pve1")


def test_a_node_without_the_shared_storage_is_no_target() -> None:
    """DEP-16: candidates are filtered by storage."""
    nodes = [node("pve1", free=3), node("pve2", free=8), node("pve3", free=4)]
    partly = storage("ceph", "pve1", "pve3", shared=True)
    answer = placed(spec(), ONE_COPY, ON_CEPH, partly, nodes)
    assert answer == Where(9000, "pve3", "pve3")
    away = [*partly, *storage("ceph", "pve2", shared=True, available=False)]
    assert placed(spec(node="pve2"), ONE_COPY, ON_CEPH, away, nodes) == Where(9000, "pve1", "pve1")


def test_a_full_clone_goes_where_its_storage_is() -> None:
    """DEP-16: candidates are filtered by storage."""
    fast = [*LOCAL, *storage("fast", "pve2")]
    answer = placed(spec(clone="full", storage="fast"), storages=fast)
    assert answer == Where(9001, "pve2", "pve2", "fast")
    answer = placed(spec(clone="full", storage="fast", node="pve1"), storages=fast)
    assert answer == Where(9001, "pve2", "pve2", "fast")


def test_a_storage_that_is_listed_nowhere_keeps_nobody_away() -> None:
    answer = placed(spec(clone="full", storage="hidden", node="pve2"))
    assert answer == Where(9001, "pve2", "pve2", "hidden")


def test_where_a_storage_is_on_no_usable_node_the_vm_is_made_beside_its_template() -> None:
    """Proxmox then says what is wrong."""
    only_far = [*LOCAL, *storage("fast", "pve9")]
    answer = placed(spec(clone="full", storage="fast", node="pve2"), storages=only_far)
    assert answer == Where(9000, "pve1", "pve1", "fast")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"available": False}, "storage fast is not available"),
        ({"content": frozenset({"iso"})}, "storage fast takes no disk images"),
        ({"total": 50 * GIB, "used": 45 * GIB, "kind": "lvm"}, "fast has 5.0 GiB left, 20.0 GiB"),
        (
            {"total": 50 * GIB, "used": 60 * GIB},
            "storage fast has 0.0 GiB left, 20.0 GiB are needed",
        ),
    ],
)
def test_a_disk_needs_its_storage_there_and_room_on_it(
    fields: dict[str, object], reason: str
) -> None:
    """DEP-16, DEP-20"""
    on_one = storage("fast", "pve1", **fields)
    rows = [*LOCAL, *on_one, *storage("fast", "pve2", content=frozenset({"images"}))]
    wanted = spec(disks={"scsi1": {"size": "20GiB", "storage": "fast"}, "system": {"size": "9GiB"}})
    answer = chosen(wanted, storages=rows)
    assert answer.end == "pve2"
    assert reason in against(answer, "pve1")
    assert against(answer, "pve3") == "storage fast is not there"
    assert answer.needs == {"local-lvm": 9 * GIB, "fast": 20 * GIB}


def test_thin_storage_is_promised_so_many_times() -> None:
    """Five disks of 40 GiB on 50 GiB that are free."""
    rows = storage("local-lvm", "pve1", kind="lvmthin", total=50 * GIB)
    here = terrain(ONE_COPY, ON_LOCAL, rows, rules=PlacementRules(thin_overcommit=4))
    found = []
    for number in range(6):
        wanted = spec(f"web-{number}", disks={"system": {"size": "40GiB"}})
        answer = place(wanted, (9000,), here)
        assert isinstance(answer, Placed)
        here.capacity.place(wanted, answer.end, answer.needs)
        found.append("left" in answer.placing.problem)
    assert found == [False] * 5 + [True]


def test_state_disks_and_disks_without_a_storage_go_to_the_vms() -> None:
    wanted = spec(
        storage="ceph", efi={}, tpm={"storage": "fast"}, disks={"scsi1": {"size": "1GiB"}}
    )
    assert chosen(wanted).needs == {"local-lvm": 3 * GIB, "ceph": GIB, "fast": 0}


def test_ram_is_kept_free_and_cpus_are_not_promised_without_limit() -> None:
    """DEP-16: the node with the most RAM has none to spare."""
    nodes = [node("pve1", free=5, maxcpu=2), node("pve2", free=4), node("pve3", free=3)]
    answer = chosen(spec(memory="3GiB", cpu={"cores": 9}), nodes=nodes)
    assert answer.end == "pve2" or answer.placing.problem
    assert against(answer, "pve1") == (
        "9 virtual CPUs would stand against 2, 4 times as many are allowed"
    )
    assert "it has too little RAM left, 1.6 GiB are to stay free" in against(answer, "pve3")
    assert "1.0 GiB of RAM would be left, 1.6 GiB are to stay free" in against(answer, "pve2")
    assert (answer.end, answer.placing.node) == ("pve1", "pve1")


def test_the_templates_memory_and_cpus_count_where_the_spec_names_none() -> None:
    inside = machine(scsi0="local-lvm:base", memory="8192", cores=3, sockets=2)
    nodes = [node("pve1", free=8, maxcpu=1), node("pve2", free=9, maxcpu=1)]
    answer = chosen(spec(), THREE_COPIES[:2], inside, nodes=nodes)
    assert "too little RAM left" in against(answer, "pve1")
    assert "6 virtual CPUs would stand against 1" in against(answer, "pve2")


def test_a_node_in_maintenance_takes_no_new_vm() -> None:
    nodes = [node("pve1", free=2), node("pve2", free=8, hastate="maintenance")]
    answer = chosen(spec(), nodes=nodes)
    assert (answer.end, against(answer, "pve2")) == (
        "pve1",
        "it is in maintenance; its template is on pve1, and post_clone_migration is off",
    )


def test_a_node_needs_the_bridges_of_the_vm() -> None:
    here = terrain()
    here.bridges = {"pve1": frozenset({"vmbr0"}), "pve2": frozenset({"vmbr0", "vmbr7"})}
    answer = place(spec(nics={"net0": {"bridge": "vmbr7"}}, node=None), (9000, 9001), here)
    assert isinstance(answer, Placed)
    assert (answer.end, against(answer, "pve1")) == ("pve2", "bridge vmbr7 is not there")
    answer = place(spec(nics={"net0": {"bridge": "vmbr9"}}), (9000,), here)
    assert isinstance(answer, Placed)
    assert answer.placing.problem == ""
