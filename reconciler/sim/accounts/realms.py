"""Realms, and the second factors that nobody here has set up.

Sources: pve-access-control PVE/API2/{Domains,OpenId,TFA,User}.pm, PVE/Auth/Plugin.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import all_users, either, open_to_world, own_user, perm
from reconciler.sim.accounts.domains import DIGEST, REALMS
from reconciler.sim.accounts.user_config import groups_of_user
from reconciler.sim.errors import failed
from reconciler.sim.parameters.formats import realm_name, user_id
from reconciler.sim.parameters.schema import Boolean, Text
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

SUBDIRS = ("users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password")
USER = {"userid": Text(format=user_id, max_length=64)}
SELF_OR_AUDITOR = either(own_user, groups_of_user("User.Modify", "Sys.Audit"))


@route("GET", "/access", permission=all_users)
def index(world: World, request: Request) -> Json:
    return [{"subdir": name} for name in SUBDIRS]


@route("GET", "/access/domains", permission=open_to_world)
def list_realms(world: World, request: Request) -> Json:
    return [{"realm": name, **about} for name, about in REALMS.items()]


@route(
    "GET",
    "/access/domains/{realm}",
    fields={"realm": Text(format=realm_name, max_length=32)},
    permission=perm("/access/realm", "Realm.Allocate", "Sys.Audit", any=True),
)
def read_realm(world: World, request: Request) -> Json:
    name = str(request.params["realm"])
    if name not in REALMS:
        raise failed(f"domain '{name}' does not exist\n")
    plugin = {"plugin": "PVE::Auth::PAM"} if name == "pam" else {}
    return {**REALMS[name], **plugin, "digest": DIGEST}


@route("GET", "/access/openid", permission=all_users)
def openid_index(world: World, request: Request) -> Json:
    return [{"subdir": "auth-url"}, {"subdir": "login"}]


@route("GET", "/access/tfa", permission=all_users, protected=True)
def list_factors(world: World, request: Request) -> Json:
    return []


@route(
    "GET",
    "/access/tfa/{userid}",
    fields=USER,
    permission=SELF_OR_AUDITOR,
    protected=True,
)
def factors_of_user(world: World, request: Request) -> Json:
    return []


@route(
    "GET",
    "/access/users/{userid}/tfa",
    fields={**USER, "multiple": Boolean(optional=True)},
    permission=SELF_OR_AUDITOR,
    protected=True,
)
def kinds_of_factors(world: World, request: Request) -> Json:
    realm = str(request.params["userid"]).rpartition("@")[2]
    if realm not in REALMS:
        raise failed(f"auth domain '{realm}' does not exist\n")
    return {"types": []} if request.params.get("multiple") else {}
