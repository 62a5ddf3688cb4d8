"""Access control lists: which role a user, group or token has at which path."""

import re
from collections.abc import Mapping

from reconciler.sim.accounts.access import Grant, Identity
from reconciler.sim.accounts.privileges import normal_path, privileges_at
from reconciler.sim.accounts.rights import find_token
from reconciler.sim.accounts.user_config import (
    group_name,
    modify_permissions_at,
    role_name,
    token_id,
    writing,
)
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.parameters.formats import user_id
from reconciler.sim.parameters.schema import Boolean, Text, split_list
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.world import World

_NAME = r"[A-Za-z0-9.\-_]+"
_PATHS = re.compile(
    "|".join(
        (
            "/",
            rf"/access(/groups(/{_NAME})?|/realm(/{_NAME})?)?",
            rf"/mapping(/(dir|pci|usb)(/{_NAME})?)?",
            rf"/nodes(/{_NAME})?",
            rf"/pool(/{_NAME}){{0,3}}",
            rf"/sdn(/(controllers|dns|ipams)(/{_NAME})?)?",
            rf"/sdn/zones(/{_NAME}(/{_NAME}(/[1-9][0-9]{{0,3}})?)?)?",
            rf"/storage(/{_NAME})?",
            r"/vms(/[1-9][0-9]{2,})?",
        )
    )
)
"""The paths that an ACL entry may be made for."""

_KINDS = (("groups", "group"), ("users", "user"), ("tokens", "token"))


def _path_of(request: Request) -> str:
    given = request.params["path"]
    path = normal_path(given)
    if path is None or (not request.params.get("delete") and not _PATHS.fullmatch(path)):
        raise bad_parameters({"path": f"invalid ACL path '{given}'"})
    return path


def _check_handing_out(
    world: World, identity: Identity, path: str, role: str, request: Request
) -> None:
    """Who may not modify permissions at large hands out no more than it has itself."""
    own = privileges_at(world, identity, path)
    if "Permissions.Modify" in own:
        return
    verb = "remove" if request.params.get("delete") else "add"
    spread = request.params.get("propagate") != 0
    for privilege in world.access.roles[role]:
        if privilege not in own:
            text = f"Cannot {verb} role '{role}' - requires 'Permissions.Modify'"
            raise bad_parameters({"role": f"{text} or superset of privileges."})
        if spread and not own[privilege] and verb == "add":
            text = f"Cannot {verb} role '{role}' with propagation - requires 'Permissions.Modify'"
            raise bad_parameters({"role": f"{text} or propagated superset of privileges."})
    if role == "NoAccess":
        text = f"Cannot {verb} role '{role}' - requires 'Permissions.Modify'"
        raise bad_parameters({"role": text})


def _check_subject(world: World, kind: str, who: str) -> None:
    access = world.access
    if kind == "group" and who not in access.groups:
        raise failed(f"group '{who}' does not exist")
    if kind == "user" and who not in access.users:
        raise failed(f"user '{who}' does not exist")
    if kind == "token":
        user, _, name = who.partition("!")
        find_token(world, user, name)


def _subjects(params: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(kind, who) for key, kind in _KINDS for who in split_list(params.get(key) or "")]


@route(
    "PUT",
    "/access/acl",
    fields={
        "path": Text(),
        "roles": Text(list_of=role_name),
        "users": Text(optional=True, list_of=user_id),
        "groups": Text(optional=True, list_of=group_name),
        "tokens": Text(optional=True, list_of=token_id),
        "propagate": Boolean(optional=True),
        "delete": Boolean(optional=True),
    },
    permission=modify_permissions_at("path"),
    protected=True,
)
def change_acl(world: World, request: Request) -> Json:
    """Give roles to users, groups and tokens at a path, or take them away."""
    if not any(request.params.get(key) for key, _ in _KINDS):
        text = "either 'users', 'groups' or 'tokens' is required."
        raise bad_parameters({key: text for key, _ in _KINDS})
    path = _path_of(request)
    access, subjects = world.access, _subjects(request.params)
    spread, deleting = request.params.get("propagate") != 0, request.params.get("delete")
    with writing(world, "ACL update failed"):
        roles = split_list(request.params["roles"])
        for role in roles:
            if role not in access.roles:
                raise failed(f"role '{role}' does not exist")
            _check_handing_out(world, request.identity, path, role, request)
            for kind, who in subjects:
                _check_subject(world, kind, who)
        touched = {(path, kind, who, role) for kind, who in subjects for role in roles}
        access.grants[:] = [
            one for one in access.grants if (one.path, one.kind, one.who, one.role) not in touched
        ]
        if not deleting:
            access.grants += [Grant(*key, propagate=spread) for key in sorted(touched)]
