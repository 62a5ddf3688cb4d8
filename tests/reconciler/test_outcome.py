"""What a tick leaves behind of each VM: its result and its conditions."""

from dataclasses import replace

import pytest

from desired.source import Fleet
from reconciler.guard import Guarded
from reconciler.orphans.watch import Watch
from reconciler.outcome import addresses, conditions_of, results_of
from reconciler.plan import VMPlan
from reconciler.turn import Standing, Turn
from state.change import Note
from state.conditions import Condition
from state.memory import Memory
from state.store import Store
from tests.engine import AT, binding, fleet, lease, seen, spec

ONE = spec()


def turn(standing: Standing, why: str = "", *notes: Note) -> Turn:
    return Turn(ONE, standing, why=why, last=Guarded(VMPlan(seen()), notes=notes))


def conditions(one: Turn) -> list[Condition]:
    store = Store.temporary(at=AT)
    return conditions_of(fleet(ONE), store, {one.key: one}, {}, AT)["web-1"]


@pytest.mark.parametrize(
    ("standing", "result"),
    [
        (Standing.READY, "ready"),
        (Standing.FAILED, "error"),
        (Standing.ACTIVE, "waiting"),
        (Standing.TASK, "waiting"),
        (Standing.WAITING, "waiting"),
        (Standing.PAUSED, "waiting"),
    ],
)
def test_a_turn_comes_to_ready_error_or_waiting(standing: Standing, result: str) -> None:
    assert results_of({"web-1": turn(standing)}) == {"web-1": result}


def test_a_settled_vm_is_ready() -> None:
    assert conditions(turn(Standing.READY)) == [
        Condition("web-1", "Ready", True, "Settled", "", AT)
    ]


def test_a_vm_that_is_not_ready_says_where_it_stands_and_why() -> None:
    (found,) = conditions(turn(Standing.PAUSED, "held: debugging"))
    assert (found.type, found.status, found.reason) == ("Ready", False, "Paused")
    assert found.message == "held: debugging"


def test_a_turn_that_was_never_decided_has_no_other_condition() -> None:
    assert len(conditions(replace(turn(Standing.ACTIVE), last=None))) == 1


def test_notes_raise_their_conditions_once_each() -> None:
    """A condition whose good value is true is raised as false; a note without one raises none."""
    notes = (
        Note("web-1", "disks", "scsi0", "wants 5 GiB", "ShrinkRefused"),
        Note("web-1", "disks", "scsi1", "wants 6 GiB", "ShrinkRefused"),
        Note("web-1", "firewall", "net0", "off in the cluster", "AntiSpoofEffective=False"),
        Note("web-1", "exists", "vm", "clone runs"),
    )
    found = conditions(turn(Standing.READY, "", *notes))
    assert [(one.type, one.status, one.reason, one.message) for one in found[1:]] == [
        ("ShrinkRefused", True, "disks", "wants 5 GiB"),
        ("AntiSpoofEffective", False, "firewall", "off in the cluster"),
    ]


def unmanaged(source: Fleet, *keys: str) -> list[str]:
    store = Store.temporary(at=AT)
    for number, key in enumerate(keys):
        store.bindings.bind(binding(key, 100 + number))
    orphans = Watch(source, store, AT).look().orphans
    found = conditions_of(source, store, {}, orphans, AT)
    assert all(one.type == "Unmanaged" for each in found.values() for one in each)
    return sorted(found)


def test_a_bound_vm_whose_spec_is_gone_is_unmanaged() -> None:
    assert unmanaged(fleet(ONE), "web-1", "old") == ["old"]


def test_a_broken_spec_or_group_is_not_gone() -> None:
    """DEP-27: nothing is taken for removed because it could not be read."""
    assert unmanaged(fleet(broken=frozenset({"bad", "group"})), "bad", "group/3") == []
    assert unmanaged(fleet(incomplete=True), "anything") == []


def test_addresses_are_those_leased_in_their_order() -> None:
    leases = (lease("web-1", "192.0.2.4"), lease("web-1", "2001:db8::2"))
    assert addresses(seen(memory=Memory(leases=leases))) == ("192.0.2.4", "2001:db8::2")
