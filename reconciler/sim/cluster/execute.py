"""POST /nodes/N/execute: many calls below one node in one request, for root@pam only.

Source: pve-manager PVE/API2/Nodes.pm (execute); pve-api.md section 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from reconciler.sim.errors import Blocked, Refusal, failed
from reconciler.sim.parameters.schema import FormatError, Text
from reconciler.sim.routes import ROUTES, Envelope, Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

METHODS = ("GET", "POST", "PUT", "DELETE")


def command_batch(text: str) -> None:
    """The format of `commands`."""
    try:
        commands = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise FormatError("commands param did not contain valid JSON: malformed JSON") from error
    if not isinstance(commands, list):
        raise FormatError("commands is not an array")


@route(
    "POST",
    "/nodes/{node}/execute",
    fields={"commands": Text(format=command_batch)},
    permission=None,
    protected=True,
)
def execute(world: World, request: Request) -> Json:
    """One answer per command, in order; one that fails stops no other. Nothing is proxied: what
    lies on another node is not found."""
    commands = msgspec.json.decode(str(request.params["commands"]))
    return [one_answer(world, request, command) for command in commands]


def one_answer(world: World, request: Request, command: Json) -> dict[str, Any]:
    try:
        return {"status": 200, "data": run(world, request, command)}
    except Blocked as blocked:
        return {"status": 500, "message": f"{blocked.text}\n"}
    except Refusal as refusal:
        answer: dict[str, Any] = {"status": refusal.status, "message": refusal.reason}
        if refusal.errors:
            answer["errors"] = refusal.errors
        return answer


def run(world: World, request: Request, command: Json) -> Json:
    """The result of one command. Raises Refusal."""
    known = isinstance(command, dict) and command.get("path") and command.get("method")
    if not known:
        raise failed("command is not a valid command\n")
    path = f"nodes/{request.node}/{command['path']}"
    method = str(command["method"])
    found = ROUTES.match(method, [one for one in path.split("/") if one])
    if found is None or method not in METHODS:
        raise failed(f"no handler for '{path}'\n")
    entry, given = found
    params = entry.check({**(command.get("args") or {}), **given})
    inner = Request(
        method, entry.path, params, request.identity, request.at, f"/{path}", request.node
    )
    result = entry.handler(world, inner)
    return result.data if isinstance(result, Envelope) else result
