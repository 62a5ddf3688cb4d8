"""API tokens: make, change, remove. The secret is told once, when a token is made."""

from reconciler.sim.accounts.access import Token, either, own_user
from reconciler.sim.accounts.rights import find_token, find_user, token_facts
from reconciler.sim.accounts.user_config import (
    groups_of_user,
    writing,
)
from reconciler.sim.errors import bad_parameters
from reconciler.sim.parameters.formats import user_id
from reconciler.sim.parameters.schema import Boolean, Field, Integer, Text
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.world import World

PATH = "/access/users/{userid}/token/{tokenid}"
_MAY_WRITE = either(own_user, groups_of_user("User.Modify"))
_WHICH: dict[str, Field] = {
    "userid": Text(format=user_id, max_length=64),
    "tokenid": Text(pattern=r"[A-Za-z][A-Za-z0-9.\-_]+"),
}
_WHAT: dict[str, Field] = {
    "comment": Text(optional=True),
    "expire": Integer(optional=True, minimum=0),
    "privsep": Boolean(optional=True),
}


def _names(request: Request) -> tuple[str, str]:
    return request.params["userid"], request.params["tokenid"]


@route("POST", PATH, fields={**_WHICH, **_WHAT}, permission=_MAY_WRITE, protected=True)
def add_token(world: World, request: Request) -> Json:
    """Make a token. The answer echoes given numbers as the text they came as."""
    user, name = _names(request)
    tokens = find_user(world, user).tokens
    if name in tokens:
        raise bad_parameters({"tokenid": "Token already exists."})
    privsep, expire = request.params.get("privsep"), request.params.get("expire")
    comment = request.params.get("comment")
    token = Token(world.new_uuid(), privsep is None or bool(privsep), expire or 0, comment or None)
    with writing(world, "generating token failed"):
        tokens[name] = token
    told: dict[str, str | int] = {"privsep": 1 if privsep is None else str(privsep)}
    if expire is not None:
        told["expire"] = str(expire)
    if comment:
        told["comment"] = comment
    return {"full-tokenid": f"{user}!{name}", "value": token.secret, "info": told}


@route(
    "PUT",
    PATH,
    fields={**_WHICH, **_WHAT},
    permission=_MAY_WRITE,
    protected=True,
)
def change_token(world: World, request: Request) -> Json:
    """Change what is given, answer all of it; the secret stays."""
    user, name = _names(request)
    token, given = find_token(world, user, name), request.params
    with writing(world, "updating token info failed"):
        if given.get("privsep") is not None:
            token.privsep = bool(given["privsep"])
        if given.get("expire") is not None:
            token.expire = given["expire"]
        if given.get("comment"):
            token.comment = given["comment"]
    return token_facts(token)


@route("DELETE", PATH, fields=_WHICH, permission=_MAY_WRITE, protected=True)
def remove_token(world: World, request: Request) -> Json:
    """Remove a token and its ACL entries."""
    user, name = _names(request)
    find_token(world, user, name)
    access = world.access
    with writing(world, "deleting token failed"):
        del access.users[user].tokens[name]
        gone = ("token", f"{user}!{name}")
        access.grants[:] = [one for one in access.grants if (one.kind, one.who) != gone]
