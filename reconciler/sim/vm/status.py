"""Run state of VMs: GET /nodes/N/qemu, .../status, .../status/current and .../feature.

Source: qemu-server PVE/QemuServer.pm (vmstatus).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import all_users, allowed, perm
from reconciler.sim.cluster import traffic
from reconciler.sim.cluster.broadcast import boot_disk_size
from reconciler.sim.errors import failed
from reconciler.sim.ha.status import ha_of
from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import drives_of
from reconciler.sim.parameters.machines import VGA
from reconciler.sim.parameters.schema import Boolean, Text, parse_properties
from reconciler.sim.routes import Request, route
from reconciler.sim.vm.config import AUDIT, SNAPSHOT_NAME, VM
from reconciler.sim.vm.locks import assert_exists, load
from reconciler.sim.vm.machine import Machine
from reconciler.sim.vm.power import STATUS, VERBS, agent_enabled
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

MIB = 1 << 20
COUNTERS = ("cpu", "disk", "diskread", "diskwrite", "mem", "netin", "netout", "uptime")
BLOCK_COUNTERS = tuple(
    f"{what}_{unit}"
    for what in ("flush", "rd", "unmap", "wr")
    for unit in ("bytes", "merged", "operations", "total_time_ns")
    if (what, unit) not in (("flush", "bytes"), ("flush", "merged"))
)
BLOCK_FAULTS = tuple(
    f"{how}_{what}_operations"
    for how in ("failed", "invalid")
    for what in ("flush", "rd", "unmap", "wr")
)
SUPPORT = {
    "backup-max-workers": True,
    "pbs-dirty-bitmap": True,
    "pbs-dirty-bitmap-migration": True,
    "pbs-dirty-bitmap-savevm": True,
    "pbs-library-version": "0-stub",
    "pbs-masterkey": True,
    "query-bitmap-info": True,
}


def brief(world: World, machine: Machine) -> dict[str, Any]:
    """A row of GET /nodes/N/qemu."""
    config = machine.config
    memory = options.memory_of(config.get("memory")) * MIB
    row: dict[str, Any] = {
        **dict.fromkeys(COUNTERS, 0),
        "vmid": machine.vmid,
        "name": machine.name,
        "status": "running" if machine.running else "stopped",
        "cpus": cpu_count(world, machine),
        "maxmem": memory,
        "maxdisk": boot_disk_size(config),
    }
    if any(key.startswith("serial") for key in config):
        row["serial"] = 1
    if "vga" in config:
        parts = parse_properties(VGA, str(config["vga"]), "vga")
        row["clipboard"] = parts.get("clipboard")
    if config.get("balloon"):
        row["balloon_min"] = int(config["balloon"]) * MIB
        row["shares"] = machine.number("shares", 1000)
    if machine.template:
        row["template"] = 1
    for key in ("lock", "tags"):
        if key in config:
            row[key] = config[key]
    if machine.running:
        row["pid"] = machine.pid
        row["uptime"] = max(0, int(world.now - machine.started_at))
        row["mem"] = memory // 8
    return row


def cpu_count(world: World, machine: Machine) -> int:
    """`vcpus`, else sockets times cores but no more than the node has."""
    if "vcpus" in machine.config:
        return int(machine.config["vcpus"])
    count = machine.number("sockets", 1) * machine.number("cores", 1)
    return min(count, max(world.nodes[machine.node].cpus, 1))


def full(world: World, machine: Machine) -> dict[str, Any]:
    """The same with what QMP tells about a running VM."""
    row = brief(world, machine)
    row["qmpstatus"] = machine.status
    if not machine.running:
        return row
    row["running-machine"] = "pc-i440fx-7.2+pve0"
    row["running-qemu"] = "7.2.0"
    row["proxmox-support"] = dict(SUPPORT)
    seed, vmid = world.seed, machine.vmid
    since = traffic.taps(machine)
    row |= traffic.counters(seed, vmid, machine.started_at, since, world.now)
    row["cpu"] = traffic.cpu_share(seed, vmid, world.now)
    row["nics"] = {
        f"tap{vmid}i{key[3:]}": {"netin": pair[0], "netout": pair[1]}
        for key, pair in traffic.nic_bytes(seed, vmid, since, world.now).items()
    }
    row["blockstat"] = {drive.key: block_row() for drive in drives_of(machine.config)}
    if not row["nics"]:
        del row["nics"]
    if not row["blockstat"]:
        del row["blockstat"]
    if machine.config.get("balloon") != 0:
        row["balloon"] = row["maxmem"]
        row["ballooninfo"] = {"actual": row["maxmem"], "max_mem": row["maxmem"]}
        if agent_enabled(machine) and world.now >= machine.agent_ready_at:
            row["freemem"] = row["ballooninfo"]["free_mem"] = row["maxmem"] - row["mem"]
    return row


def block_row() -> dict[str, Any]:
    """Counters of one drive; nothing in the cluster reads or writes."""
    flags = {"account_failed": True, "account_invalid": True, "timed_stats": []}
    return {
        **flags,
        **dict.fromkeys((*BLOCK_COUNTERS, *BLOCK_FAULTS), 0),
        "wr_highest_offset": 0,
    }


@route(
    "GET",
    "/nodes/{node}/qemu",
    fields={"full": Boolean(optional=True)},
    permission=all_users,
    protected=True,
)
def vm_list(world: World, request: Request) -> list[dict[str, Any]]:
    """The node's VMs that the caller may see."""
    make = full if request.params.get("full") else brief
    return [
        make(world, machine)
        for vmid, machine in sorted(world.vms.items())
        if machine.node == request.node
        and allowed(world, request.identity, f"/vms/{vmid}", ["VM.Audit"])
    ]


@route("GET", STATUS, permission=all_users)
def verbs(world: World, request: Request) -> list[dict[str, str]]:
    load(world, request.node, request.vmid)
    return [{"subdir": name} for name in VERBS]


@route("GET", f"{STATUS}/current", permission=AUDIT, protected=True)
def current(world: World, request: Request) -> dict[str, Any]:
    machine = load(world, request.node, request.vmid)
    row = full(world, machine)
    row["ha"] = ha_of(world, machine.vmid)
    if str(machine.config.get("vga", "")).removeprefix("type=").startswith(("qxl", "virtio")):
        row["spice"] = 1
    if agent_enabled(machine):
        row["agent"] = 1
    return row


@route(
    "GET",
    f"{VM}/feature",
    fields={"feature": Text(enum=("snapshot", "clone", "copy")), "snapname": SNAPSHOT_NAME},
    permission=perm("/vms/{vmid}", "VM.Audit"),
    protected=True,
)
def feature(world: World, request: Request) -> dict[str, Any]:
    """Whether the storages of all disks can do it, and which nodes reach them."""
    machine = assert_exists(world, request.node, request.vmid)
    name = request.params.get("snapname")
    if name is not None and name not in machine.snapshots:
        raise failed(f"snapshot '{name}' does not exist\n")
    config = machine.config if name is None else machine.snapshots[name]
    wanted = str(request.params["feature"])
    nodes = sorted(world.nodes)
    able = 1
    for drive in drives_of(config):
        if drive.file in ("none", "cdrom") or (drive.is_cdrom and not drive.is_cloudinit):
            continue
        store, _name = storage.read_volid(world, drive.file)
        nodes = [
            node for node in nodes if store.on(node) and (store.shared or node == machine.node)
        ]
        if not drive.is_cloudinit and not storage.has_feature(world, drive.file, wanted, name):
            able = 0
    return {"hasFeature": able, "nodes": nodes}
