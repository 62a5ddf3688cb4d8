"""Reads of the HA stack of a cluster that manages nothing yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import perm
from reconciler.sim.parameters.schema import Text
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

AUDIT = perm("/", "Sys.Audit")


@route(
    "GET",
    "/cluster/ha/resources",
    fields={"type": Text(optional=True, enum=("ct", "vm"))},
    permission=AUDIT,
)
def list_ha_resources(world: World, request: Request) -> Json:
    return []


@route("GET", "/cluster/ha/status/current", permission=AUDIT)
def get_ha_status(world: World, request: Request) -> Json:
    """Only the quorum row: no service has been put under HA."""
    return [
        {
            "id": "quorum",
            "type": "quorum",
            "node": next(iter(world.nodes)),
            "quorate": int(world.quorate),
            "status": "OK" if world.quorate else "No quorum on node",
        }
    ]
