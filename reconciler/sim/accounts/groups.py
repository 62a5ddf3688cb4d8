"""Groups of users."""

from reconciler.sim.accounts.access import Group, perm
from reconciler.sim.accounts.user_config import GROUPS_PATH, group_name, writing
from reconciler.sim.errors import failed
from reconciler.sim.parameters.schema import Text
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.world import World

_GROUP = Text(format=group_name)
_COMMENT = Text(optional=True)
_MAY_WRITE = perm(GROUPS_PATH, "Group.Allocate")


@route(
    "POST",
    "/access/groups",
    fields={"groupid": _GROUP, "comment": _COMMENT},
    permission=_MAY_WRITE,
    protected=True,
)
def add_group(world: World, request: Request) -> Json:
    """Add an empty group."""
    name = request.params["groupid"]
    with writing(world, "create group failed"):
        if name in world.access.groups:
            raise failed(f"group '{name}' already exists")
        world.access.groups[name] = Group(request.params.get("comment") or None)


@route(
    "PUT",
    "/access/groups/{groupid}",
    fields={"groupid": _GROUP, "comment": _COMMENT},
    permission=_MAY_WRITE,
    protected=True,
)
def change_group(world: World, request: Request) -> Json:
    """Change the comment."""
    with writing(world, "update group failed"):
        group = _existing(world, request)
        comment = request.params.get("comment")
        if comment is not None:
            group.comment = comment or None


def _existing(world: World, request: Request) -> Group:
    name = request.params["groupid"]
    if name not in world.access.groups:
        raise failed(f"group '{name}' does not exist")
    return world.access.groups[name]


@route(
    "DELETE",
    "/access/groups/{groupid}",
    fields={"groupid": _GROUP},
    permission=_MAY_WRITE,
    protected=True,
)
def remove_group(world: World, request: Request) -> Json:
    """Remove a group, also from its users and from the ACLs."""
    name, access = request.params["groupid"], world.access
    with writing(world, "delete group failed"):
        _existing(world, request)
        del access.groups[name]
        for user in access.users.values():
            user.groups = [one for one in user.groups if one != name]
        access.grants[:] = [one for one in access.grants if (one.kind, one.who) != ("group", name)]
