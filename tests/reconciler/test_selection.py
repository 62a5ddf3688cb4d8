"""Which VMs `status` shows of a large fleet."""

from dataclasses import replace

import pytest

from reconciler.selection import ORDERS, Selection
from reconciler.status import VMStatus
from state.conditions import Condition
from tests.engine import AT

HELD = Condition("b-10", "Held", True, "", "mine", AT)
VMS = (
    VMStatus("b-10", "ready", "ready", cluster="x", node="n1", vmid=99, conditions=(HELD,)),
    VMStatus("b-9", "deploy", "set_ip", cluster="x", node="n2", vmid=110, error="no room"),
    VMStatus("a", "ready", "ready", cluster="y", node="n1", name="mail", addresses=("10.0.0.7",)),
)


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        (Selection(), ["a", "b-9", "b-10"]),
        (Selection(search="MAIL"), ["a"]),
        (Selection(search="10.0.0"), ["a"]),
        (Selection(search="no room"), ["b-9"]),
        (Selection(phases=("ready",)), ["a", "b-10"]),
        (Selection(phases=("ready", "deploy"), cluster="x"), ["b-9", "b-10"]),
        (Selection(states=("set_ip",)), ["b-9"]),
        (Selection(conditions=("Held", "Drifted")), ["b-10"]),
        (Selection(node="n1"), ["a", "b-10"]),
        (Selection(failed=True), ["b-9"]),
        (Selection(order="vmid"), ["b-10", "b-9", "a"]),
        (Selection(order="node"), ["a", "b-10", "b-9"]),
        (Selection(order="cluster", backwards=True), ["a", "b-9", "b-10"]),
    ],
)
def test_log_07_vms_are_searched_filtered_and_sorted(asked: Selection, keys: list[str]) -> None:
    """LOG-07"""
    assert [vm.key for vm in asked.pick(VMS)] == keys


def test_log_07_a_fleet_is_shown_in_pages() -> None:
    """LOG-07"""
    asked = Selection(size=2)
    found = asked.pick(VMS)
    assert asked.pages(len(found)) == 2
    assert [vm.key for vm in asked.cut(found)] == ["a", "b-9"]
    assert [vm.key for vm in replace(asked, page=2).cut(found)] == ["b-10"]
    assert replace(asked, page=3).cut(found) == ()
    assert (Selection().pages(3), asked.pages(0)) == (1, 1)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_has_all_vms(order: str) -> None:
    assert len(Selection(order=order).pick(VMS)) == len(VMS)
