"""When jobs run by themselves: each node's scheduler starts them at their calendar event.

A job's next run is a step of a task that nobody sees, so it is saved with the world.
Sources: pve-manager PVE/Service/pvescheduler.pm, PVE/Jobs/VZDump.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity
from reconciler.sim.backup.archive import shelf
from reconciler.sim.backup.calendar import parse_event
from reconciler.sim.backup.options import OPTIONS
from reconciler.sim.backup.vzdump import back_up
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import Refusal

if TYPE_CHECKING:
    from reconciler.sim.world import World

ROOT = Identity("root@pam")


def plan_run(world: World, name: str) -> None:
    """Wait for the job's next event; what was planned before counts no more."""
    job = shelf(world).jobs[name]
    due = parse_event(str(job["schedule"])).after(world.now)
    if due is None or not world.nodes:
        return
    args = {"name": name, "due": due, "schedule": str(job["schedule"])}
    wait = (due - world.now) * world.speed
    world.tasks.later(next(iter(world.nodes)), [Step("backup.due", args, wait)])


@step("backup.due")
def run_job(world: World, task: Task, name: str, due: int, schedule: str) -> None:
    """Start the job on every node that is up, then wait for the next time."""
    job = shelf(world).jobs.get(name)
    if job is None or job["schedule"] != schedule or shelf(world).runs.get(name) == due:
        return
    shelf(world).runs[name] = due
    if job.get("enabled", 1) and world.quorate:
        for node in sorted(world.nodes):
            if world.nodes[node].online and job.get("node") in (None, node):
                _start(world, node, job)
    plan_run(world, name)


def _start(world: World, node: str, job: dict[str, Any]) -> None:
    params = {key: value for key, value in job.items() if key in OPTIONS} | {"quiet": 1}
    try:
        back_up(world, node, ROOT, params | {"node": node})
    except Refusal as refusal:
        world.log(node, "root@pam", "pvescheduler", refusal.reason.rstrip("\n"), pri=3)
