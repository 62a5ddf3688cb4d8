"""GET /cluster/metrics/export: the latest values of everything, and half an hour of history.

Sources: pve-manager PVE/API2/Cluster/MetricServer.pm, PVE/PullMetric.pm; pve-api.md section 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import perm
from reconciler.sim.cluster import traffic
from reconciler.sim.cluster.broadcast import PERIOD, boot_disk_size, memory_bytes
from reconciler.sim.cluster.history import cores
from reconciler.sim.cluster.inventory import Node
from reconciler.sim.cluster.nodes import memory_used
from reconciler.sim.errors import failed, unknown_method
from reconciler.sim.parameters.formats import node_name
from reconciler.sim.parameters.schema import Boolean, Integer, Text, split_list
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.volumes import storages

if TYPE_CHECKING:
    from reconciler.sim.world import World

KEPT = 1800.0
SINCE = (8, 3)
"""The first version that has the call."""

GAUGE, DERIVE = "gauge", "derive"
Reading = tuple[str, float, str]


@route(
    "GET",
    "/cluster/metrics/export",
    fields={
        "history": Boolean(optional=True),
        "local-only": Boolean(optional=True),
        "node-list": Text(optional=True, list_of=node_name),
        "start-time": Integer(optional=True),
    },
    permission=perm("/", "Sys.Audit"),
)
def export(world: World, request: Request) -> Json:
    params = request.params
    major, minor = (int(one) for one in world.nodes[request.via].version.split(".")[:2])
    if (major, minor) < SINCE:
        raise unknown_method(request.method, request.raw_path)
    names = list(world.nodes)
    if params.get("local-only"):
        names = [request.via]
    elif "node-list" in params:
        names = split_list(str(params["node-list"]))
    for name in names:
        if name not in world.nodes:
            raise failed(f"hostname lookup '{name}' failed\n")
    rows: list[dict[str, Any]] = []
    for at in instants(world, bool(params.get("history")), params.get("start-time") or 0):
        for name in names:
            if world.nodes[name].online:
                rows += node_rows(world, world.nodes[name], at)
    return {"data": rows}


def instants(world: World, history: bool, start: int) -> list[float]:
    """When there was something to read: the last broadcast, or all since `start`."""
    period = PERIOD / world.speed
    last = world.booted + (world.now - world.booted) // period * period
    if not history:
        return [last] if last > start else []
    first = max(last - KEPT, float(start), world.booted)
    count = int((last - first) // period)
    return [last - period * back for back in range(count, -1, -1) if last - period * back > start]


def node_rows(world: World, node: Node, at: float) -> Iterator[dict[str, Any]]:
    """Everything that one node tells of an instant."""
    found: list[tuple[str, Reading]] = [
        (f"node/{node.name}", reading) for reading in node_readings(world, node, at)
    ]
    for storage in world.storages.values():
        if storage.on(node.name) and not storage.disabled:
            used = storages.used(world, storage, node.name)
            name = f"storage/{node.name}/{storage.name}"
            found.append((name, ("disk_total", storage.size, GAUGE)))
            found.append((name, ("disk_used", used, GAUGE)))
            found.append((name, ("disk_available", storage.size - used, GAUGE)))
    for vmid in sorted(world.vms):
        machine = world.vms.at_rest(vmid)
        if machine is not None and machine.node == node.name:
            found += [(f"qemu/{vmid}", one) for one in vm_readings(world, vmid, at)]
    for name, (metric, value, kind) in found:
        yield {"id": name, "metric": metric, "timestamp": int(at), "type": kind, "value": value}


def node_readings(world: World, node: Node, at: float) -> list[Reading]:
    return [
        ("uptime", int(at - node.started_at), GAUGE),
        ("cpu_current", 0.005, GAUGE),
        ("cpu_max", node.cpus, GAUGE),
        ("mem_total", node.memory, GAUGE),
        ("mem_used", memory_used(world, node), GAUGE),
        ("disk_total", node.root_size, GAUGE),
    ]


def vm_readings(world: World, vmid: int, at: float) -> list[Reading]:
    """Ten readings of a VM; what it moved counts from its process's start."""
    machine = world.vms.at_rest(vmid)
    if machine is None:
        return []
    config = machine.config
    on = machine.running and at >= machine.started_at
    moved = dict.fromkeys(("netin", "netout", "diskread", "diskwrite"), 0)
    if on:
        since = traffic.taps(machine)
        moved = traffic.counters(world.seed, vmid, machine.started_at, since, at)
    maxmem = memory_bytes(config)
    return [
        ("uptime", int(at - machine.started_at) if on else 0, GAUGE),
        ("cpu_current", traffic.cpu_share(world.seed, vmid, at) if on else 0, GAUGE),
        ("cpu_max", cores(config), GAUGE),
        ("mem_used", maxmem * 2 // 5 if on else 0, GAUGE),
        ("mem_total", maxmem, GAUGE),
        ("disk_total", boot_disk_size(config), GAUGE),
        ("net_in", moved["netin"], DERIVE),
        ("net_out", moved["netout"], DERIVE),
        ("disk_read", moved["diskread"], DERIVE),
        ("disk_write", moved["diskwrite"], DERIVE),
    ]
