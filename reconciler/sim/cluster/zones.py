"""/cluster/sdn: zones, vnets and subnets, what of them waits, and their application.

Sources: pve-network PVE/API2/Network/SDN.pm and its Zones, Vnets and Subnets.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, all_users, allowed, check, perm
from reconciler.sim.cluster.networks import Layer, Networks, Section, networks, reaches
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import failed
from reconciler.sim.parameters.formats import DIGEST, config_id, node_name
from reconciler.sim.parameters.schema import (
    Boolean,
    Field,
    FormatError,
    Integer,
    Text,
    split_list,
)
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

SDN = "/cluster/sdn"
NAME = r"[a-zA-Z][a-zA-Z0-9]*[a-zA-Z0-9]"
AUDIT = ("SDN.Audit", "SDN.Allocate")
APPLY_SECONDS = 3.0
KIND_FIELDS: dict[str, tuple[str, ...]] = {
    "simple": (),
    "vlan": ("bridge",),
    "qinq": ("bridge", "tag"),
    "vxlan": ("peers",),
    "evpn": ("controller", "vrf-vxlan"),
}
"""Zone kinds and what each needs."""

GENERAL = ("dhcp", "dns", "dnszone", "ipam", "mtu", "nodes", "reversedns")
LOOK: dict[str, Field] = {
    "pending": Boolean(optional=True),
    "running": Boolean(optional=True),
}
CHANGE: dict[str, Field] = {
    "delete": Text(optional=True, list_of=config_id, max_length=4096),
    "digest": DIGEST,
}
ZONE_NAME = Text(pattern=NAME, max_length=8)
ZONE: dict[str, Field] = {
    "bridge": Text(optional=True),
    "controller": Text(optional=True),
    "dhcp": Text(optional=True, enum=("dnsmasq",)),
    "dns": Text(optional=True),
    "dnszone": Text(optional=True),
    "ipam": Text(optional=True),
    "mtu": Integer(optional=True),
    "nodes": Text(optional=True, list_of=node_name),
    "peers": Text(optional=True),
    "reversedns": Text(optional=True),
    "tag": Integer(optional=True, minimum=0),
    "vrf-vxlan": Integer(optional=True, minimum=1, maximum=16777215),
}
VNET_NAME = Text(pattern=NAME, max_length=8)
VNET: dict[str, Field] = {
    "alias": Text(optional=True, max_length=256),
    "isolate-ports": Boolean(optional=True),
    "tag": Integer(optional=True, minimum=1, maximum=16777215),
    "vlanaware": Boolean(optional=True),
}


def subnet_cidr(text: str) -> None:
    """The format of `subnet`: a network, or the id that one gets."""
    try:
        ipaddress.ip_network(text.partition("-")[2].replace("-", "/") if "-" in text else text)
    except ValueError as error:
        raise FormatError(f"value '{text}' does not look like a valid sdn subnet id") from error


def address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise FormatError("value does not look like a valid IP address") from error


SUBNET: dict[str, Field] = {
    "dhcp-dns-server": Text(optional=True, format=address),
    "dnszoneprefix": Text(optional=True),
    "gateway": Text(optional=True, format=address),
    "snat": Boolean(optional=True),
}


def digest_of(entries: dict[str, Section]) -> str:
    return hashlib.sha1(repr(sorted(entries.items())).encode()).hexdigest()


def given(request: Request, *without: str) -> dict[str, Any]:
    return {
        key: value
        for key, value in request.params.items()
        if value is not None and key not in (*without, "digest", "delete")
    }


def rows(held: Networks, kind: str, name: str, request: Request) -> list[dict[str, Any]]:
    """The sections of one file: as written, as running, or with what waits. `name` is the key
    that the id is shown under."""
    written, running = held.written.of(kind), held.running.of(kind)
    digest = digest_of(written)
    if request.params.get("running"):
        return [{name: key, "digest": digest, **running[key]} for key in sorted(running)]
    if not request.params.get("pending"):
        return [{name: key, "digest": digest, **written[key]} for key in sorted(written)]
    shown = []
    for key in sorted({*written, *running}):
        old, new = running.get(key), written.get(key)
        row: dict[str, Any] = {name: key, "digest": digest, **(old or {})}
        if old is None:
            row |= {"state": "new", "pending": dict(new or {})}
        elif new is None:
            row["state"] = "deleted"
        elif new != old:
            row |= {"state": "changed", "pending": difference(old, new)}
        shown.append(row)
    return shown


def difference(old: Section, new: Section) -> dict[str, Any]:
    """What an apply would change; `deleted` stands for a key that goes."""
    found = {key: value for key, value in new.items() if old.get(key) != value}
    return found | {key: "deleted" for key in old if key not in new}


def alter(entries: dict[str, Section], key: str, request: Request, what: str, *ids: str) -> None:
    """What every PUT does. Raises 500 in Proxmox's words."""
    wanted = request.params.get("digest")
    if wanted and wanted != digest_of(entries):
        text = "detected modified configuration - file changed by other user? Try again.\n"
        raise failed(f"update sdn {what} object failed: {text}")
    if key not in entries:
        raise failed(f"update sdn {what} object failed: sdn '{key}' does not exist\n")
    changed = {**entries[key], **given(request, *ids)}
    for gone in split_list(str(request.params.get("delete") or "")):
        changed.pop(gone, None)
    entries[key] = changed


