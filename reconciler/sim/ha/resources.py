"""/cluster/ha/resources: what the HA manager looks after.

Sources: pve-ha-manager PVE/API2/HA/Resources.pm, PVE/HA/Resources/PVEVM.pm.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import perm
from reconciler.sim.errors import failed
from reconciler.sim.ha.book import Book, Order, Resource, book, digest, vmid_of
from reconciler.sim.ha.rounds import wake
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

AUDIT = perm("/", "Sys.Audit")
MANAGE = perm("/", "Sys.Console")
RESOURCES = "/cluster/ha/resources"
ONE = f"{RESOURCES}/{{sid}}"
SID = re.compile(r"(?:[a-z]+:\S+|\d+)\Z")
STATES = ("started", "stopped", "enabled", "disabled", "ignored")
MODIFIED = "detected modified configuration - file changed by other user? Try again.\n"
OLD_GROUPS = "invalid parameter 'group': ha groups have been migrated to rules\n"


def resource_id(text: str) -> str:
    if not SID.match(text):
        raise FormatError("value does not look like a valid ha resource id")
    return text


SID_FIELD = Text(format=resource_id)
SETTINGS: dict[str, Field] = {
    "comment": Text(optional=True, max_length=4096),
    "failback": Boolean(optional=True),
    "group": Text(optional=True, format=config_id),
    "max_relocate": Integer(optional=True, minimum=0),
    "max_restart": Integer(optional=True, minimum=0),
    "state": Text(optional=True, enum=STATES),
}


def read_sid(world: World, text: str) -> str:
    """`100` or `vm:100` as `vm:100`. Raises 500 in Proxmox's words."""
    kind, colon, name = text.partition(":")
    if not colon:
        if int(text) not in world.vms:
            raise failed(f"unable do add resource - VM/CT {text} does not exist\n")
        return f"vm:{text}"
    if kind not in ("vm", "ct"):
        raise failed(f"unknown section type '{kind}'\n")
    if not re.fullmatch(r"[1-9][0-9]+", name):
        raise failed("invalid VMID\n")
    return text


def shown(sid: str, resource: Resource, held: Book) -> dict[str, Any]:
    row = {key: value for key, value in asdict(resource).items() if value is not None}
    return row | {"sid": sid, "type": sid.partition(":")[0], "digest": digest(held.resources)}


@route(
    "GET",
    RESOURCES,
    fields={"type": Text(optional=True, enum=("ct", "vm"))},
    permission=AUDIT,
)
def list_resources(world: World, request: Request) -> Json:
    held, kind = book(world), request.params.get("type")
    rows = []
    for sid, resource in sorted(held.resources.items()):
        row = shown(sid, resource, held)
        if resource.group is not None and resource.group not in held.groups:
            row["errors"] = {"group": f"group '{resource.group}' does not exist"}
        if kind in (None, row["type"]):
            rows.append(row)
    return rows


@route("GET", ONE, fields={"sid": SID_FIELD}, permission=AUDIT)
def get_resource(world: World, request: Request) -> Json:
    held, sid = book(world), read_sid(world, str(request.params["sid"]))
    if sid not in held.resources:
        raise failed(f"no such resource '{sid}'\n")
    return shown(sid, held.resources[sid], held)


@route(
    "POST",
    RESOURCES,
    fields={
        "sid": SID_FIELD,
        "type": Text(optional=True, enum=("ct", "vm")),
        **SETTINGS,
    },
    permission=MANAGE,
    protected=True,
)
def add_resource(world: World, request: Request) -> None:
    params = _given(world, request.params)
    sid = read_sid(world, str(params.pop("sid")))
    _check_type(sid, params.pop("type", None))
    if not sid.startswith("vm:") or vmid_of(sid) not in world.vms:
        raise failed(f"resource '{sid}' does not exists in cluster\n")
    held = book(world)
    if sid in held.resources:
        raise failed(f"create resource failed: resource ID '{sid}' already defined\n")
    _check_group(held, params.get("group"))
    held.resources[sid] = Resource(**params)
    wake(world)


