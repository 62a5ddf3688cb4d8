"""Reads of tasks: per node, cluster wide, status and log of one, and stopping it.

Sources: pve-manager PVE/API2/Tasks.pm, PVE/API2/Cluster.pm.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, all_users, allowed, check
from reconciler.sim.cluster.broadcast import PERIOD
from reconciler.sim.cluster.tasks import UPID, Task
from reconciler.sim.errors import bad_parameters
from reconciler.sim.parameters.formats import VM, any_text
from reconciler.sim.parameters.schema import Boolean, Integer, Text, split_list
from reconciler.sim.routes import Envelope, Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

BROADCAST_FINISHED = 25
"""Tasks per node in the cluster-wide list, running ones always included."""


def owner(task: Task) -> dict[str, str]:
    """`user`, and `tokenid` for a task that a token started."""
    user, mark, token = task.user.partition("!")
    return {"user": user, "tokenid": token} if mark else {"user": user}


def own(task: Task, identity: Identity) -> bool:
    """A token sees its own tasks, a user also those of its tokens."""
    if identity.token is not None:
        return task.user == str(identity)
    return task.user.partition("!")[0] == identity.user


def parse(request: Request) -> dict[str, str]:
    """The parts of the UPID in the path. Raises 400 in Proxmox's words."""
    found = UPID.match(str(request.params["upid"]))
    if found is None:
        raise bad_parameters({"upid": "unable to parse worker upid"})
    return found.groupdict()


def find(world: World, request: Request) -> Task:
    """The task, on the node asked. Raises 400 `no such task`."""
    parse(request)
    task = world.tasks.get(str(request.params["upid"]))
    if task is None or task.node != request.node:
        raise bad_parameters({"upid": "no such task"})
    return task


def may_see(world: World, request: Request, task: Task) -> None:
    if not own(task, request.identity):
        check(world, request.identity, f"/nodes/{task.node}", ["Sys.Audit"])


def facts(task: Task) -> dict[str, Any]:
    return {
        "upid": task.upid,
        "node": task.node,
        "pid": task.pid,
        "pstart": task.pstart,
        "starttime": task.starttime,
        "type": task.kind,
        "id": task.id,
        **owner(task),
    }


def listed(task: Task) -> dict[str, Any]:
    """A row of a node's list."""
    if task.running:
        return facts(task) | {"status": "RUNNING", "saved": "0"}
    return facts(task) | {"status": task.status, "endtime": task.endtime}


def status_class(task: Task) -> str:
    if task.status == "OK":
        return "ok"
    if task.warned:
        return "warning"
    return "unknown" if task.status == "unexpected status" else "error"


def wanted(task: Task, params: dict[str, Any]) -> bool:
    """Whether the filters of a node's list let the task through."""
    classes = split_list(params["statusfilter"]) if "statusfilter" in params else []
    return not (
        ("vmid" in params and task.id != str(params["vmid"]))
        or ("typefilter" in params and task.kind != params["typefilter"])
        or ("userfilter" in params and params["userfilter"].lower() not in task.user.lower())
        or ("since" in params and task.starttime < params["since"])
        or ("until" in params and task.starttime > params["until"])
        or (params.get("errors") and not task.failed)
        or (classes and (task.running or status_class(task) not in classes))
    )


@route(
    "GET",
    "/nodes/{node}/tasks",
    fields={
        "errors": Boolean(optional=True),
        "limit": Integer(optional=True, minimum=0),
        "since": Integer(optional=True),
        "source": Text(optional=True, enum=("archive", "active", "all")),
        "start": Integer(optional=True, minimum=0),
        "statusfilter": Text(optional=True, list_of=any_text),
        "typefilter": Text(optional=True),
        "until": Integer(optional=True),
        "userfilter": Text(optional=True),
        "vmid": Integer(optional=True, format=VM.format, minimum=100, maximum=999999999),
    },
    permission=all_users,
)
def list_tasks(world: World, request: Request) -> Json:
    """Running ones first, then the newest; finished ones only unless `source` says otherwise."""
    params = request.params
    source = params.get("source", "archive")
    auditor = allowed(world, request.identity, f"/nodes/{request.node}", ["Sys.Audit"])
    running: list[Task] = []
    ended: list[Task] = []
    for task in world.tasks.newest():
        if task.node != request.node or not (auditor or own(task, request.identity)):
            continue
        if wanted(task, params):
            (running if task.running else ended).append(task)
    ended.sort(key=lambda task: -(task.ended_at or 0.0))
    found = (running if source != "archive" else []) + (ended if source != "active" else [])
    start, limit = params.get("start", 0), params.get("limit", 50)
    page = found[start:] if limit == 0 else found[start : start + limit]
    rows = [listed(task) for task in page]
    return Envelope(rows, {"total": len(found)}) if found else rows


