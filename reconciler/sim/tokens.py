"""API tokens: make, change, remove. The secret is told once, when a token is made."""

from reconciler.sim.access import Token, either, own_user
from reconciler.sim.errors import bad_parameters
from reconciler.sim.formats import user_id
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.schema import Boolean, Field, Integer, Text
from reconciler.sim.user_config import (
    existing_token,
    existing_user,
    groups_of_user,
    writing,
)
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


def row(token: Token) -> dict[str, str | int]:
    """A token as the API shows it, without its secret."""
    shown: dict[str, str | int] = {"expire": token.expire, "privsep": int(token.privsep)}
    return {**shown, "comment": token.comment} if token.comment else shown


@route("POST", PATH, fields={**_WHICH, **_WHAT}, permission=_MAY_WRITE, protected=True)
def add_token(world: World, request: Request) -> Json:
    """Make a token. The answer echoes given numbers as the text they came as."""
    user, name = _names(request)
    existing_user(world, user)
    if name in world.access.users[user].tokens:
        raise bad_parameters({"tokenid": "Token already exists."})
    privsep, expire = request.params.get("privsep"), request.params.get("expire")
    comment = request.params.get("comment")
    token = Token(world.new_uuid(), privsep is None or bool(privsep), expire or 0, comment or None)
    with writing(world, "generating token failed"):
        world.access.users[user].tokens[name] = token
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
    existing_token(world, user, name)
    token, given = world.access.users[user].tokens[name], request.params
    with writing(world, "updating token info failed"):
        if given.get("privsep") is not None:
            token.privsep = bool(given["privsep"])
        if given.get("expire") is not None:
            token.expire = given["expire"]
        if given.get("comment"):
            token.comment = given["comment"]
    return row(token)


@route("DELETE", PATH, fields=_WHICH, permission=_MAY_WRITE, protected=True)
def remove_token(world: World, request: Request) -> Json:
    """Remove a token and its ACL entries."""
    user, name = _names(request)
    existing_token(world, user, name)
    access = world.access
    with writing(world, "deleting token failed"):
        del access.users[user].tokens[name]
        gone = ("token", f"{user}!{name}")
        access.grants[:] = [one for one in access.grants if (one.kind, one.who) != gone]
