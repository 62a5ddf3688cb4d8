"""Typed rows of `/cluster/resources`, `/cluster/status` and `/cluster/tasks`."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import cast

from state.api import Api, Json
from state.observed import ClusterView, HAResource, NodeRow, StorageRow, TaskRow, VMRow

Row = Mapping[str, Json]


def rows(answer: Json) -> list[Row]:
    """Return the rows of a list answer; anything that is not a row is dropped."""
    return [row for row in answer if isinstance(row, dict)] if isinstance(answer, list) else []


def text(row: Row, name: str) -> str | None:
    """Return a field as text; None when it is absent or empty."""
    value = row.get(name)
    return str(value) if value is not None and value != "" else None


def number(row: Row, name: str) -> float:
    """Return a field as a number, whether Proxmox sent a number or a numeric string; else 0."""
    value = row.get(name)
    try:
        return float(cast("str | float", value)) if value is not None else 0
    except (TypeError, ValueError):
        return 0


def whole(row: Row, name: str) -> int:
    return int(number(row, name))


def vm_row(row: Row) -> VMRow:
    """Read a `qemu` row; a VM younger than the last broadcast has little more than its ids."""
    tags = (text(row, "tags") or "").replace(",", ";").split(";")
    return VMRow(
        vmid=whole(row, "vmid"),
        node=text(row, "node") or "",
        status=text(row, "status") or "unknown",
        name=text(row, "name"),
        template=bool(whole(row, "template")),
        lock=text(row, "lock"),
        tags=tuple(tag.strip() for tag in tags if tag.strip()),
        pool=text(row, "pool"),
        hastate=text(row, "hastate"),
        uptime=whole(row, "uptime"),
        maxcpu=number(row, "maxcpu"),
        maxmem=whole(row, "maxmem"),
        maxdisk=whole(row, "maxdisk"),
        mem=whole(row, "mem"),
        netin=whole(row, "netin"),
        netout=whole(row, "netout"),
    )


def node_row(row: Row, ip: str | None) -> NodeRow:
    return NodeRow(
        node=text(row, "node") or "",
        online=row.get("status") == "online",
        maxcpu=number(row, "maxcpu"),
        mem=whole(row, "mem"),
        maxmem=whole(row, "maxmem"),
        hastate=text(row, "hastate"),
        ip=ip,
    )


def storage_row(row: Row) -> StorageRow:
    return StorageRow(
        storage=text(row, "storage") or "",
        node=text(row, "node") or "",
        kind=text(row, "plugintype") or "",
        shared=bool(whole(row, "shared")),
        content=frozenset((text(row, "content") or "").split(",")) - {""},
        used=whole(row, "disk"),
        total=whole(row, "maxdisk"),
        available=row.get("status") == "available",
    )


def task_row(row: Row) -> TaskRow:
    endtime = text(row, "endtime")
    return TaskRow(
        upid=text(row, "upid") or "",
        node=text(row, "node") or "",
        kind=text(row, "type") or "",
        id=text(row, "id") or "",
        user=text(row, "user") or "",
        starttime=whole(row, "starttime"),
        endtime=int(float(endtime)) if endtime else None,
        status=text(row, "status"),
    )


def ha_resources(answer: Json) -> dict[int, HAResource]:
    """Return the VMs of `/cluster/ha/resources` by vmid; `enabled` is an old word for `started`."""
    found = {}
    for row in rows(answer):
        kind, _, vmid = (text(row, "sid") or "").partition(":")
        state = text(row, "state") or "started"
        state = "started" if state == "enabled" else state
        if kind == "vm" and vmid.isdigit():
            most = [int(float(text(row, name) or 1)) for name in ("max_restart", "max_relocate")]
            found[int(vmid)] = HAResource(int(vmid), state, text(row, "group"), *most)
    return found


def quorum_problem(status: Iterable[Row]) -> str | None:
    """Say why the cluster must not be written to; a single node without a cluster row is fine."""
    for row in status:
        if row.get("type") == "cluster" and not whole(row, "quorate"):
            return "no quorum: nothing is written until it is back"
    return None


def resources_view(api: Api, name: str, at: datetime) -> ClusterView:
    """`GET /cluster/resources` alone: no quorum and no tasks are in it. Raises ApiError."""
    return cluster_view(name, at, api.get("/cluster/resources"), [], [], None)


def cluster_view(
    name: str, at: datetime, resources: Json, status: Json, tasks: Json, firewall: bool | None
) -> ClusterView:
    """Put the constant reads of one cluster together."""
    status_rows, resource_rows = rows(status), rows(resources)
    ips = {text(row, "name"): text(row, "ip") for row in status_rows if row.get("type") == "node"}
    kinds: dict[Json, list[Row]] = {}
    for row in resource_rows:
        kinds.setdefault(row.get("type"), []).append(row)
    problem = quorum_problem(status_rows)
    nodes = [node_row(row, ips.get(text(row, "node"))) for row in kinds.get("node", [])]
    vms = [vm_row(row) for row in kinds.get("qemu", [])]
    return ClusterView(
        name=name,
        at=at,
        nodes={node.node: node for node in nodes},
        vms={vm.vmid: vm for vm in vms},
        storages=tuple(storage_row(row) for row in kinds.get("storage", [])),
        tasks=tuple(task_row(row) for row in rows(tasks)),
        firewall_enabled=firewall,
        problem=problem and f"cluster {name}: {problem}",
    )