@route("GET", "/nodes/{node}/tasks/{upid}", permission=all_users, proxy_node=False)
def list_task_parts(world: World, request: Request) -> Json:
    return [{"name": "log"}, {"name": "status"}]


@route("GET", "/nodes/{node}/tasks/{upid}/status", permission=all_users, protected=True)
def get_task_status(world: World, request: Request) -> Json:
    task = find(world, request)
    may_see(world, request, task)
    if task.running:
        return facts(task) | {"status": "running"}
    return facts(task) | {"status": "stopped", "exitstatus": task.status}


@route(
    "GET",
    "/nodes/{node}/tasks/{upid}/log",
    fields={
        "limit": Integer(optional=True, minimum=0),
        "start": Integer(optional=True, minimum=0),
    },
    permission=all_users,
    protected=True,
)
def get_task_log(world: World, request: Request) -> Json:
    """Lines from `start`, 50 by default, 0 for all. A missing log is no error."""
    parts = parse(request)
    task = world.tasks.get(str(request.params["upid"]))
    if task is None:
        if parts["user"] != str(request.identity):
            check(world, request.identity, f"/nodes/{request.node}", ["Sys.Audit"])
        line = {"n": 1, "t": "unable to open file - No such file or directory"}
        return Envelope(line, {"total": 1})
    may_see(world, request, task)
    start, limit = request.params.get("start", 0), request.params.get("limit", 50)
    end = len(task.lines) if limit == 0 else start + limit
    rows = [{"n": n, "t": text} for n, text in enumerate(task.lines, 1) if start < n <= end]
    return Envelope(rows, {"total": len(task.lines)})


@route("DELETE", "/nodes/{node}/tasks/{upid}", permission=all_users, protected=True)
def stop_task(world: World, request: Request) -> Json:
    """Needs Sys.Modify on the node for the tasks of others."""
    task = find(world, request)
    if not own(task, request.identity):
        check(world, request.identity, f"/nodes/{task.node}", ["Sys.Modify"])
    world.tasks.stop(task)
    return None


def last_refresh(world: World, node: str) -> float:
    """World time of the node's last broadcast of its task list: at a task's start, else every
    10 s, so that a task which just ended may look running for a while."""
    period = PERIOD / world.speed
    regular = world.booted + ((world.now - world.booted) // period) * period
    regular = min(regular, world.frozen.get(node, regular))
    return max(regular, world.tasks.last_start.get(node, 0.0))


def broadcast_row(task: Task, refreshed: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "upid": task.upid,
        "node": task.node,
        "starttime": task.starttime,
        "type": task.kind,
        "id": task.id,
        **owner(task),
    }
    if task.ended_at is None or task.ended_at > refreshed:
        return row | {"pid": task.pid}
    return row | {"endtime": task.endtime, "status": task.status, "saved": "1"}


@route("GET", "/cluster/tasks", permission=all_users)
def list_cluster_tasks(world: World, request: Request) -> Json:
    """What the nodes broadcast: running tasks and the latest finished ones."""
    auditor = allowed(world, request.identity, "/", ["Sys.Audit"])
    refreshed = {node: last_refresh(world, node) for node in world.nodes}
    running: dict[str, list[Task]] = {node: [] for node in world.nodes}
    ended: dict[str, list[Task]] = {node: [] for node in world.nodes}
    for task in world.tasks.newest():
        over = (task.ended_at or math.inf) <= refreshed[task.node]
        place = (ended if over else running)[task.node]
        enough = over and len(place) >= BROADCAST_FINISHED
        if not enough and (auditor or own(task, request.identity)):
            place.append(task)
    rows = []
    for node, at in refreshed.items():
        last = ended[node][: max(0, BROADCAST_FINISHED - len(running[node]))]
        rows += [broadcast_row(task, at) for task in (*running[node], *last)]
    return sorted(rows, key=lambda row: -int(row["starttime"]))
