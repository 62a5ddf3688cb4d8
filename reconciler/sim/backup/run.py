"""The vzdump task: opens its storage, waits for the node's global lock, then backs up one guest
after the other. A guest that fails costs the task its result, never the guests after it.

Source: pve-manager PVE/VZDump.pm (new, getlock, exec_backup, exec_backup_task).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, check
from reconciler.sim.backup import options
from reconciler.sim.backup.archive import shelf
from reconciler.sim.backup.guest import Plan, begin, give_up
from reconciler.sim.backup.report import clock
from reconciler.sim.backup.retention import parse_retention
from reconciler.sim.backup.vzdump import storage_info
from reconciler.sim.cluster.tasks import NO_CLOSING_LINE, Step, Task, step
from reconciler.sim.errors import Refusal, TaskFailed
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

LOCK_FILE = "/var/run/vzdump.lock"
LOOK_AGAIN = 10.0
"""Seconds of the cluster's clock after which a waiter looks at the lock at the latest."""

INTERRUPTED = "interrupted by signal"


def plain(refusal: Refusal) -> str:
    """What a die inside a task says: a refused right begins with its status."""
    text = refusal.reason.rstrip("\n")
    return f"403 {text}" if refusal.status == 403 else text


@step("vzdump.open")
def open_target(
    world: World,
    task: Task,
    params: dict[str, Any],
    vmids: list[int],
    user: str,
) -> list[Step]:
    """Fill in defaults and look at the storage; its faults are joined as Proxmox joins them."""
    task.interrupted = INTERRUPTED
    task.on_fail = Step("vzdump.aborted", {"plan": None})
    wish = {key: value for key, value in params.items() if key not in ("vmid", "node")}
    merged = {**options.DEFAULTS, "prune-backups": None, **wish}
    place = options.target_storage(params)
    if params.get("storage") and params.get("dumpdir"):
        raise TaskFailed("cannot use options 'storage' and 'dumpdir' at the same time")
    found = _examine(world, task.node, place, params)
    retention = merged["prune-backups"] or found.get("prune-backups") or "keep-all=1"
    merged["prune-backups"] = parse_retention(retention)
    if "keep-all" in merged["prune-backups"]:
        merged["remove"] = 0
    job = {
        "line": options.command_line(params),
        "options": merged | {"storage": place},
        "vmids": vmids,
        "user": user,
        "until": world.now + 60.0 * int(merged["lockwait"]),
        "waited": False,
    }
    return [Step("vzdump.queue", {"job": job})]


def _examine(world: World, node: str, place: str | None, params: dict[str, Any]) -> dict[str, str]:
    """What the storage says of its backups. Raises TaskFailed with every fault."""
    faults: list[str] = []
    found: dict[str, str] = {}
    if params.get("script"):
        faults.append(f"Error: The hook script '{params['script']}' does not exist.")
    if place is None:
        faults.append(f"dumpdir '{str(params['dumpdir']).rstrip('/')}' does not exist")
    else:
        try:
            storage.enabled_storage(world, place, node)
        except Refusal as refusal:
            faults.append(f"could not activate storage '{place}': {plain(refusal)}")
        try:
            found = storage_info(world, place)
        except Refusal as refusal:
            text = f"could not get storage information for '{place}'"
            faults.append(f"{text}: {plain(refusal)}")
    if params.get("tmpdir"):
        faults.append(f"tmpdir '{str(params['tmpdir']).rstrip('/')}' does not exist")
    if faults:
        raise TaskFailed(" ".join(faults))
    return found


@step("vzdump.queue")
def queue(world: World, task: Task, job: dict[str, Any]) -> list[Step] | None:
    """One backup at a time on a node; `lockwait` counts minutes that no speed shortens."""
    holders = shelf(world).holders
    holder = world.tasks.get(holders.get(task.node, ""))
    if holder is None or not holder.running or holder is task:
        holders[task.node] = task.upid
        if job["waited"]:
            task.say("INFO: got global lock")
        return [Step("vzdump.job", {"job": job})]
    if not job["options"]["lockwait"]:
        _no_lock(world, task, f"can't acquire lock '{LOCK_FILE}' (wait = 0)")
        return None
    if world.now >= job["until"]:
        _no_lock(world, task, f"can't acquire lock '{LOCK_FILE}' - got timeout")
        return None
    if not job["waited"]:
        task.say("INFO: trying to get global lock - waiting...")
        job["waited"] = True
    soon = holder.due - world.now if holder.due > world.now else LOOK_AGAIN
    wait = min(soon, LOOK_AGAIN, job["until"] - world.now)
    return [Step("vzdump.queue", {"job": job}, wait * world.speed)]


def _no_lock(world: World, task: Task, text: str) -> None:
    """The worker leaves without a closing line."""
    task.say(f"ERROR: {text}")
    world.tasks.fail(task, NO_CLOSING_LINE)


@step("vzdump.job")
def begin_job(world: World, task: Task, job: dict[str, Any]) -> list[Step]:
    """Who may not back up one of the guests gets none; with `all` it is left out instead."""
    task.say(f"INFO: starting new backup job: {job['line']}")
    identity, todo = Identity.parse(job["user"]), []
    for vmid in job["vmids"]:
        try:
            if vmid in world.vms:
                check(world, identity, f"/vms/{vmid}", ["VM.Backup"])
        except Refusal as refusal:
            if not job["options"].get("all"):
                raise TaskFailed(plain(refusal)) from refusal
            continue
        todo.append(vmid)
    done = {"vmids": todo, "options": job["options"], "user": job["user"], "faults": 0}
    return [Step("vzdump.next", {"job": done})]


@step("vzdump.next")
def next_guest(world: World, task: Task, job: dict[str, Any]) -> list[Step] | None:
    """The next guest's turn, or the end of the job."""
    if not job["vmids"]:
        if job["faults"]:
            task.say("INFO: Backup job finished with errors")
            raise TaskFailed("job errors")
        task.say("INFO: Backup job finished successfully")
        return None
    vmid = job["vmids"][0]
    rest = job | {"vmids": job["vmids"][1:]}
    plan = Plan(vmid, world.now, job["options"], job["user"])
    return begin(world, task, plan, rest)


@step("vzdump.aborted")
def abort(world: World, task: Task, plan: dict[str, Any] | None) -> None:
    """Somebody stopped the task: the guest at work is left as it was found."""
    if plan is None:
        return
    task.say(f"ERROR: {INTERRUPTED}")
    task.say("INFO: aborting backup job")
    give_up(world, task, Plan(**plan))
    task.say(f"ERROR: Backup of VM {plan['vmid']} failed - {INTERRUPTED}")
    task.say(f"INFO: Failed at {clock(world.now)}")
    task.say(f"ERROR: Backup job failed - {INTERRUPTED}")
