"""What a diff gets to see: present, surely gone, or Unknown with the reason."""

import pytest

from reconciler.sight import see
from state.machine import Machine
from state.memory import Binding, Memory
from state.observed import ClusterView, Presence, SeenVM
from tests.engine import UUID, binding, machine, node, view, vm

BOUND = binding(uuid=UUID)


def look(
    world: ClusterView,
    bound: Binding | None = BOUND,
    inside: Machine | None = None,
    free: bool | None = None,
) -> SeenVM:
    """See web-1; `free` is what nextid says, and without it nobody may ask."""

    def vmid_free(vmid: int) -> bool:
        assert free is not None, "asked for nothing"
        return free

    machines = {101: inside} if inside else {}
    return see("web-1", Memory(bound), world, machines, vmid_free, "s1", "demo")


def unknown(found: SeenVM) -> str:
    assert (found.presence, found.config) == (Presence.UNKNOWN, None)
    return found.reason


def test_a_vm_that_was_read_is_present_with_its_row_config_and_firewall() -> None:
    inside = machine(cores=2)
    found = look(view([vm(101, status="running")]), inside=inside)
    assert (found.presence, found.reason) == (Presence.PRESENT, "")
    assert (found.status, found.config, found.node) == ("running", inside.config, "pve1")
    assert (found.store, found.fleet) == ("s1", "demo")


def test_nothing_is_known_while_the_cluster_must_not_be_written_to() -> None:
    world = view([vm(101)], problem="the cluster has no quorum")
    assert unknown(look(world, inside=machine())) == "the cluster has no quorum"


def test_a_key_that_was_never_bound_is_absent() -> None:
    assert look(view(), None).presence is Presence.ABSENT


def test_a_machine_that_was_never_seen_needs_no_proof_of_being_gone() -> None:
    assert look(view(), binding()).presence is Presence.ABSENT


def test_gone_is_what_is_not_listed_and_whose_vmid_proxmox_gives_away() -> None:
    assert look(view(), free=True).presence is Presence.ABSENT


def test_a_vm_that_is_not_listed_but_whose_vmid_is_taken_is_not_gone() -> None:
    assert "does the token have VM.Audit on it?" in unknown(look(view(), free=False))


def test_a_vm_of_another_cluster_is_never_looked_for_here() -> None:
    """vm 101 of this cluster is somebody else's, and if it is not there nothing is gone."""
    moved = Binding("web-1", "lab", 101, "web-1", uuid=UUID)
    for world in (view(), view([vm(101)])):
        reason = unknown(look(world, moved, machine()))
        assert "is vm 101 of cluster lab, its spec says demo" in reason


@pytest.mark.parametrize("nodes", [[node("pve2")], [node("pve1", online=False)]])
def test_a_vm_on_a_node_that_is_not_online_is_left_alone(nodes: list[object]) -> None:
    world = view([vm(101)], nodes)  # type: ignore[arg-type]
    assert unknown(look(world, inside=machine())) == "node pve1 is not online"


def test_maintenance_hides_no_vm_but_a_node_switched_off_in_it_does() -> None:
    world = view([vm(101)], [node("pve1", hastate="maintenance")])
    assert look(world, inside=machine()).presence is Presence.PRESENT
    off = view([vm(101)], [node("pve1", hastate="maintenance", online=False)])
    assert look(off, inside=machine()).presence is Presence.UNKNOWN


def test_a_reading_that_failed_gives_its_reason_and_whether_it_passes() -> None:
    found = look(view([vm(101)]), inside=Machine(problem="moved", passing=True))
    assert (unknown(found), found.passing) == ("moved", True)


def test_a_vm_that_nobody_read_is_unknown() -> None:
    assert unknown(look(view([vm(101)]))) == "vm 101 was not read yet"


def test_a_vm_being_cloned_is_present_without_its_config() -> None:
    found = look(view([vm(101, lock="clone")]))
    assert (found.presence, found.config) == (Presence.PRESENT, None)
