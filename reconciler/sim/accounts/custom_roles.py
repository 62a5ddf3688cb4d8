"""Roles that people make: named sets of privileges. The built-in ones cannot be changed."""

from reconciler.sim.accounts.access import Permission, perm
from reconciler.sim.accounts.roles import BUILT_IN, privilege_name
from reconciler.sim.accounts.user_config import role_name, writing
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.parameters.schema import Boolean, Text, split_list
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.world import World

_ROLE = Text(format=role_name)
_GIVEN = Text(optional=True, list_of=privilege_name)
_MAY_WRITE: Permission = perm("/access", "Sys.Modify")


def _listed(world: World, request: Request) -> list[str]:
    """The privileges given. Raises 400 for one that this release does not know."""
    found = sorted(set(split_list(request.params.get("privs") or "")))
    for name in found:
        if name not in world.access.roles["Administrator"]:
            text = f"invalid format - invalid privilege '{name}'\n"
            raise bad_parameters({"privs": text})
    return found


@route(
    "POST",
    "/access/roles",
    fields={"roleid": _ROLE, "privs": _GIVEN},
    permission=_MAY_WRITE,
    protected=True,
)
def add_role(world: World, request: Request) -> Json:
    """Add a role; names that begin with PVE are Proxmox's."""
    role = request.params["roleid"]
    if role.lower().startswith("pve"):
        text = "cannot use role ID starting with the (case-insensitive) 'PVE' namespace"
        raise bad_parameters({"roleid": text})
    privileges = _listed(world, request)
    with writing(world, "create role failed"):
        if role in world.access.roles:
            raise failed(f"role '{role}' already exists")
        world.access.roles[role] = privileges


@route(
    "PUT",
    "/access/roles/{roleid}",
    fields={
        "roleid": _ROLE,
        "privs": _GIVEN,
        "append": Boolean(optional=True, requires="privs"),
    },
    permission=_MAY_WRITE,
    protected=True,
)
def change_role(world: World, request: Request) -> Json:
    """Replace a role's privileges, or add to them."""
    role = request.params["roleid"]
    if role in BUILT_IN:
        raise failed(f"auto-generated role '{role}' cannot be modified")
    privileges = _listed(world, request)
    with writing(world, "update role failed"):
        if role not in world.access.roles:
            raise failed(f"role '{role}' does not exist")
        before = world.access.roles[role] if request.params.get("append") else []
        world.access.roles[role] = sorted({*before, *privileges})


@route(
    "DELETE",
    "/access/roles/{roleid}",
    fields={"roleid": _ROLE},
    permission=_MAY_WRITE,
    protected=True,
)
def remove_role(world: World, request: Request) -> Json:
    """Remove a role; ACL entries with it go too, as the file is not read back with them."""
    role, access = request.params["roleid"], world.access
    if role in BUILT_IN:
        raise failed(f"auto-generated role '{role}' cannot be deleted")
    with writing(world, "delete role failed"):
        if role not in access.roles:
            raise failed(f"role '{role}' does not exist")
        del access.roles[role]
        access.grants[:] = [grant for grant in access.grants if grant.role != role]
