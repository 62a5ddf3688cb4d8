"""GET /cluster/replication. Replication needs ZFS on local storage, which no simulated node has, so
there is never a job to list.

Source: pve-manager PVE/API2/ReplicationConfig.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import all_users
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World


@route("GET", "/cluster/replication", permission=all_users)
def list_jobs(world: World, request: Request) -> Json:
    return []
