"""/cluster/ha/groups: node lists with priorities, until 9.0 made rules of them.

Source: pve-ha-manager PVE/API2/HA/Groups.pm.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reconciler.sim.errors import failed
from reconciler.sim.ha.book import Book, Group, book, digest
from reconciler.sim.ha.resources import AUDIT, MANAGE, MODIFIED
from reconciler.sim.ha.rounds import wake
from reconciler.sim.parameters.formats import DIGEST, config_id
from reconciler.sim.parameters.schema import Boolean, Field, FormatError, Text, split_list
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

GROUPS = "/cluster/ha/groups"
ONE = f"{GROUPS}/{{group}}"
MEMBER = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?(?::\d+)?\Z")
GONE = "ha groups have been migrated to rules\n"


def member(text: str) -> str:
    if not MEMBER.match(text):
        raise FormatError("value does not look like a valid ha group node")
    return text


NAME = Text(format=config_id)
SETTINGS: dict[str, Field] = {
    "comment": Text(optional=True, max_length=4096),
    "nofailback": Boolean(optional=True),
    "restricted": Boolean(optional=True),
}


def shown(name: str, group: Group, held: Book) -> dict[str, Any]:
    row = {key: value for key, value in asdict(group).items() if value is not None}
    row["nodes"] = ",".join(split_list(group.nodes))
    return row | {"group": name, "type": "group", "digest": digest(held.groups)}


def _refuse_rules(world: World, what: str) -> None:
    if world.major >= 9:
        raise failed(f"{what}: {GONE}")


@route("GET", GROUPS, permission=AUDIT)
def list_groups(world: World, request: Request) -> Json:
    _refuse_rules(world, "cannot index groups")
    held = book(world)
    return [shown(name, group, held) for name, group in sorted(held.groups.items())]


@route("GET", ONE, fields={"group": NAME}, permission=AUDIT)
def get_group(world: World, request: Request) -> Json:
    _refuse_rules(world, "cannot read group")
    held, name = book(world), str(request.params["group"])
    if name not in held.groups:
        raise failed(f"no such ha group '{name}'\n")
    return shown(name, held.groups[name], held)


@route(
    "POST",
    GROUPS,
    fields={
        "group": NAME,
        "nodes": Text(list_of=member),
        "type": Text(optional=True),
        **SETTINGS,
    },
    permission=MANAGE,
    protected=True,
)
def create_group(world: World, request: Request) -> None:
    _refuse_rules(world, "cannot create group")
    params = {key: value for key, value in request.params.items() if value is not None}
    held, name = book(world), str(params.pop("group"))
    if params.pop("type", "group") != "group":
        raise failed("types does not match\n")
    if name in held.groups:
        raise failed(f"create ha group failed: ha group ID '{name}' already defined\n")
    held.groups[name] = Group(**params)
    wake(world)


@route(
    "PUT",
    ONE,
    fields={
        "group": NAME,
        "nodes": Text(optional=True, list_of=member),
        "delete": Text(optional=True, list_of=config_id, max_length=4096),
        "digest": DIGEST,
        **SETTINGS,
    },
    permission=MANAGE,
    protected=True,
)
def change_group(world: World, request: Request) -> None:
    _refuse_rules(world, "cannot update group")
    params = {key: value for key, value in request.params.items() if value is not None}
    held, name = book(world), str(params.pop("group"))
    given, gone = params.pop("digest", None), split_list(str(params.pop("delete", "")))
    head = "update ha group failed: "
    if given and given != digest(held.groups):
        raise failed(head + MODIFIED)
    group = held.groups.get(name)
    if group is None:
        raise failed(f"{head}no such ha group '{name}'\n")
    for key in gone:
        if key == "nodes":
            raise failed(f"{head}unable to delete required option 'nodes'\n")
        if key not in SETTINGS:
            raise failed(f"{head}no such option '{key}'\n")
    for key, value in params.items():
        setattr(group, key, value)
    for key in gone:
        setattr(group, key, None)
    wake(world)


@route("DELETE", ONE, fields={"group": NAME}, permission=MANAGE, protected=True)
def delete_group(world: World, request: Request) -> None:
    """One that is gone is no error; one in use stays."""
    _refuse_rules(world, "cannot delete group")
    held, name = book(world), str(request.params["group"])
    for sid, resource in sorted(held.resources.items()):
        if resource.group == name:
            raise failed(f"delete ha group failed: ha group is used by service '{sid}'\n")
    held.groups.pop(name, None)
    wake(world)
