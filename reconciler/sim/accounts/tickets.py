"""Who a request comes from: tickets, CSRF tokens, API tokens, and the login itself.

Sources: pve-access-control PVE/AccessControl.pm, PVE/API2/AccessControl.pm.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import ROOT, Identity, User, allowed, open_to_world
from reconciler.sim.accounts.privileges import normal_path, privileges_at
from reconciler.sim.accounts.roles import privilege_name
from reconciler.sim.errors import Refusal, unauthorized
from reconciler.sim.parameters.formats import TOKEN_NAME, USER_ID, realm_name
from reconciler.sim.parameters.schema import Boolean, Text, split_list
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

LIFETIME = 2 * 3600
"""Seconds that a ticket is good for."""

SKEW = 300
"""Seconds that a ticket may come from the future."""

TICKET = re.compile(r"(PVE:(?P<user>[^:\s]+):(?P<stamp>[0-9A-F]{8}))::(?P<mac>\S+)\Z")
CSRF = re.compile(r"(?P<stamp>[0-9A-F]{8}):(?P<mac>\S+)\Z")
API_TOKEN = re.compile(r"(?P<id>.*)=(?P<secret>.*)\Z")

CAPABILITIES: dict[str, tuple[str, re.Pattern[str]]] = {
    "vms": ("/vms", re.compile(r"VM\.|Permissions\.Modify")),
    "access": ("/access/groups", re.compile(r"(User|Group)\.|Permissions\.Modify")),
    "storage": ("/storage", re.compile(r"Datastore\.|Permissions\.Modify")),
    "nodes": ("/nodes", re.compile(r"Sys\.|Permissions\.Modify")),
    "sdn": ("/sdn", re.compile(r"SDN\.|Permissions\.Modify")),
    "dc": ("/", re.compile(r"Sys\.Audit|Sys\.Modify|SDN\.")),
    "mapping": ("/mapping", re.compile(r"Mapping\.|Permissions\.Modify")),
}


def _sign(world: World, text: str) -> str:
    digest = hmac.new(world.secret.encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode().rstrip("=")


def new_ticket(world: World, user: str) -> str:
    plain = f"PVE:{user}:{int(world.now):08X}"
    return f"{plain}::{_sign(world, plain)}"


def new_csrf_token(world: World, user: str) -> str:
    stamp = f"{int(world.now):08X}"
    return f"{stamp}:{_sign(world, f'{stamp}:{user}')}"


def _fresh(world: World, stamp: str) -> bool:
    age = world.now - int(stamp, 16)
    return -SKEW < age < LIFETIME


def check_enabled(world: World, name: str) -> User:
    """The user. Raises 401 when there is none, or it is disabled or expired."""
    user = world.access.users.get(name)
    if user is None:
        raise unauthorized(f"no such user ('{name}')")
    if not user.enable:
        raise unauthorized(f"user '{name}' is disabled")
    if user.expire and user.expire < world.now:
        raise unauthorized(f"user '{name}' access expired")
    return user


def ticket_user(world: World, ticket: str) -> str | None:
    """The user of a ticket with the right signature and age, else None."""
    found = TICKET.match(ticket)
    if found is None or not _fresh(world, found["stamp"]):
        return None
    if not hmac.compare_digest(found["mac"], _sign(world, found.group(1))):
        return None
    return found["user"]


def by_ticket(world: World, ticket: str, method: str, csrf: str | None) -> Identity:
    """The identity of a ticket; everything but GET needs the CSRF token too. Raises 401."""
    user = ticket_user(world, ticket)
    if user is None:
        raise unauthorized("permission denied - invalid PVE ticket")
    check_enabled(world, user)
    if method != "GET":
        found = CSRF.match(csrf or "")
        wanted = _sign(world, f"{found['stamp']}:{user}") if found else ""
        if not found or found["mac"] != wanted or not _fresh(world, found["stamp"]):
            raise unauthorized("Permission denied - invalid csrf token")
    return Identity(user)


def by_api_token(world: World, text: str) -> Identity:
    """The identity of `USER@REALM!ID=SECRET`. Raises 401."""
    found = API_TOKEN.match(text)
    if found is None:
        raise unauthorized("no tokenid specified")
    name, _, token_id = found["id"].partition("!")
    if not USER_ID.match(name) or not TOKEN_NAME.match(token_id):
        raise unauthorized(
            f"'{found['id']}' is not a valid token ID - not able to split into user and token parts"
        )
    user = check_enabled(world, name)
    token = user.tokens.get(token_id)
    if token is None:
        raise unauthorized(f"no such token '{token_id}' for user '{name}'")
    if token.expire and token.expire < world.now:
        raise unauthorized("token expired")
    if not hmac.compare_digest(token.secret.encode(), found["secret"].encode()):
        raise unauthorized("invalid token value!")
    return Identity(name, token_id)


def capabilities(world: World, identity: Identity) -> dict[str, Any]:
    """What the web interface may show: privileges by area."""
    found = {}
    for area, (path, pattern) in CAPABILITIES.items():
        owned = privileges_at(world, identity, path)
        found[area] = {name: 1 for name in sorted(owned) if pattern.match(name)}
    return found


@route("GET", "/access/ticket", permission=open_to_world)
def get_ticket(world: World, request: Request) -> Json:
    """A dummy, as in Proxmox."""
    return None


@route(
    "POST",
    "/access/ticket",
    fields={
        "username": Text(max_length=64),
        "password": Text(),
        "realm": Text(optional=True, format=realm_name, max_length=32),
        "otp": Text(optional=True),
        "new-format": Boolean(optional=True),
        "path": Text(optional=True, requires="privs", max_length=64),
        "privs": Text(optional=True, list_of=privilege_name, requires="path", max_length=64),
        "tfa-challenge": Text(optional=True),
    },
    permission=open_to_world,
    protected=True,
    allow_token=False,
)
def create_ticket(world: World, request: Request) -> Json:
    """Log in with a password, or with a ticket as the password: one's own to renew it, that of
    root@pam for anybody. With `path` and `privs` it only tells whether these rights are there."""
    params = request.params
    name = str(params["username"])
    if params.get("realm"):
        name = f"{name}@{params['realm']}"
    if not _authentic(world, name, str(params["password"]), bool(params.get("path"))):
        raise Refusal(401, "authentication failure\n")
    identity = Identity(name)
    answer = {"username": name, "cap": capabilities(world, identity)}
    if params.get("path") and params.get("privs"):
        path = normal_path(str(params["path"]))
        wanted = split_list(str(params["privs"]))
        if path is None or not allowed(world, identity, path, wanted):
            raise Refusal(401, "authentication failure\n")
    else:
        answer["ticket"] = new_ticket(world, name)
        answer["CSRFPreventionToken"] = new_csrf_token(world, name)
    world.log(next(iter(world.nodes)), ROOT, "pvedaemon", f"successful auth for user '{name}'")
    if world.name is not None and allowed(world, identity, "/", ["Sys.Audit"]):
        answer["clustername"] = world.name
    return answer


def _authentic(world: World, name: str, password: str, verifying: bool) -> bool:
    """Whether the user may come in and the password, or the ticket in its place, is right."""
    try:
        user = check_enabled(world, name)
    except Refusal:
        return False
    owner = ticket_user(world, password)
    if owner is not None:
        return owner == name or (owner == ROOT and not verifying)
    return user.password is not None and user.password == password
