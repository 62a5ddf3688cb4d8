"""`reconcile job` and `reconcile locks`: scheduled work by name, and who is at work (C2)."""

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings

JOBS = {"process_vms": "make every VM what its spec says; the same as --once"}
ALIASES = {
    "processVms": "process_vms",
    "process_virtual_machines": "process_vms",
    "processVirtualMachines": "process_vms",
}
"""Other names under which jobs are asked for: camelCase, and the long form."""


def known_job(name: str) -> str:
    """Return the job's own name; raises UsageError for one that there is not."""
    found = ALIASES.get(name, name)
    if found not in JOBS:
        raise click.UsageError(f"no job {name}; there is {', '.join(JOBS)}")
    return found


@click.group()
def job() -> None:
    """Scheduled work by name.

    \b
    Examples:
      reconcile job list
      reconcile job run process_vms
      reconcile --run-task=processVirtualMachines      the same
    """


@job.command("list")
@OUTPUT
@click.pass_obj
def list_jobs(settings: Settings, output: str) -> None:
    """List the jobs, how often they run, and when each ran last."""
    from reconciler.cli.opening import now
    from reconciler.config import open_preview
    from reconciler.show.text import Paint, json_when, show_interval, show_when, table

    with open_preview(settings.fleet, settings.database, now()) as opened:
        last = next((run for run in opened.store.journal.runs(limit=50) if not run.dry), None)
    when = show_when(last.started_at) if last else "never"
    every = opened.fleet.schedule.interval("process_vms")
    pause = show_interval(every) if every else "off"
    rows = [(name, pause, when, about) for name, about in JOBS.items()]
    ran = json_when(last.started_at) if last else None
    jobs = [
        {"job": name, "every": every, "last_run": ran, "about": about}
        for name, about in JOBS.items()
    ]
    answer(output, table(("JOB", "EVERY", "LAST RUN", "WHAT IT DOES"), rows, Paint()), jobs=jobs)


@job.command()
@click.argument("name")
@OUTPUT
@click.pass_context
def run(ctx: click.Context, name: str, output: str) -> None:
    """Run one job now, whenever it ran last."""
    from reconciler.cli.once import Once, once_or_dry

    known_job(name)
    ctx.exit(once_or_dry(ctx.obj, Once(output=output)))


@click.group()
def locks() -> None:
    """Who is at work.

    \b
    Examples:
      reconcile locks clear
    """


@locks.command()
@OUTPUT
@click.pass_obj
def clear(settings: Settings, output: str) -> None:
    """Say who holds the lock. It ends with its process, so none is ever left to be cleared."""
    from reconciler.location import fleet_lock

    holder = fleet_lock(settings.fleet, settings.database).holder()
    if holder:
        text = f"at work: {holder}. The lock ends with that process; nothing was cleared."
    else:
        text = "nobody is at work, and no lock is left behind."
    answer(output, text, at_work=holder or None)
