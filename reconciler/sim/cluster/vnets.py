"""/cluster/sdn/vnets and their subnets.

Sources: pve-network PVE/API2/Network/SDN/{Vnets,Subnets}.pm.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import all_users, allowed, perm
from reconciler.sim.cluster.networks import networks
from reconciler.sim.cluster.zones import (
    AUDIT,
    CHANGE,
    LOOK,
    SDN,
    SUBNET,
    VNET,
    VNET_NAME,
    alter,
    given,
    need_vnet,
    rows,
    subnet_cidr,
)
from reconciler.sim.errors import failed
from reconciler.sim.parameters.schema import Text
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

VNETS = f"{SDN}/vnets"
ONE = f"{VNETS}/{{vnet}}"
SUBNETS = f"{ONE}/subnets"
TAGGED = ("vlan", "qinq", "vxlan", "evpn")


@route("GET", VNETS, fields=LOOK, permission=all_users)
def list_vnets(world: World, request: Request) -> Json:
    held, found = networks(world), []
    for row in rows(held, "vnets", "vnet", request):
        zone = row.get("zone", row.get("pending", {}).get("zone"))
        path = f"/sdn/zones/{zone}/{row['vnet']}"
        if allowed(world, request.identity, path, AUDIT, any=True):
            found.append(row)
    return found


@route("GET", ONE, fields={**LOOK, "vnet": VNET_NAME}, permission=all_users)
def get_vnet(world: World, request: Request) -> Json:
    name = str(request.params["vnet"])
    need_vnet(world, request.identity, name, *AUDIT)
    found = rows(networks(world), "vnets", "vnet", request)
    return next((row for row in found if row["vnet"] == name), None)


@route(
    "POST",
    VNETS,
    fields={
        "vnet": VNET_NAME,
        "zone": Text(),
        "type": Text(optional=True, enum=("vnet",)),
        **VNET,
    },
    permission=perm("/sdn/zones/{zone}", "SDN.Allocate"),
    protected=True,
)
def create_vnet(world: World, request: Request) -> None:
    held, name = networks(world), str(request.params["vnet"])
    wanted = {"type": "vnet", **given(request, "vnet")}
    head = "create sdn vnet object failed: "
    if name in held.written.vnets:
        raise failed(f"{head}sdn vnet object ID '{name}' already defined\n")
    zone = held.written.zones.get(str(wanted["zone"]))
    if zone is None:
        raise failed(f"{head}zone '{wanted['zone']}' does not exist\n")
    if zone["type"] in TAGGED and "tag" not in wanted:
        raise failed(f"{head}missing vlan tag\n")
    taken = [
        key
        for key, one in held.written.vnets.items()
        if "tag" in wanted and (one["zone"], one.get("tag")) == (wanted["zone"], wanted["tag"])
    ]
    if taken:
        where = f"in vnet {taken[0]} in zone {wanted['zone']}"
        raise failed(f"{head}tag {wanted['tag']} already exist {where}\n")
    held.written.vnets[name] = wanted


@route(
    "PUT",
    ONE,
    fields={"vnet": VNET_NAME, "zone": Text(optional=True), **VNET, **CHANGE},
    permission=all_users,
    protected=True,
)
def change_vnet(world: World, request: Request) -> None:
    name = str(request.params["vnet"])
    need_vnet(world, request.identity, name, "SDN.Allocate")
    alter(networks(world).written.vnets, name, request, "vnet", "vnet")


@route("DELETE", ONE, fields={"vnet": VNET_NAME}, permission=all_users, protected=True)
def delete_vnet(world: World, request: Request) -> None:
    name, written = str(request.params["vnet"]), networks(world).written
    need_vnet(world, request.identity, name, "SDN.Allocate")
    if any(one["vnet"] == name for one in written.subnets.values()):
        raise failed("delete sdn vnet object failed: can't delete vnet if subnets exists\n")
    del written.vnets[name]


def subnet_id(zone: object, cidr: str) -> str:
    return f"{zone}-{cidr.replace('/', '-')}"


@route("GET", SUBNETS, fields={**LOOK, "vnet": VNET_NAME}, permission=all_users)
def list_subnets(world: World, request: Request) -> Json:
    name = str(request.params["vnet"])
    need_vnet(world, request.identity, name, *AUDIT)
    found = rows(networks(world), "subnets", "subnet", request)
    return [row for row in found if name in (row.get("vnet"), row.get("pending", {}).get("vnet"))]


@route(
    "POST",
    SUBNETS,
    fields={
        "vnet": VNET_NAME,
        "subnet": Text(format=subnet_cidr),
        "type": Text(enum=("subnet",)),
        **SUBNET,
    },
    permission=all_users,
    protected=True,
)
def create_subnet(world: World, request: Request) -> None:
    params, written = request.params, networks(world).written
    vnet = need_vnet(world, request.identity, str(params["vnet"]), "SDN.Allocate")
    cidr = str(params["subnet"])
    key = subnet_id(vnet["zone"], cidr)
    head = "create sdn subnet object failed: "
    if key in written.subnets:
        raise failed(f"{head}sdn subnet object ID '{key}' already defined\n")
    network = ipaddress.ip_network(cidr)
    gateway = params.get("gateway")
    if gateway is not None and ipaddress.ip_address(str(gateway)) not in network:
        raise failed(f"{head}gateway '{gateway}' is not in subnet '{key}'\n")
    written.subnets[key] = {
        **given(request, "subnet"),
        "cidr": cidr,
        "mask": str(network.prefixlen),
        "network": str(network.network_address),
        "zone": vnet["zone"],
    }


@route(
    "PUT",
    f"{SUBNETS}/{{subnet}}",
    fields={"vnet": VNET_NAME, "subnet": Text(), **SUBNET, **CHANGE},
    permission=all_users,
    protected=True,
)
def change_subnet(world: World, request: Request) -> None:
    need_vnet(world, request.identity, str(request.params["vnet"]), "SDN.Allocate")
    subnets = networks(world).written.subnets
    alter(subnets, str(request.params["subnet"]), request, "subnet", "subnet", "vnet")


@route(
    "DELETE",
    f"{SUBNETS}/{{subnet}}",
    fields={"vnet": VNET_NAME, "subnet": Text()},
    permission=all_users,
    protected=True,
)
def delete_subnet(world: World, request: Request) -> None:
    need_vnet(world, request.identity, str(request.params["vnet"]), "SDN.Allocate")
    networks(world).written.subnets.pop(str(request.params["subnet"]), None)
