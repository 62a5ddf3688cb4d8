"""Reads of users, groups, roles, ACLs, tokens, realms and of what somebody may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import (
    Identity,
    Permission,
    Token,
    User,
    all_users,
    allowed,
    check,
    either,
    own_user,
)
from reconciler.sim.accounts.domains import REALMS
from reconciler.sim.accounts.privileges import effective_permissions, privileges_at
from reconciler.sim.accounts.roles import BUILT_IN
from reconciler.sim.errors import Refusal, failed, forbidden
from reconciler.sim.parameters.formats import REALM, TOKEN_NAME, USER_NAME, user_id
from reconciler.sim.parameters.schema import Boolean, Text
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

USER_OR_TOKEN = f"{USER_NAME}@{REALM}(?:!{TOKEN_NAME.pattern.removesuffix(chr(92) + 'Z')})?"
OWNERS = (
    ("/storage/", "Datastore.Allocate"),
    ("/vms/", "VM.Allocate"),
    ("/pool/", "Pool.Allocate"),
)
"""Who may allocate what lies at such a path may also hand out rights on it."""

TEXTS = ("firstname", "lastname", "email", "comment", "keys")


def by_group(*privileges: str) -> Permission:
    """`['userid-group', [privileges]]`: rights over one of the user's groups, or over all."""

    def verify(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
        if not governs(world, identity, str(params.get("userid", "")), privileges):
            raise forbidden()

    return verify


def governs(world: World, identity: Identity, name: str, privileges: tuple[str, ...]) -> bool:
    """Whether the identity has one of the privileges on /access/groups or a group of `name`."""
    if allowed(world, identity, "/access/groups", privileges, any=True):
        return True
    user = world.access.users.get(name)
    groups = user.groups if user is not None else []
    return any(
        allowed(world, identity, f"/access/groups/{group}", privileges, any=True)
        for group in groups
    )


def user_facts(user: User) -> dict[str, Any]:
    """A user's settings; unset texts are left out."""
    row: dict[str, Any] = {"enable": int(user.enable), "expire": user.expire}
    for key in TEXTS:
        value = getattr(user, key)
        if value is not None:
            row[key] = value
    return row


def token_facts(token: Token) -> dict[str, Any]:
    row: dict[str, Any] = {"expire": token.expire, "privsep": int(token.privsep)}
    return row if token.comment is None else row | {"comment": token.comment}


def find_user(world: World, name: str) -> User:
    """Raises 500 `no such user ('x')`."""
    user = world.access.users.get(name)
    if user is None:
        raise failed(f"no such user ('{name}')")
    return user


def find_token(world: World, name: str, token_id: str) -> Token:
    """Raises 500 `no such token 'x' for user 'y'`."""
    token = find_user(world, name).tokens.get(token_id)
    if token is None:
        raise failed(f"no such token '{token_id}' for user '{name}'")
    return token


@route(
    "GET",
    "/access/users",
    fields={"enabled": Boolean(optional=True), "full": Boolean(optional=True)},
    permission=all_users,
)
def list_users(world: World, request: Request) -> Json:
    """Oneself, and those whose groups one may look at."""
    rows = []
    for name in sorted(world.access.users):
        user = world.access.users[name]
        visible = name == str(request.identity) or governs(
            world, request.identity, name, ("User.Modify", "Sys.Audit")
        )
        wanted = request.params.get("enabled")
        if not visible or (wanted is not None and bool(wanted) != user.enable):
            continue
        row = user_facts(user) | {"userid": name}
        if (realm := name.rpartition("@")[2]) in REALMS:
            row["realm-type"] = REALMS[realm]["type"]
        if request.params.get("full"):
            row["groups"] = ",".join(user.groups)
            row["tokens"] = token_rows(user) or None
        rows.append(row)
    return rows


USER_FIELD = {"userid": Text(format=user_id, max_length=64)}
SEE_USER = either(own_user, by_group("User.Modify", "Sys.Audit"))
SEE_TOKENS = either(own_user, by_group("User.Modify"))


@route(
    "GET",
    "/access/users/{userid}",
    fields=USER_FIELD,
    permission=by_group("User.Modify", "Sys.Audit"),
)
def get_user(world: World, request: Request) -> Json:
    user = find_user(world, request.params["userid"])
    tokens = {name: token_facts(one) for name, one in user.tokens.items()}
    return user_facts(user) | {"groups": user.groups, "tokens": tokens or None}


def token_rows(user: User) -> list[dict[str, Any]]:
    return [token_facts(one) | {"tokenid": name} for name, one in sorted(user.tokens.items())]


@route("GET", "/access/users/{userid}/token", fields=USER_FIELD, permission=SEE_TOKENS)
def list_tokens(world: World, request: Request) -> Json:
    return token_rows(find_user(world, request.params["userid"]))


@route("GET", "/access/users/{userid}/token/{tokenid}", fields=USER_FIELD, permission=SEE_TOKENS)
def get_token(world: World, request: Request) -> Json:
    return token_facts(find_token(world, request.params["userid"], request.params["tokenid"]))


@route("GET", "/access/groups", permission=all_users)
def list_groups(world: World, request: Request) -> Json:
    access, rows = world.access, []
    wanted = ("User.Modify", "Sys.Audit", "Group.Allocate")
    for name in sorted(access.groups):
        if not allowed(world, request.identity, f"/access/groups/{name}", wanted, any=True):
            continue
        row: dict[str, Any] = {"groupid": name, "users": ",".join(access.members(name))}
        comment = access.groups[name].comment
        rows.append(row if comment is None else row | {"comment": comment})
    return rows


@route("GET", "/access/groups/{groupid}", permission=all_users)
def get_group(world: World, request: Request) -> Json:
    name = request.params["groupid"]
    wanted = ("Sys.Audit", "Group.Allocate")
    if not allowed(world, request.identity, "/access/groups", wanted, any=True):
        check(world, request.identity, f"/access/groups/{name}", wanted, any=True)
    group = world.access.groups.get(name)
    if group is None:
        raise failed(f"group '{name}' does not exist")
    row: dict[str, Any] = {"members": world.access.members(name)}
    return row if group.comment is None else row | {"comment": group.comment}


@route("GET", "/access/roles", permission=all_users)
def list_roles(world: World, request: Request) -> Json:
    rows = []
    for name, privileges in sorted(world.access.roles.items()):
        row: dict[str, Any] = {"roleid": name, "privs": ",".join(sorted(privileges))}
        rows.append(row | {"special": 1} if name in BUILT_IN else row)
    return rows


@route("GET", "/access/roles/{roleid}", permission=all_users)
def get_role(world: World, request: Request) -> Json:
    name = request.params["roleid"]
    privileges = world.access.roles.get(name)
    if privileges is None:
        raise failed(f"role '{name}' does not exist")
    return dict.fromkeys(privileges, 1)


def modify_permissions(world: World, identity: Identity, path: str) -> None:
    """403 unless the identity may hand out rights at `path` (check_perm_modify)."""
    wanted = ["Permissions.Modify"]
    wanted += [privilege for prefix, privilege in OWNERS if path.startswith(prefix)]
    check(world, identity, path, wanted, any=True)


def may_modify(world: World, identity: Identity, path: str) -> bool:
    """The same as a question."""
    try:
        modify_permissions(world, identity, path)
    except Refusal:
        return False
    return True


@route("GET", "/access/acl", permission=all_users)
def list_acl(world: World, request: Request) -> Json:
    """Only entries of paths whose permissions one may change."""
    identity = request.identity
    audit = allowed(world, identity, "/access", ["Sys.Audit"])
    rows = []
    for grant in world.access.grants:
        if audit or may_modify(world, identity, grant.path):
            rows.append(
                {
                    "path": grant.path,
                    "type": grant.kind,
                    "ugid": grant.who,
                    "roleid": grant.role,
                    "propagate": int(grant.propagate),
                }
            )
    return rows


@route(
    "GET",
    "/access/permissions",
    fields={"path": Text(optional=True), "userid": Text(optional=True, pattern=USER_OR_TOKEN)},
    permission=all_users,
)
def get_permissions(world: World, request: Request) -> Json:
    """Path -> privilege -> propagates. One's own, one's tokens', or with Sys.Audit anybody's."""
    asker, wanted = request.identity, request.params.get("userid")
    who = asker if wanted is None else Identity.parse(wanted)
    own_token = asker.token is None and who.user == asker.user
    if who != asker and not own_token:
        check(world, asker, "/access", ["Sys.Audit"])
    path = request.params.get("path")
    return {path: privileges_at(world, who, path)} if path else effective_permissions(world, who)
