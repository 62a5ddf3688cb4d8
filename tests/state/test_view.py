"""The constant reads, typed."""

import pytest

from state.api import Json
from state.observed import HAResource, NodeRow, StorageRow, TaskRow, VMRow
from state.view import cluster_view, ha_resources, number, quorum_problem, rows, text, vm_row, whole
from tests.engine import AT

QUORATE: Json = [
    {"type": "cluster", "name": "demo", "quorate": 1, "nodes": 1},
    {"type": "node", "name": "pve1", "ip": "192.0.2.11", "online": 1},
]


def test_what_is_no_row_is_dropped() -> None:
    assert rows([{"a": 1}, None, "b"]) == [{"a": 1}]
    assert rows(None) == rows({"a": 1}) == []


def test_empty_text_is_none() -> None:
    row: dict[str, Json] = {"a": "", "b": None, "c": 7}
    assert [text(row, name) for name in "abcd"] == [None, None, "7", None]


@pytest.mark.parametrize(
    ("value", "expected"), [(2, 2), ("2.5", 2.5), (None, 0), ("", 0), ("x", 0), ([], 0)]
)
def test_numbers_come_as_numbers_or_text_and_else_are_nothing(value: Json, expected: float) -> None:
    assert number({"n": value}, "n") == expected
    assert whole({"n": value}, "n") == int(expected)


def test_a_vm_row_is_read_by_type() -> None:
    row: dict[str, Json] = {
        "type": "qemu",
        "vmid": 101,
        "node": "pve1",
        "status": "running",
        "name": "web-1",
        "template": 0,
        "lock": "backup",
        "tags": "a;b, c;",
        "pool": "customers",
        "hastate": "started",
        "uptime": 7,
        "maxcpu": 2,
        "maxmem": "1024",
        "maxdisk": 4096,
        "mem": 5,
        "netin": 6,
        "netout": 8,
    }
    assert vm_row(row) == VMRow(
        101,
        "pve1",
        "running",
        "web-1",
        False,
        "backup",
        ("a", "b", "c"),
        "customers",
        "started",
        7,
        2,
        1024,
        4096,
        5,
        6,
        8,
    )


def test_a_vm_younger_than_the_last_broadcast_has_little_more_than_its_ids() -> None:
    assert vm_row({"vmid": 101, "node": "pve1"}) == VMRow(101, "pve1")


def test_ha_resources_are_known_by_their_vmid_and_old_words() -> None:
    answer: Json = [
        {"sid": "vm:101", "type": "vm", "state": "enabled", "group": "near", "max_restart": "0"},
        {"sid": "vm:102", "max_relocate": 3},
        {"sid": "ct:103", "state": "stopped"},
        {"sid": "vm:odd"},
        {},
    ]
    assert ha_resources(answer) == {
        101: HAResource(101, "started", "near", 0, 1),
        102: HAResource(102, "started", None, 1, 3),
    }


def test_a_view_puts_the_constant_reads_together() -> None:
    resources: Json = [
        {"type": "node", "node": "pve1", "status": "online", "maxcpu": 4, "mem": 1, "maxmem": 2},
        {"type": "node", "node": "pve2", "status": "offline", "hastate": "maintenance"},
        {"type": "qemu", "vmid": 101, "node": "pve1"},
        {"type": "lxc", "vmid": 102, "node": "pve1"},
        {
            "type": "storage",
            "storage": "ceph",
            "node": "pve1",
            "plugintype": "rbd",
            "shared": 1,
            "content": "images,rootdir",
            "disk": 3,
            "maxdisk": 9,
            "status": "available",
        },
        {"type": "storage", "storage": "old", "node": "pve1", "status": "unknown"},
    ]
    tasks: Json = [
        {
            "upid": "U1",
            "node": "pve1",
            "type": "qmstart",
            "id": "101",
            "user": "root@pam",
            "starttime": 5,
        },
        {"upid": "U2", "endtime": "9", "status": "OK"},
    ]
    view = cluster_view("demo", AT, resources, QUORATE, tasks, True)
    assert view.problem is None
    assert (view.name, view.at, view.firewall_enabled) == ("demo", AT, True)
    assert view.nodes == {
        "pve1": NodeRow("pve1", True, 4, 1, 2, None, "192.0.2.11"),
        "pve2": NodeRow("pve2", False, hastate="maintenance"),
    }
    assert view.vms == {101: VMRow(101, "pve1")}
    assert view.storages == (
        StorageRow("ceph", "pve1", "rbd", True, frozenset({"images", "rootdir"}), 3, 9, True),
        StorageRow("old", "pve1", available=False),
    )
    assert view.tasks == (
        TaskRow("U1", "pve1", "qmstart", "101", "root@pam", 5),
        TaskRow("U2", "", "", "", "", 0, 9, "OK"),
    )
    assert [one.running for one in view.tasks] == [True, False]


def test_no_quorum_means_read_only() -> None:
    lost: Json = [{"type": "cluster", "quorate": 0}]
    view = cluster_view("demo", AT, [], lost, [], None)
    assert view.problem is not None
    assert "no quorum" in view.problem


def test_a_single_node_without_a_cluster_needs_no_quorum() -> None:
    assert quorum_problem([{"type": "node", "name": "pve1"}]) is None
