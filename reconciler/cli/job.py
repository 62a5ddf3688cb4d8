"""`reconcile job` and `scheduled-tasks`: scheduled work by name (C2)."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer, document
from reconciler.cli.job_own import check, new
from reconciler.cli.settings import EXIT_CHANGES, EXIT_FAILED, Settings

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.cli.once import Once
    from reconciler.config import Opened
    from reconciler.loops.loop import Loop
    from reconciler.loops.standing import Standing

ONLY = click.option("--only", multiple=True, metavar="GLOB", help="Only VMs of these keys.")
LIMIT = click.option(
    "--time-limit",
    type=click.FloatRange(min=1),
    default=540.0,
    show_default=True,
    metavar="SECONDS",
    help="End by then; the next run goes on.",
)


def known_job(name: str, settings: Settings) -> "Loop":
    """Return the job of a name in either spelling; raises UsageError for one that there is not."""
    from reconciler.loops.registry import built_in, called
    from reconciler.own.loops import known_loops

    found = called(name)
    if found is not None:
        return found
    own, read = known_loops(settings.fleet)
    for loop in own:
        if loop.name == name:
            return loop
    if name in read.broken:
        raise click.UsageError(f"job {name} cannot be used; reconcile job check says why")
    names = ", ".join(loop.name for loop in (*built_in(), *own))
    raise click.UsageError(f"no job {name}; there is {names}")


@click.group()
def job() -> None:
    """Scheduled work by name: process_vms or processVms, either spelling.

    `reconcile --once` and `reconcile run` run every job that is due. When each is due is said by
    `schedule:` in fleet.yaml, and by `job edit` for this store alone.

    \b
    Examples:
      reconcile job list
      reconcile job run process_vms
      reconcile --run-task=processVirtualMachines      the same
    """


job.add_command(new)
job.add_command(check)


@job.command("list")
@OUTPUT
@click.pass_obj
def list_jobs(settings: Settings, output: str) -> None:
    """List the jobs: how often they run, when each ran last and runs next, how that ended."""
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.show.jobs import job_json, render_jobs

    at = now()
    with open_preview(settings.fleet, settings.database, at) as opened:
        jobs = _standings(opened, at)
    answer(output, render_jobs(jobs, at, paint()), jobs=[job_json(one) for one in jobs])


@click.command("list-tasks", short_help="The same as `job list`.")
@OUTPUT
@click.pass_context
def list_tasks(ctx: click.Context, output: str) -> None:
    """List the jobs; the same as `reconcile job list`.

    \b
    Examples:
      reconcile list-tasks
    """
    ctx.invoke(list_jobs, output=output)


@click.command("scheduled-tasks", short_help="Run every job that is due, as `--once` does.")
@LIMIT
@OUTPUT
@click.option("-v", "--verbose", is_flag=True, help="Also skips and API requests.")
@click.option("-q", "--quiet", is_flag=True, help="Only what is wrong.")
@click.pass_context
def scheduled_tasks(
    ctx: click.Context, time_limit: float, output: str, verbose: bool, quiet: bool
) -> None:
    """Run every job that is due, as `reconcile --once` does, with a cron line of ten minutes.

    \b
    Examples:
      */10 * * * * reconcile --fleet /etc/fleet scheduled-tasks --time-limit=540 -q     (cron)
    """
    from reconciler.cli.once import Once, once_or_dry

    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet exclude each other")
    asked = Once(output=output, time_limit=time_limit, verbose=verbose, quiet=quiet)
    ctx.exit(once_or_dry(ctx.obj, asked))


@job.command()
@click.argument("name")
@OUTPUT
@click.pass_obj
def show(settings: Settings, name: str, output: str) -> None:
    """Show one job, and what its last run said."""
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.loops.registry import called
    from reconciler.show.jobs import job_json, render_job

    at, known = now(), called(name)
    wanted = known.name if known else name
    with open_preview(settings.fleet, settings.database, at) as opened:
        jobs = _standings(opened, at)
    found = next((one for one in jobs if one.name == wanted), None)
    if found is None:
        raise click.UsageError(f"no job {name}; there is {', '.join(one.name for one in jobs)}")
    told = {**job_json(found), "output": found.output}
    click.echo(document(**told) if output == "json" else render_job(found, at, paint()))


@job.command()
@click.argument("name")
@ONLY
@LIMIT
@OUTPUT
@click.option("-v", "--verbose", is_flag=True, help="Also skips and API requests.")
@click.option("-q", "--quiet", is_flag=True, help="Only what is wrong.")
@click.pass_context
def run(
    ctx: click.Context,
    name: str,
    only: tuple[str, ...],
    time_limit: float,
    output: str,
    verbose: bool,
    quiet: bool,
) -> None:
    """Run one job now, whenever it ran last, be it due or disabled."""
    from reconciler.cli.once import Once

    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet exclude each other")
    once = Once(False, only, output, time_limit, verbose=verbose, quiet=quiet)
    ctx.exit(run_named(ctx.obj, name, once))


def run_named(settings: Settings, name: str, once: "Once") -> int:
    """Run one job, live or dry; return the exit status."""
    from reconciler.cli.once import run_job

    loop = known_job(name, settings)
    return _dry(settings, loop, once) if once.dry_run else run_job(settings, loop, once)


def _dry(settings: Settings, loop: "Loop", once: "Once") -> int:
    from reconciler.cli.once import dry_job, once_or_dry
    from reconciler.cli.output import paint
    from reconciler.report import PROCESS_VMS
    from reconciler.show.jobs import render_dry, result_json

    if loop.name == PROCESS_VMS:
        return once_or_dry(settings, once)
    result = dry_job(settings, loop, once)
    if result.plan is None and once.output == "json":
        click.echo(document(**result_json(loop.name, result)))
    elif result.plan is None:
        click.echo(render_dry(loop.name, result, paint()))
    if result.status == "error":
        return EXIT_FAILED
    return EXIT_CHANGES if result.processed else 0


@job.command("dry-run")
@click.argument("name")
@ONLY
@LIMIT
@click.option(
    "--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True
)
@click.pass_context
def dry_run(
    ctx: click.Context, name: str, only: tuple[str, ...], time_limit: float, output: str
) -> None:
    """Show what a run of one job would do; nothing is written or sent.

    Exit status 2 when it would do something.
    """
    from reconciler.cli.once import Once

    ctx.exit(run_named(ctx.obj, name, Once(True, only, output, time_limit)))


@job.command()
@click.argument("name")
@OUTPUT
@click.pass_obj
def enable(settings: Settings, name: str, output: str) -> None:
    """Let a job run by its schedule again."""
    _activate(settings, name, output, active=True)


@job.command()
@click.argument("name")
@OUTPUT
@click.pass_obj
def disable(settings: Settings, name: str, output: str) -> None:
    """Do not run a job by its schedule any more; `job run` still does."""
    _activate(settings, name, output, active=False)


@job.command()
@click.argument("name")
@click.option("--schedule", metavar="TEXT", help="'every 5min', 'daily at 02:30', a cron line, 0.")
@click.option("--reset", is_flag=True, help="By the fleet's schedule again.")
@OUTPUT
@click.pass_obj
def edit(settings: Settings, name: str, schedule: str | None, reset: bool, output: str) -> None:
    """Give a job another schedule in this store; it goes before that of fleet.yaml."""
    from desired.timetable import read_timetable
    from reconciler.cli.opening import now
    from reconciler.config import open_live

    loop = known_job(name, settings)
    if (schedule is None) is not reset:
        raise click.UsageError("give --schedule TEXT, or --reset")
    try:
        text = read_timetable(schedule).text if schedule is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--schedule") from None
    with open_live(settings.fleet, settings.database, now()) as opened:
        opened.store.loops.reschedule(loop.name, text, loop.active)
    said = f"{loop.name}: {text}" if text is not None else f"{loop.name}: as fleet.yaml says"
    answer(output, said, job=loop.name, schedule=text)


@job.command()
@click.argument("name")
@OUTPUT
@click.pass_obj
def remove(settings: Settings, name: str, output: str) -> None:
    """Remove a job whose code is not there any more from the list; all of a plugin by '*@PLUGIN'.

    \b
    Examples:
      reconcile job remove weekly_digest
      reconcile job remove '*@billing'
    """
    from fnmatch import fnmatchcase

    from reconciler.cli.opening import now
    from reconciler.config import open_live
    from reconciler.loops.registry import called
    from reconciler.own.loops import known_loops

    loop = called(name)
    if loop is not None:
        raise click.UsageError(
            f"job {loop.name} is built in and stays; reconcile job disable {loop.name}"
        )
    own, read = known_loops(settings.fleet)
    there = {one.name for one in own} | read.broken
    if name in there:
        raise click.UsageError(f"the code of {name} is there; delete that, or job disable {name}")
    with open_live(settings.fleet, settings.database, now()) as opened:
        rows = opened.store.loops.all()
        gone = [one for one in rows if one not in there and not called(one)]
        names = [one for one in gone if fnmatchcase(one, name)]
        for one in names:
            opened.store.loops.remove(one)
    if not names:
        raise click.UsageError(f"no job {name}")
    answer(output, f"{', '.join(names)}: removed", job=name, removed=True, jobs=names)


def _standings(opened: "Opened", at: "datetime") -> "list[Standing]":
    """Return every job of a fleet, its own among them."""
    from reconciler.loops.registry import built_in
    from reconciler.loops.standing import standings
    from reconciler.own.loops import own_loops

    own, found = own_loops(opened.fleet)
    return standings((*built_in(), *own), opened.fleet, opened.store, at, found.broken)


def _activate(settings: Settings, name: str, output: str, *, active: bool) -> None:
    from reconciler.cli.opening import now
    from reconciler.config import open_live

    loop = known_job(name, settings)
    with open_live(settings.fleet, settings.database, now()) as opened:
        opened.store.loops.activate(loop.name, active)
    answer(output, f"{loop.name}: {'on' if active else 'off'}", job=loop.name, active=active)
