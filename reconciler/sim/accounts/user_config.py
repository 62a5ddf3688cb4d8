"""Writes to user.cfg: how they fail, and the rights that only calls on users and ACLs need.

Sources: pve-access-control PVE/AccessControl.pm (lock_user_config), PVE/RPCEnvironment.pm.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from reconciler.sim.accounts.access import Identity, Permission, allowed, check
from reconciler.sim.accounts.privileges import normal_path
from reconciler.sim.accounts.rights import find_user, modify_permissions
from reconciler.sim.errors import Refusal, failed, forbidden
from reconciler.sim.parameters.formats import TOKEN_NAME, USER_ID, user_id
from reconciler.sim.parameters.schema import FormatError, split_list
from reconciler.sim.world import World

GROUPS_PATH = "/access/groups"


@contextmanager
def writing(world: World, task: str) -> Iterator[None]:
    """One locked write; whatever refuses in it is a 500 that begins with `task`.

    What the body has changed by then stays, so it has to check before it changes.
    """
    try:
        yield
    except Refusal as refusal:
        text = refusal.reason.rstrip("\n")
        if refusal.status != 500:
            text = "\n".join(
                (f"{refusal.status} {text}", *(f"{k}: {v}" for k, v in _sorted(refusal.errors)))
            )
        raise failed(f"{task}: {text}") from refusal
    world.access.changed()


def _sorted(errors: Mapping[str, str] | None) -> list[tuple[str, str]]:
    return sorted((errors or {}).items())


def group_name(text: str) -> str:
    """Format `pve-groupid`."""
    if not _plain_name(text):
        raise FormatError(f"group name '{text}' contains invalid characters")
    return text


def role_name(text: str) -> str:
    """Format `pve-roleid`."""
    if not _plain_name(text):
        raise FormatError(f"role name '{text}' contains invalid characters")
    return text


def _plain_name(text: str) -> bool:
    return bool(text) and all(one.isascii() and (one.isalnum() or one in ".-_") for one in text)


def token_id(text: str) -> str:
    """Format `pve-tokenid`: USER@REALM!NAME."""
    user, _, name = text.partition("!")
    if not USER_ID.match(user) or not TOKEN_NAME.match(name):
        raise FormatError(f"value '{text}' does not look like a valid token ID")
    return text


def modify_permissions_at(parameter: str) -> Permission:
    """`['perm-modify', '{parameter}']`."""

    def verify(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
        path = normal_path(str(params.get(parameter, "")))
        if path is None:
            raise forbidden()
        modify_permissions(world, identity, path)

    return verify


def realm_of_user(privilege: str) -> Permission:
    """`['userid-param', 'Realm.AllocateUser']`: the right on the realm of the user asked about."""

    def verify(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
        realm = str(params.get("userid", "")).rpartition("@")[2]
        check(world, identity, f"/access/realm/{realm}", [privilege])

    return verify


def groups_of_user(*privileges: str, creating: bool = False, updating: bool = False) -> Permission:
    """`['userid-group', [privileges]]`: a right on all groups, or on those of the user.

    With `creating` or `updating` the groups that the call names count too.
    """

    def verify(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
        user = str(params.get("userid", ""))
        if not creating:
            _checked_user(world, user)
        if allowed(world, identity, GROUPS_PATH, privileges, any=True):
            return
        if creating or updating:
            _named_groups(world, identity, str(params.get("groups") or ""), privileges)
        if not creating:
            mine = world.access.users[user].groups
            paths = [f"{GROUPS_PATH}/{group}" for group in mine]
            if not any(allowed(world, identity, path, privileges, any=True) for path in paths):
                raise forbidden()

    return verify


def _checked_user(world: World, name: str) -> None:
    try:
        user_id(name)
    except FormatError as error:
        raise failed(str(error)) from error
    find_user(world, name)


def _named_groups(
    world: World, identity: Identity, groups: str, privileges: tuple[str, ...]
) -> None:
    wanted = "|".join(privileges)
    names = split_list(groups)
    if not names:
        raise forbidden(f"{GROUPS_PATH}, {wanted}")
    for name in names:
        path = f"{GROUPS_PATH}/{name}"
        if not allowed(world, identity, path, privileges, any=True):
            raise forbidden(f"{path}, {wanted}")