def vnet_path(held: Networks, vnet: str) -> str:
    zone = held.written.vnets.get(vnet, {}).get("zone", "")
    return f"/sdn/zones/{zone}/{vnet}"


def need_vnet(world: World, identity: Identity, vnet: str, *privileges: str) -> Section:
    """The vnet, if the caller may see or change it."""
    held = networks(world)
    if vnet not in held.written.vnets:
        raise failed(f"sdn '{vnet}' does not exist\n")
    check(world, identity, vnet_path(held, vnet), privileges, any=True)
    return held.written.vnets[vnet]


@route("GET", SDN, permission=perm("/sdn", "SDN.Audit"))
def list_parts(world: World, request: Request) -> Json:
    names = ("vnets", "zones", "controllers", "ipams", "dns")
    return [{"id": name} for name in names]


@route("PUT", SDN, permission=perm("/sdn", "SDN.Allocate"), protected=True)
def apply(world: World, request: Request) -> str:
    """Make what is written running, on every node, as a task (reloadnetworkall)."""
    steps = [Step("sdn.commit", {}), Step("sdn.reload", {}, APPLY_SECONDS)]
    return world.tasks.start(request.via, "reloadnetworkall", "", request.identity, steps)


@step("sdn.commit")
def commit(world: World, task: Task) -> None:
    held = networks(world)
    held.version += 1
    for name in world.nodes:
        task.say(f"{name}: reloading network config")


@step("sdn.reload")
def reload(world: World, task: Task) -> None:
    held = networks(world)
    copied = {
        kind: {key: dict(one) for key, one in held.written.of(kind).items()}
        for kind in ("zones", "vnets", "subnets")
    }
    held.running = Layer(**copied)
    for name, node in world.nodes.items():
        if not node.online:
            task.warn(f"error during reload of network config on node '{name}'")


@route(
    "GET",
    f"{SDN}/zones",
    fields={**LOOK, "type": Text(optional=True, enum=(*KIND_FIELDS, "faucet"))},
    permission=all_users,
)
def list_zones(world: World, request: Request) -> Json:
    kind, found = request.params.get("type"), rows(networks(world), "zones", "zone", request)
    return [
        row
        for row in found
        if allowed(world, request.identity, f"/sdn/zones/{row['zone']}", AUDIT, any=True)
        and kind in (None, row.get("type", row.get("pending", {}).get("type")))
    ]


@route(
    "GET",
    f"{SDN}/zones/{{zone}}",
    fields={**LOOK, "zone": ZONE_NAME},
    permission=perm("/sdn/zones/{zone}", "SDN.Allocate"),
)
def get_zone(world: World, request: Request) -> Json:
    name = str(request.params["zone"])
    for row in rows(networks(world), "zones", "zone", request):
        if row["zone"] == name:
            return row
    raise failed(f"sdn '{name}' does not exist\n")


@route(
    "POST",
    f"{SDN}/zones",
    fields={"zone": ZONE_NAME, "type": Text(enum=tuple(KIND_FIELDS)), **ZONE},
    permission=perm("/sdn/zones", "SDN.Allocate"),
    protected=True,
)
def create_zone(world: World, request: Request) -> None:
    held, name, kind = networks(world), str(request.params["zone"]), str(request.params["type"])
    wanted = given(request, "zone")
    for key in KIND_FIELDS[kind]:
        if key not in wanted:
            raise failed(f"missing value for required option '{key}'\n")
    for key in sorted(wanted):
        if key not in ("type", *GENERAL, *KIND_FIELDS[kind]):
            raise failed(f"unexpected property '{key}'\n")
    if name in held.written.zones:
        raise failed(
            f"create sdn zone object failed: sdn zone object ID '{name}' already defined\n"
        )
    held.written.zones[name] = wanted


@route(
    "PUT",
    f"{SDN}/zones/{{zone}}",
    fields={"zone": ZONE_NAME, **ZONE, **CHANGE},
    permission=perm("/sdn/zones/{zone}", "SDN.Allocate"),
    protected=True,
)
def change_zone(world: World, request: Request) -> None:
    zones = networks(world).written.zones
    alter(zones, str(request.params["zone"]), request, "zone", "zone")


@route(
    "DELETE",
    f"{SDN}/zones/{{zone}}",
    fields={"zone": ZONE_NAME},
    permission=perm("/sdn/zones/{zone}", "SDN.Allocate"),
    protected=True,
)
def delete_zone(world: World, request: Request) -> None:
    written, name = networks(world).written, str(request.params["zone"])
    used = sorted(key for key, one in written.vnets.items() if one["zone"] == name)
    if used:
        raise failed(f"delete sdn zone object failed: zone {name} is used by vnet {used[0]}\n")
    written.zones.pop(name, None)


@route("GET", "/nodes/{node}/sdn/zones", permission=all_users)
def zones_of_node(world: World, request: Request) -> Json:
    """The applied zones of a node, that of its own bridges included."""
    running = networks(world).running.zones
    names = [name for name in sorted(running) if reaches(running[name], request.node)]
    return [
        {"zone": name, "status": "available"}
        for name in ["localnetwork", *names]
        if allowed(world, request.identity, f"/sdn/zones/{name}", AUDIT, any=True)
    ]
