"""/cluster/mapping/{pci,usb,dir}: reading, writing and checking of mappings.

Sources: pve-manager PVE/API2/Cluster/Mapping/*.pm, pve-guest-common PVE/Mapping/*.pm.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Permission, all_users, allowed, either, perm
from reconciler.sim.cluster.mapped import KINDS, Mapping, mappings
from reconciler.sim.cluster.validity import fault_of
from reconciler.sim.errors import failed
from reconciler.sim.parameters.formats import DIGEST, config_id, node_name
from reconciler.sim.parameters.schema import (
    Array,
    Boolean,
    Field,
    Integer,
    Properties,
    Text,
    split_list,
)
from reconciler.sim.routes import Handler, Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

ROOT = "/cluster/mapping"
PCI_PATH = r"[a-f0-9]{4,}:[a-f0-9]{2}:[a-f0-9]{2}(?:\.[a-f0-9])?"
DEVICE = r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}"
NOTE = Text(optional=True, max_length=4096)
PLACES: dict[str, Properties] = {
    "pci": Properties(
        parts={
            "node": Text(format=node_name),
            "id": Text(pattern=DEVICE),
            "path": Text(pattern=f"(?:{PCI_PATH};)*{PCI_PATH}"),
            "subsystem-id": Text(optional=True, pattern=DEVICE),
            "iommugroup": Integer(optional=True),
            "description": NOTE,
        }
    ),
    "usb": Properties(
        parts={
            "node": Text(format=node_name),
            "id": Text(pattern=DEVICE),
            "path": Text(optional=True, pattern=r"(\d+)\-(\d+(\.\d+)*)"),
            "description": NOTE,
        }
    ),
    "dir": Properties(
        parts={"node": Text(format=node_name), "path": Text(pattern=r"/[^,]*")},
    ),
}
WORDS = {
    "pci": ("create hardware mapping failed", "update hardware mapping failed"),
    "usb": ("create hardware mapping failed", "update hardware mapping failed"),
    "dir": ("create directory mapping failed", "update directory mapping failed"),
}
SEE = ("Mapping.Modify", "Mapping.Use", "Mapping.Audit")
MODIFIED = "detected modified configuration - file changed by other user? Try again.\n"


def options_of(kind: str, creating: bool) -> dict[str, Field]:
    fields: dict[str, Field] = {
        "id": Text(format=config_id),
        "description": NOTE,
        "map": Array(items=PLACES[kind], optional=not creating),
    }
    if kind == "pci":
        fields |= {
            "mdev": Boolean(optional=True),
            "live-migration-capable": Boolean(optional=True),
        }
    if not creating:
        fields |= {"delete": Text(optional=True, max_length=4096), "digest": DIGEST}
    return fields


def digest_of(world: World, kind: str) -> str:
    rows = {name: asdict(one) for name, one in sorted(mappings(world).of(kind).items())}
    return hashlib.sha1(repr(rows).encode()).hexdigest()


def shown(kind: str, mapping: Mapping) -> dict[str, Any]:
    row: dict[str, Any] = {"type": kind, "map": list(mapping.places)}
    if mapping.description is not None:
        row["description"] = mapping.description
    if mapping.mdev is not None:
        row["mdev"] = mapping.mdev
    if mapping.live is not None:
        row["live-migration-capable"] = mapping.live
    return row


@route("GET", ROOT, permission=all_users)
def list_kinds(world: World, request: Request) -> Json:
    return [{"name": kind} for kind in sorted(KINDS)]


def checks(world: World, kind: str, name: str, node: str) -> list[dict[str, str]]:
    """What is wrong with a mapping on a node."""
    mapping = mappings(world).of(kind)[name]
    places = mapping.on(node)
    if not places:
        return [{"severity": "warning", "message": f"No mapping for node {node}."}]
    faults = (fault_of(world, kind, name, node, place) for place in places)
    return [
        {"severity": "error", "message": f"Invalid configuration: {fault}\n"}
        for fault in faults
        if fault is not None
    ]


def _list(kind: str) -> Handler:
    def answer(world: World, request: Request) -> Json:
        node, digest = request.params.get("check-node"), digest_of(world, kind)
        rows = []
        for name, mapping in sorted(mappings(world).of(kind).items()):
            path = f"/mapping/{kind}/{name}"
            if not allowed(world, request.identity, path, SEE, any=True):
                continue
            row = shown(kind, mapping) | {"id": name, "digest": digest}
            if node is not None:
                row["checks"] = checks(world, kind, name, str(node))
            rows.append(row)
        return rows

    return answer


def _read(kind: str) -> Handler:
    def answer(world: World, request: Request) -> Json:
        name = str(request.params["id"])
        mapping = mappings(world).of(kind).get(name)
        if mapping is None:
            raise failed(f"mapping '{name}' not found\n")
        return shown(kind, mapping) | {"digest": digest_of(world, kind)}

    return answer


def _create(kind: str) -> Handler:
    def answer(world: World, request: Request) -> None:
        name, held = str(request.params["id"]), mappings(world).of(kind)
        _check_places(kind, request.params["map"])
        if name in held:
            raise failed(f"{WORDS[kind][0]}: {kind} ID '{name}' already defined\n")
        held[name] = Mapping()
        _write(held[name], request.params)

    return answer


def _check_places(kind: str, places: list[str]) -> None:
    """One directory per node."""
    nodes = [part for one in places for part in one.split(",") if part.startswith("node=")]
    for node in nodes:
        if kind == "dir" and nodes.count(node) > 1:
            name = node.removeprefix("node=")
            raise failed(
                f"node '{name}' is specified {nodes.count(node)} times, only one allowed\n"
            )


def _write(mapping: Mapping, params: dict[str, Any]) -> None:
    mapping.places = list(params.get("map", mapping.places))
    mapping.description = params.get("description", mapping.description)
    mapping.mdev = params.get("mdev", mapping.mdev)
    mapping.live = params.get("live-migration-capable", mapping.live)


def _update(kind: str) -> Handler:
    def answer(world: World, request: Request) -> None:
        params, head = request.params, WORDS[kind][1]
        name, held = str(params["id"]), mappings(world).of(kind)
        if params.get("digest") and params["digest"] != digest_of(world, kind):
            raise failed(f"{head}: {MODIFIED}")
        if name not in held:
            raise failed(f"{head}: {kind} ID '{name}' does not exist\n")
        if "map" not in params:
            raise failed(f"{head}: missing value for required option 'map'\n")
        _check_places(kind, params["map"])
        for key in split_list(str(params.get("delete") or "")):
            _delete(kind, held[name], key)
        _write(held[name], params)

    return answer


def _delete(kind: str, mapping: Mapping, key: str) -> None:
    head = WORDS[kind][1]
    if key == "map":
        raise failed(f"{head}: unable to delete required option 'map'\n")
    if key not in options_of(kind, True) or key == "id":
        raise failed(f"{head}: no such option '{key}'\n")
    attribute = {"live-migration-capable": "live"}.get(key, key)
    setattr(mapping, attribute, None)


def _remove(kind: str) -> Handler:
    def answer(world: World, request: Request) -> None:
        mappings(world).of(kind).pop(str(request.params["id"]), None)

    return answer


def _may(kind: str) -> tuple[Permission, Permission, Permission]:
    one = f"/mapping/{kind}/{{id}}"
    read = either(*(perm(one, privilege) for privilege in SEE))
    return read, perm(one, "Mapping.Modify"), perm(f"/mapping/{kind}", "Mapping.Modify")


def _declare(kind: str) -> None:
    path, one = f"{ROOT}/{kind}", f"{ROOT}/{kind}/{{id}}"
    read, change, manage = _may(kind)
    only_id: dict[str, Field] = {"id": Text(format=config_id)}
    node = {"check-node": Text(optional=True, format=node_name)}
    route("GET", path, fields=node, permission=all_users)(_list(kind))
    route("GET", one, fields=only_id, permission=read, protected=True)(_read(kind))
    new = options_of(kind, True)
    route("POST", path, fields=new, permission=manage, protected=True)(_create(kind))
    some = options_of(kind, False)
    route("PUT", one, fields=some, permission=change, protected=True)(_update(kind))
    route("DELETE", one, fields=only_id, permission=manage, protected=True)(_remove(kind))


for _kind in KINDS:
    _declare(_kind)
