"""Reads of nodes: the list, version, status, time, bridges and traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, all_users, allowed, perm
from reconciler.sim.cluster import traffic
from reconciler.sim.cluster.inventory import GIB, Bridge, Node
from reconciler.sim.cluster.networks import networks, vnets_on, zone_of
from reconciler.sim.errors import bad_parameters
from reconciler.sim.parameters.schema import Text
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

REPOSITORY = "2a5fa54a8503f96d"
KERNEL = "6.8.12-9-pve"
KERNEL_BUILD = "#1 SMP PREEMPT_DYNAMIC PMX 6.8.12-9 (2025-03-16T19:18Z)"
CPU_FLAGS = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat sse sse2 ht aes avx"
AUDIT = perm("/nodes/{node}", "Sys.Audit")
WITH_VNETS = ("any_bridge", "include_sdn", "vnet")
BRIDGE_TYPES = ("bridge", "OVSBridge", "any_bridge", "any_local_bridge", "include_sdn")
INTERFACE_TYPES = (
    "bridge",
    "bond",
    "eth",
    "alias",
    "vlan",
    "fabric",
    "OVSBridge",
    "OVSBond",
    "OVSPort",
    "OVSIntPort",
    "vnet",
    "any_bridge",
    "any_local_bridge",
    "include_sdn",
)


def release(version: str) -> dict[str, str]:
    """What GET /version answers for a version such as 8.4.1."""
    return {"release": version.rpartition(".")[0], "version": version, "repoid": REPOSITORY}


def memory_used(world: World, node: Node) -> int:
    """Bytes: the host's own share and half of what its running VMs may use."""
    running = [one for one in world.vms.values() if one.node == node.name and one.running]
    sizes = [int(world.seen.get(one.vmid, {}).get("maxmem", 0)) for one in running]
    return min(node.memory, 3 * GIB // 2 + sum(sizes) // 2)


def row(world: World, node: Node, audit: bool = True) -> dict[str, Any]:
    """A node as /nodes and /cluster/resources list it; numbers only with Sys.Audit."""
    entry: dict[str, Any] = {
        "id": f"node/{node.name}",
        "node": node.name,
        "type": "node",
        "status": "online" if node.online else "offline",
    }
    if node.online:
        entry["level"] = ""
    if audit and node.online:
        entry |= {
            "cpu": 0.005,
            "maxcpu": node.cpus,
            "mem": memory_used(world, node),
            "maxmem": node.memory,
            "disk": 8 * GIB,
            "maxdisk": node.root_size,
            "uptime": max(0, int(world.now - node.started_at)),
        }
    return entry


def sees_node(world: World, identity: Identity, node: str) -> bool:
    return allowed(world, identity, f"/nodes/{node}", ["Sys.Audit"])


@route("GET", "/version", permission=all_users)
def get_version(world: World, request: Request) -> Json:
    return release(world.nodes[request.via].version)


@route("GET", "/nodes", permission=all_users)
def list_nodes(world: World, request: Request) -> Json:
    return [
        row(world, node, sees_node(world, request.identity, node.name))
        | {"ssl_fingerprint": node.fingerprint}
        for node in world.nodes.values()
    ]


@route("GET", "/nodes/{node}/version", permission=all_users)
def get_node_version(world: World, request: Request) -> Json:
    return release(world.nodes[request.node].version)


@route("GET", "/nodes/{node}/status", permission=AUDIT)
def get_status(world: World, request: Request) -> Json:
    node = world.nodes[request.node]
    used, disk = memory_used(world, node), 8 * GIB
    return {
        "boot-info": {"mode": "efi", "secureboot": 0},
        "cpu": 0.005,
        "cpuinfo": {
            "cores": node.cpus,
            "cpus": node.cpus,
            "flags": CPU_FLAGS,
            "hvm": "1",
            "mhz": "2596.120",
            "model": "AMD EPYC",
            "sockets": 1,
            "user_hz": 100,
        },
        "current-kernel": {
            "machine": "x86_64",
            "release": KERNEL,
            "sysname": "Linux",
            "version": KERNEL_BUILD,
        },
        "idle": 0,
        "ksm": {"shared": 0},
        "kversion": f"Linux {KERNEL} {KERNEL_BUILD}",
        "loadavg": ["0.03", "0.13", "0.21"],
        "memory": {"total": node.memory, "used": used, "free": node.memory - used},
        "pveversion": f"pve-manager/{node.version}/{REPOSITORY}",
        "rootfs": {
            "total": node.root_size,
            "used": disk,
            "free": node.root_size - disk,
            "avail": node.root_size - disk,
        },
        "swap": {"total": 0, "used": 0, "free": 0},
        "uptime": max(0, int(world.now - node.started_at)),
        "wait": 0,
    }


@route("GET", "/nodes/{node}/dns", permission=AUDIT)
def get_dns(world: World, request: Request) -> Json:
    node = world.nodes[request.node]
    return {"search": node.search, "dns1": node.nameserver}


@route("GET", "/nodes/{node}/time", permission=AUDIT)
def get_time(world: World, request: Request) -> Json:
    now = world.stamp
    return {"time": now, "localtime": now, "timezone": "UTC"}


def interface(bridge: Bridge, priority: int) -> dict[str, Any]:
    """One row of the network list, as ifupdown's parser gives it."""
    entry: dict[str, Any] = {
        "iface": bridge.name,
        "type": bridge.kind,
        "active": 1,
        "autostart": 1,
        "families": ["inet"],
        "method": "static" if bridge.cidr else "manual",
        "method6": "manual",
        "priority": priority,
    }
    if bridge.kind == "bridge":
        entry |= {"bridge_ports": bridge.ports, "bridge_stp": "off", "bridge_fd": "0"}
        if bridge.vlan_aware:
            entry |= {"bridge_vlan_aware": 1, "bridge_vids": "2-4094"}
    if bridge.cidr:
        address, _, netmask = bridge.cidr.partition("/")
        entry |= {"cidr": bridge.cidr, "address": address, "netmask": netmask}
    if bridge.gateway:
        entry["gateway"] = bridge.gateway
    return entry


@route(
    "GET",
    "/nodes/{node}/network",
    fields={"type": Text(optional=True, enum=INTERFACE_TYPES)},
    permission=all_users,
)
def list_interfaces(world: World, request: Request) -> Json:
    """Bridges are filtered by the right to use them; others need Sys.Audit on the node."""
    wanted = request.params.get("type")
    found = []
    for priority, bridge in enumerate(world.nodes[request.node].bridges, 3):
        fits = bridge.kind == wanted or (bridge.kind == "bridge" and wanted in BRIDGE_TYPES)
        if wanted is not None and not fits:
            continue
        path = f"/sdn/zones/localnetwork/{bridge.name}"
        usable = allowed(world, request.identity, path, ["SDN.Audit", "SDN.Use"], any=True)
        if usable or sees_node(world, request.identity, request.node):
            found.append(interface(bridge, priority))
    return found + (vnet_rows(world, request) if wanted in WITH_VNETS else [])


def vnet_rows(world: World, request: Request) -> list[dict[str, Any]]:
    """The node's vnets that the caller may see."""
    rows = []
    for name in vnets_on(world, request.node):
        path = f"/sdn/zones/{zone_of(world, name)}/{name}"
        if allowed(world, request.identity, path, ["SDN.Audit", "SDN.Use"], any=True):
            vnet = networks(world).running.vnets[name]
            row: dict[str, Any] = {"iface": name, "type": "vnet", "active": 1}
            rows.append(row | ({"comments": vnet["alias"]} if "alias" in vnet else {}))
    return rows


@route("GET", "/nodes/{node}/network/{iface}", permission=AUDIT)
def get_interface(world: World, request: Request) -> Json:
    bridges = {one.name: one for one in world.nodes[request.node].bridges}
    bridge = bridges.get(str(request.params["iface"]))
    if bridge is None:
        raise bad_parameters({"iface": "interface does not exist"})
    return interface(bridge, 3)


@route("GET", "/nodes/{node}/netstat", permission=AUDIT)
def list_traffic(world: World, request: Request) -> Json:
    """The counters of every tap device of the node's running VMs, from the guests' view."""
    found = []
    for vmid in sorted(world.vms):
        machine = world.vms.at_rest(vmid)
        if machine is None or machine.node != request.node or not machine.running:
            continue
        moved = traffic.nic_bytes(world.seed, vmid, traffic.taps(machine), world.now)
        for device, (got, sent) in moved.items():
            found.append({"vmid": str(vmid), "dev": device, "in": str(got), "out": str(sent)})
    return found
