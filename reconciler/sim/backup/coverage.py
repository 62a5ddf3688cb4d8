"""Which guests and disks the jobs cover: not-backed-up and a job's included volumes.

Sources: pve-manager PVE/API2/Cluster/BackupInfo.pm, PVE/API2/Backup.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import allowed
from reconciler.sim.backup.archive import choices, shelf
from reconciler.sim.backup.jobs import AUDIT, ID, ONE, find
from reconciler.sim.backup.selection import included
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

INFO = "/cluster/backup-info"


@route("GET", INFO, permission=None)
def index(world: World, request: Request) -> Json:
    return [{"subdir": "not-backed-up"}]


@route("GET", f"{INFO}/not-backed-up", permission=AUDIT, protected=True)
def not_backed_up(world: World, request: Request) -> Json:
    """The guests in no job, whether or not the jobs are enabled."""
    covered = {
        vmid
        for job in shelf(world).jobs.values()
        for vmids in included(world, job).values()
        for vmid in vmids
    }
    rows = []
    for vmid, machine in sorted(world.vms.items()):
        if vmid in covered or not allowed(world, request.identity, f"/vms/{vmid}", ["VM.Audit"]):
            continue
        row: dict[str, Any] = {"vmid": vmid, "type": "qemu"}
        if machine.config.get("name"):
            row["name"] = machine.config["name"]
        rows.append(row)
    return rows


@route(
    "GET",
    f"{ONE}/included_volumes",
    fields={"id": ID},
    permission=AUDIT,
    protected=True,
)
def included_volumes(world: World, request: Request) -> Json:
    """A tree of guests and their disks, each with why it is in or out."""
    job = find(world, str(request.params["id"]))
    meant = sorted(vmid for vmids in included(world, job).values() for vmid in vmids)
    seen = [
        vmid for vmid in meant if allowed(world, request.identity, f"/vms/{vmid}", ["VM.Audit"])
    ]
    return {"children": [_guest(world, vmid) for vmid in seen]}


def _guest(world: World, vmid: int) -> dict[str, Any]:
    machine = world.vms.get(vmid)
    if machine is None:
        return {"id": vmid, "type": "unknown", "leaf": 1}
    disks = [
        {
            "id": f"{vmid}:{one.drive.key}",
            "name": one.drive.file,
            "included": int(one.included),
            "reason": one.reason,
            "leaf": 1,
        }
        for one in choices(machine.config)
    ]
    return {
        "id": vmid,
        "type": "qemu",
        "name": machine.config.get("name"),
        "children": disks,
        "leaf": int(not disks),
    }
