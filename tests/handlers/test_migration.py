"""What Proxmox is asked before a VM is sent to another node, and what then keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from handlers.handler import Context, Handler
from handlers.migration import Migration, local_storages
from handlers.placement import Placement
from state.api import Json, Refused
from state.change import Call, Change, Method, Outcome, Param
from tests.casefile import read_seen

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PATH = "/nodes/pve1/qemu/1042/migrate"
UPID = "UPID:pve1:00000001:00000002:65E1D2C0:qmigrate:1042:reconcile@pve:"


@dataclass
class Node:
    """Answers to the question whether a VM may go, and to its migration."""

    about: Json
    answer: Json = UPID
    told: list[str] = field(default_factory=list)

    def get(self, path: str, params: Mapping[str, Param] | None = None) -> Json:
        self.told.append(f"GET {path} {dict(params or {})}")
        return self.about

    def send(self, call: Call, *, heavy: bool = False) -> Json:
        self.told.append(str(call))
        return self.answer


def migrated(node: Node, handler: Handler, **params: str) -> Outcome:
    call = Call(Method.POST, PATH, {"target": "pve2", **params})
    change = Change("web-1", handler.name, "node", "pve1", "pve2", (call,))
    return handler.apply([change], Context(node, AT))


@pytest.mark.parametrize("handler", [Placement(), Migration()], ids=lambda one: one.name)
def test_proxmox_is_asked_first_and_its_task_is_followed(handler: Handler) -> None:
    """DEP-15"""
    node = Node({"allowed_nodes": ["pve2"], "not_allowed_nodes": {}, "local_disks": []})
    assert migrated(node, handler) == Outcome(upid=UPID)
    assert node.told == [f"GET {PATH} {{'target': 'pve2'}}", f"POST {PATH} target=pve2"]


def test_an_answer_without_a_task_ends_the_turn_all_the_same() -> None:
    assert migrated(Node(None, answer=None), Migration()) == Outcome()


def refused(**about: Any) -> Json:
    return {"not_allowed_nodes": {"pve2": about, "pve3": {"unavailable_storages": ["x"]}}}


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        (refused(unavailable_storages=["fast", "slow"]), "pve2: storage fast, slow is not there"),
        (
            refused(**{"unavailable-resources": ["hostpci0"]}),
            "pve2: it has nothing mapped for hostpci0",
        ),
        (
            refused(**{"blocking-ha-resources": [{"sid": "vm:7", "cause": "x"}, "odd"]}),
            "pve2: a rule of the HA manager keeps it from vm:7 there",
        ),
        (
            refused(**{"blocking-ha-resources": True}),
            "pve2: a rule of the HA manager keeps it from others there",
        ),
        (
            {"local_resources": ["usb0", "hostpci0"], "mapped-resources": ["hostpci0"]},
            "pve2: the VM is bound to its node by usb0",
        ),
    ],
)
def test_what_keeps_a_vm_is_said_and_nothing_is_begun(about: Json, reason: str) -> None:
    node = Node(about)
    with pytest.raises(Refused) as raised:
        migrated(node, Migration())
    assert raised.value.text == reason
    assert len(node.told) == 1


def test_a_storage_that_another_stands_in_for_keeps_nobody() -> None:
    """CI-06"""
    node = Node(refused(unavailable_storages=["fast"]))
    assert migrated(node, Placement(), targetstorage="fast:tank,slow:tank").upid == UPID
    with pytest.raises(Refused):
        migrated(node, Placement(), targetstorage="slow:tank")


def test_a_vm_that_was_not_read_has_no_disks_that_are_known() -> None:
    assert local_storages(read_seen({"config": None})) == ()
