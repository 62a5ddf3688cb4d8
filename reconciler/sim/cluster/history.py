"""Round-robin databases: what VMs, nodes and storages did in the last hour to year.

Nothing is recorded: the traffic model knows what every bucket holds. A bucket that lies mostly
before a counter's second sample is a hole, as DERIVE leaves one at each reset.
Sources: pve-cluster PVE/RRD.pm, pmxcfs status.c; pve-api.md section 11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import perm
from reconciler.sim.cluster import traffic
from reconciler.sim.cluster.broadcast import boot_disk_size, memory_bytes
from reconciler.sim.cluster.nodes import memory_used
from reconciler.sim.parameters.schema import Field, Text
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.volumes import storages

if TYPE_CHECKING:
    from reconciler.sim.vm.machine import Machine
    from reconciler.sim.world import World

ROWS = 70
STEPS = {"hour": 60, "day": 1800, "week": 10800, "month": 43200, "year": 604800}
"""Seconds of a bucket by time frame in 7 and 8, 70 rows each."""

STEPS_9 = {
    "hour": (60, 60),
    "day": (60, 1440),
    "week": (1800, 336),
    "month": (1800, 1440),
    "year": (21600, 1460),
}
"""The same from 9.0 on, with the number of rows."""

SAMPLE = 10.0
GIB = 1024**3
FRAMES = tuple(STEPS)
FIELDS: dict[str, Field] = {
    "cf": Text(optional=True, enum=("AVERAGE", "MAX")),
    "timeframe": Text(enum=FRAMES),
}


def buckets(world: World, frame: str) -> list[tuple[int, int]]:
    """(start, end) of each bucket in epoch seconds, the oldest first."""
    step, count = STEPS_9[frame] if world.major >= 9 else (STEPS[frame], ROWS)
    last = int(world.now) // step * step
    first = last - (count - 1) * step
    return [(start, start + step) for start in range(first, last + 1, step)]


def vm_bucket(
    world: World, machine: Machine, start: int, end: int, highest: bool
) -> dict[str, Any]:
    """One row of a VM; keys without a value are absent."""
    row: dict[str, Any] = {"time": start}
    until = min(float(end), world.now)
    if until <= max(start, machine.made_at):
        return row
    config = machine.config
    maxmem, maxcpu = memory_bytes(config), cores(config)
    row |= {"maxcpu": maxcpu, "maxmem": maxmem, "maxdisk": boot_disk_size(config), "disk": 0}
    spans = [
        (first + SAMPLE / world.speed, last)
        for first, last in traffic.running_spans(machine, world.now)
    ]
    parts = traffic.overlap(spans, start, until)
    seconds = sum(last - first for first, last in parts)
    if seconds * 2 < until - start:
        return row
    row["cpu"] = traffic.cpu_share(world.seed, machine.vmid, start)
    row["mem"] = maxmem * 2 // 5
    for key, device, way in vm_flows(machine):
        one = traffic.flow(world.seed, machine.vmid, device, way)
        value = sum(one.total(first, last) for first, last in parts) / seconds
        if highest and end - start > 60:
            value = max(value, one.rate(start), one.rate(until))
        row[key] = row.get(key, 0.0) + value
    if world.major >= 9:
        row["memhost"] = row["mem"] + 64 * 1024**2
    return row


def vm_flows(machine: Machine) -> list[tuple[str, str, str]]:
    """(key of the row, device, way) of everything that a VM moves."""
    nics = traffic.nics_of(machine.config)
    return [
        *(("netin", nic, "in") for nic in nics),
        *(("netout", nic, "out") for nic in nics),
        ("diskread", "disk", "read"),
        ("diskwrite", "disk", "write"),
    ]


def cores(config: dict[str, Any]) -> int:
    return int(config.get("sockets", 1)) * int(config.get("cores", 1))


@route(
    "GET",
    "/nodes/{node}/qemu/{vmid}/rrddata",
    fields=FIELDS,
    permission=perm("/vms/{vmid}", "VM.Audit"),
    proxy_node=False,
    protected=True,
)
def vm_history(world: World, request: Request) -> Json:
    """Any node holds the data; bytes are averages a second over each bucket."""
    machine = world.vms.at_rest(request.vmid)
    if machine is None:
        return []
    highest = request.params.get("cf") == "MAX"
    frame = str(request.params["timeframe"])
    return [vm_bucket(world, machine, start, end, highest) for start, end in buckets(world, frame)]


@route(
    "GET",
    "/nodes/{node}/rrddata",
    fields=FIELDS | {"timeframe": Text(enum=(*FRAMES, "decade"))},
    permission=perm("/nodes/{node}", "Sys.Audit"),
    proxy_node=False,
    protected=True,
)
def node_history(world: World, request: Request) -> Json:
    node = world.nodes.get(request.node)
    if node is None:
        return []
    frame = str(request.params["timeframe"]).replace("decade", "year")
    used = memory_used(world, node)
    rows = []
    for start, end in buckets(world, frame):
        row: dict[str, Any] = {"time": start}
        if end > node.started_at and start < world.now:
            row |= {
                "cpu": 0.005,
                "iowait": 0.0,
                "loadavg": 0.1,
                "maxcpu": node.cpus,
                "memtotal": node.memory,
                "memused": used,
                "netin": 2000.0,
                "netout": 2000.0,
                "rootused": 8 * GIB,
                "roottotal": node.root_size,
                "swapused": 0,
                "swaptotal": 0,
            }
        rows.append(row)
    return rows


@route(
    "GET",
    "/nodes/{node}/storage/{storage}/rrddata",
    fields=FIELDS,
    permission=perm("/storage/{storage}", "Datastore.Audit", "Datastore.AllocateSpace", any=True),
    protected=True,
)
def storage_history(world: World, request: Request) -> Json:
    storage = world.storages.get(str(request.params["storage"]))
    if storage is None:
        return []
    used = storages.used(world, storage, request.node)
    return [
        {"time": start, "used": used, "total": storage.size}
        for start, _end in buckets(world, str(request.params["timeframe"]))
    ]
