"""Users: make, change, remove, and their passwords.

Sources: pve-access-control PVE/API2/User.pm, PVE/AccessControl.pm (parse_user_config,
userconfig_force_defaults), PVE/Auth/{PAM,PVE}.pm.
"""

import re

from reconciler.sim.accounts.access import ROOT, User, both, either, own_user
from reconciler.sim.accounts.domains import REALMS
from reconciler.sim.accounts.rights import find_user
from reconciler.sim.accounts.user_config import (
    group_name,
    groups_of_user,
    realm_of_user,
    writing,
)
from reconciler.sim.errors import bad_parameters, failed, forbidden
from reconciler.sim.parameters.formats import user_id
from reconciler.sim.parameters.schema import Boolean, Field, FormatError, Integer, Text, split_list
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.world import World

_MAIL = re.compile(r"[^@\s]+@[^@\s]+")


def _mail(text: str) -> str:
    if text and not _MAIL.fullmatch(text):
        raise FormatError("value does not look like a valid email address")
    return text


_USER: dict[str, Field] = {"userid": Text(format=user_id, max_length=64)}
_TEXTS: dict[str, Field] = {
    "firstname": Text(optional=True, max_length=1024),
    "lastname": Text(optional=True, max_length=1024),
    "email": Text(optional=True, format=_mail, max_length=254),
    "comment": Text(optional=True, max_length=2048),
    "keys": Text(optional=True, pattern="[0-9a-zA-Z!=]{0,4096}"),
}
_FLAGS: dict[str, Field] = {
    "enable": Boolean(optional=True),
    "expire": Integer(optional=True, minimum=0),
    "groups": Text(optional=True, list_of=group_name),
}


def _can_take_password(name: str) -> None:
    """Passwords of realm pam are the host's, which knows nobody but root. Raises 500."""
    person, _, realm = name.rpartition("@")
    if realm not in REALMS:
        raise failed(f"auth domain '{realm}' does not exist")
    if realm == "pam" and name != ROOT:
        raise failed(f"change password failed: user '{person}' does not exist")


def _confirm(user: User, confirmation: str) -> None:
    """Raise 500 unless it is the password of the user who asks."""
    if user.password is None:
        raise failed("no password set")
    if user.password != confirmation:
        raise failed("invalid credentials")


def _take_texts(user: User, request: Request) -> None:
    for key in _TEXTS:
        value = request.params.get(key)
        if value is not None:
            setattr(user, key, value or None)
    # a line of user.cfg loses its empty columns at the end, so that an address that is not
    # there is read as empty only before a column that is
    user.email = user.email or ("" if user.comment or user.keys else None)


def _named_groups(world: World, request: Request) -> list[str]:
    names = split_list(request.params.get("groups") or "")
    for name in names:
        if name not in world.access.groups:
            raise failed(f"no such group '{name}'")
    return names


@route(
    "POST",
    "/access/users",
    fields={
        **_USER,
        **_TEXTS,
        **_FLAGS,
        "password": Text(optional=True, min_length=8, max_length=64),
    },
    permission=both(
        realm_of_user("Realm.AllocateUser"), groups_of_user("User.Modify", creating=True)
    ),
    protected=True,
)
def add_user(world: World, request: Request) -> Json:
    """Add a user; only those with a password can log in."""
    name, given = request.params["userid"], request.params
    with writing(world, "create user failed"):
        if name in world.access.users:
            raise failed(f"user '{name}' already exists")
        if given.get("password") is not None:
            _can_take_password(name)
        user = User(given.get("password"), enable=given.get("enable") != 0)
        user.expire = given.get("expire") or 0
        user.groups = sorted(set(_named_groups(world, request)))
        _take_texts(user, request)
        world.access.users[name] = user


@route(
    "PUT",
    "/access/users/{userid}",
    fields={
        **_USER,
        **_TEXTS,
        **_FLAGS,
        "append": Boolean(optional=True, requires="groups"),
    },
    permission=groups_of_user("User.Modify", updating=True),
    protected=True,
)
def change_user(world: World, request: Request) -> Json:
    """Change what is given; `groups` replaces the user's groups unless `append` is set."""
    name, given = request.params["userid"], request.params
    with writing(world, "update user failed"):
        user = find_user(world, name)
        named = _named_groups(world, request)
        if given.get("enable") is not None:
            user.enable = bool(given["enable"])
        if given.get("expire") is not None:
            user.expire = given["expire"]
        if given.get("groups") is not None:
            before = user.groups if given.get("append") else []
            user.groups = sorted({*before, *named})
        _take_texts(user, request)


@route(
    "DELETE",
    "/access/users/{userid}",
    fields=_USER,
    permission=both(realm_of_user("Realm.AllocateUser"), groups_of_user("User.Modify")),
    protected=True,
)
def remove_user(world: World, request: Request) -> Json:
    """Remove a user with its tokens and ACL entries; an absent one is no fault.

    root@pam is there again at once, without groups and tokens: its password is the host's.
    """
    name, access = request.params["userid"], world.access
    with writing(world, "delete user failed"):
        gone = access.users.pop(name, None)
        if name == ROOT and gone is not None:
            access.users[ROOT] = User(gone.password)
        access.grants[:] = [
            one
            for one in access.grants
            if (one.kind, one.who) != ("user", name)
            and not (one.kind == "token" and one.who.startswith(f"{name}!"))
        ]


@route(
    "PUT",
    "/access/password",
    fields={
        **_USER,
        "password": Text(min_length=8, max_length=64),
        "confirmation-password": Text(optional=True, min_length=5, max_length=64),
    },
    permission=either(
        own_user, both(realm_of_user("Realm.AllocateUser"), groups_of_user("User.Modify"))
    ),
    protected=True,
    allow_token=False,
)
def change_password(world: World, request: Request) -> Json:
    """Set a password; all but root@pam confirm it with their own."""
    name, given, asking = request.params["userid"], request.params, request.identity
    user = find_user(world, name)
    if not asking.root:
        confirmation = given.get("confirmation-password")
        if name == ROOT:
            raise forbidden()
        if confirmation is None:
            text = "password is required to modify user"
            raise bad_parameters({"confirmation-password": text})
        _confirm(world.access.users[asking.user], confirmation)
        if asking.user != name and name.endswith("@pam"):
            raise forbidden()
    _can_take_password(name)
    user.password = given["password"]
    world.access.changed()