def _given(world: World, params: dict[str, Any]) -> dict[str, Any]:
    """What was given, without what this version does not know."""
    found = {key: value for key, value in params.items() if value is not None}
    if world.major >= 9 and "group" in found:
        raise failed(OLD_GROUPS)
    if world.major < 9 and "failback" in found:
        raise failed("unexpected property 'failback'\n")
    return found


def _check_type(sid: str, kind: object) -> None:
    if kind is not None and kind != sid.partition(":")[0]:
        raise failed("types does not match\n")


def _check_group(held: Book, group: object) -> None:
    if group is not None and group not in held.groups:
        raise failed(f"HA group '{group}' does not exist\n")


def _check_error(held: Book, sid: str, wanted: object = None) -> None:
    service = held.services.get(sid)
    if service is not None and service.state == "error" and wanted != "disabled":
        raise failed(f"service '{sid}' in error state, must be disabled and fixed first\n")


@route(
    "PUT",
    ONE,
    fields={
        "sid": SID_FIELD,
        "delete": Text(optional=True, list_of=config_id, max_length=4096),
        "digest": DIGEST,
        **SETTINGS,
    },
    permission=MANAGE,
    protected=True,
)
def change_resource(world: World, request: Request) -> None:
    params = _given(world, request.params)
    sid = read_sid(world, str(params.pop("sid")))
    given, gone = params.pop("digest", None), split_list(str(params.pop("delete", "")))
    held = book(world)
    _check_group(held, params.get("group"))
    _check_error(held, sid, params.get("state"))
    head = "update resource failed: "
    if given and given != digest(held.resources):
        raise failed(head + MODIFIED)
    resource = held.resources.get(sid)
    if resource is None:
        raise failed(f"{head}no such resource '{sid}'\n")
    for key in gone:
        if key not in SETTINGS:
            raise failed(f"{head}no such option '{key}'\n")
    for key, value in params.items():
        setattr(resource, key, value)
    for key in gone:
        setattr(resource, key, None)
    wake(world)


@route(
    "DELETE",
    ONE,
    fields={"sid": SID_FIELD},
    permission=MANAGE,
    protected=True,
)
def remove_resource(world: World, request: Request) -> None:
    """The VM stays as it is; nobody looks after it any more."""
    held, sid = book(world), read_sid(world, str(request.params["sid"]))
    _need_managed(held, sid)
    forget(world, sid)
    wake(world)


def forget(world: World, sid: str) -> None:
    """Take a resource out of the configuration and out of the rules."""
    held = book(world)
    held.resources.pop(sid, None)
    for name in sorted(held.rules):
        rule = held.rules[name]
        left = [one for one in split_list(rule.resources) if one != sid]
        rule.resources = ",".join(left)
        if not left or (rule.kind == "resource-affinity" and len(left) < 2):
            del held.rules[name]


def _need_managed(held: Book, sid: str) -> None:
    resource = held.resources.get(sid)
    if resource is None or resource.wanted == "ignored":
        raise failed(f"resource '{sid}' is not HA managed\n")


def _order(world: World, request: Request, verb: str) -> Json:
    held, sid = book(world), read_sid(world, str(request.params["sid"]))
    _need_managed(held, sid)
    _check_error(held, sid)
    target = str(request.params["node"])
    held.orders.append(Order(verb, sid, target))
    wake(world)
    return None if world.major < 9 else {"sid": sid, "requested-node": target}


MOVE: dict[str, Field] = {"sid": SID_FIELD, "node": Text(format=node_name)}


@route(
    "POST",
    f"{ONE}/migrate",
    fields=MOVE,
    permission=MANAGE,
    proxy_node=False,
    protected=True,
)
def migrate(world: World, request: Request) -> Json:
    """Queue an online migration for the manager's next round."""
    return _order(world, request, "migrate")


@route(
    "POST",
    f"{ONE}/relocate",
    fields=MOVE,
    permission=MANAGE,
    proxy_node=False,
    protected=True,
)
def relocate(world: World, request: Request) -> Json:
    """Queue a stop here and a start there."""
    return _order(world, request, "relocate")
