"""`reconcile queue`: one-off calls, and all other work that is under way or is tried again."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer, document
from reconciler.cli.keys import Named, clusters, vm_keys
from reconciler.cli.queue_upkeep import clean, fail_stuck, log
from reconciler.cli.settings import EXIT_FAILED, Settings

if TYPE_CHECKING:
    from state.queue import QueueJob
    from state.store import Store

NUMBER = click.argument("number", type=click.IntRange(min=1), metavar="ID")


@click.group(short_help="One-off calls, and all work that is tried again.")
def queue() -> None:
    """One-off API calls: each sent once, guarded, followed, tried again a few times, told.

    The list has beside them what else is under way: verbs that were asked of VMs, steps that
    failed and are tried again, notices that were not delivered.

    \b
    Examples:
      reconcile queue add --vm web-1 --method POST --path '/nodes/{node}/qemu/{vmid}/status/reboot'
      reconcile queue list
      reconcile queue show 12 --follow
      reconcile queue retry 12
    """


@queue.command(short_help="Put a call in the queue.")
@click.option("--cluster", type=Named(clusters), metavar="NAME", help="Default: that of the VM.")
@click.option("--vm", type=Named(vm_keys), metavar="KEY", help="Gives {node} and {vmid}.")
@click.option(
    "--method",
    required=True,
    type=click.Choice(["POST", "PUT", "DELETE"], case_sensitive=False),
    help="What changes nothing needs no queue.",
)
@click.option("--path", required=True, metavar="PATH", help="Below /api2/json.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
@click.option(
    "--priority",
    type=click.IntRange(-99, 99),
    default=0,
    metavar="N",
    help="Higher goes first.",
)
@click.option(
    "--max-attempts", type=click.IntRange(1, 100), default=5, show_default=True, metavar="N"
)
@click.option("--at", "when", metavar="TIME", help="Not before: 2h, 3d or 2026-03-01T12:00.")
@OUTPUT
@click.pass_obj
def add(
    settings: Settings,
    cluster: str | None,
    vm: str | None,
    method: str,
    path: str,
    params: tuple[str, ...],
    priority: int,
    max_attempts: int,
    when: str | None,
    output: str,
) -> None:
    """Let a run send one API call. Which ones there are is told by docs/queue.md.

    A call on a VM waits while the VM is locked, held, at work or in a deny window, and goes to the
    node that it is on then. It is sent at most once for each try: where an answer is lost, what
    became of it is found out first.

    \b
    Examples:
      reconcile queue add --vm web-1 --method POST \\
          --path '/nodes/{node}/qemu/{vmid}/snapshot' --param snapname=before --at 2h
      reconcile queue add --cluster lab --method POST --path /nodes/pve1/apt/update --priority 10
    """
    from reconciler.cli.opening import moment, now, person
    from reconciler.config import open_live
    from reconciler.queue.asking import Request, asked
    from reconciler.queue.rules import Refused
    from reconciler.show.queue import job_json
    from reconciler.show.text import show_when

    at = now()
    with open_live(settings.fleet, settings.database, at) as opened:
        request = Request(
            method,
            path,
            dict(map(_pair, params)),
            person(),
            at,
            cluster or "",
            vm or "",
            moment(when, at) if when else None,
            priority,
            max_attempts,
        )
        try:
            job = asked(opened.fleet, opened.store, request)
        except Refused as error:
            raise click.ClickException(str(error)) from None
        made = opened.store.queue.add(job)
    due = made.not_before
    sent = f"sent by the first run after {show_when(due)}" if due > at else "the next run sends it"
    answer(output, f"job {made.id}: {made.call}: {sent}", **job_json(made))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"expected NAME=VALUE, seen {text!r}", param_hint="--param")
    return name, value


@queue.command(short_help="Try work again now.")
@click.argument("work", metavar="ID")
@OUTPUT
@click.pass_obj
def retry(settings: Settings, work: str, output: str) -> None:
    """Put a job that failed or was cancelled back, or one that waits in front.

    ID is a job's number, or KEY:STEP of a step that failed, as the list has it.

    \b
    Examples:
      reconcile queue retry 12
      reconcile queue retry web-1:cpu
    """
    from reconciler.cli.opening import now, person
    from reconciler.config import open_live

    key, colon, step = work.rpartition(":")
    with open_live(settings.fleet, settings.database, now()) as opened:
        if colon:
            if step not in opened.store.attempts.of(key):
                raise click.ClickException(f"nothing of {work} has failed")
            opened.store.attempts.clear(key, step)
            answer(output, f"{work}: the next run tries it", id=work, status="queued")
            return
        if not work.isdigit():
            raise click.BadParameter(f"expected a number or KEY:STEP, seen {work}")
        number = int(work)
        job = _job(opened.store, number)
        if job.status in ("running", "success"):
            raise click.ClickException(f"job {number} is {job.status}: nothing to be tried again")
        _insist(opened.store.queue.again(job, now(), person()), number)
    answer(output, f"job {number}: the next run sends it", id=number, status="queued")


@queue.command(short_help="Take a job out of the queue.")
@NUMBER
@OUTPUT
@click.pass_obj
def cancel(settings: Settings, number: int, output: str) -> None:
    """Take a job that was not sent yet out of the queue.

    \b
    Examples:
      reconcile queue cancel 12
    """
    from reconciler.cli.opening import now, person
    from reconciler.config import open_live

    with open_live(settings.fleet, settings.database, now()) as opened:
        job = _job(opened.store, number)
        if job.status != "queued":
            raise click.ClickException(f"job {number} is {job.status}: too late")
        _insist(opened.store.queue.cancel(job, now(), person()), number)
    answer(output, f"job {number}: cancelled", id=number, status="cancelled")


@queue.command("list", short_help="List the work.")
@click.option(
    "--status",
    "chosen",
    multiple=True,
    type=click.Choice(["queued", "running", "success", "error", "cancelled"]),
    help="Only of this status; may be repeated.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(["job", "verb", "retry", "notice"]),
    help="Only work of this kind; may be repeated.",
)
@click.option("--vm", metavar="GLOB", help="Only of these VMs.")
@click.option("--search", metavar="TEXT", help="Only where TEXT stands in the action or error.")
@click.option(
    "--sort",
    type=click.Choice(["next", "priority", "server", "target", "attempts"]),
    default="next",
    show_default=True,
)
@OUTPUT
@click.pass_context
def list_queue(
    ctx: click.Context,
    chosen: tuple[str, ...],
    kinds: tuple[str, ...],
    vm: str | None,
    search: str | None,
    sort: str,
    output: str,
) -> None:
    """List the jobs, and all other work that is under way or is tried again.

    Exit status 1 when a job was given up.

    \b
    Examples:
      reconcile queue list
      reconcile queue list --status error
      reconcile queue list --kind retry --vm 'web-*' --output json
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.queue.listing import Chosen, listed
    from reconciler.show.queue import render_work, work_json

    settings: Settings = ctx.obj
    at = now()
    with open_preview(settings.fleet, settings.database, at) as opened:
        wanted = Chosen(chosen, kinds, vm or "", search or "", sort)
        found = listed(opened.store, at, wanted)
    if output == "json":
        click.echo(document(work=[work_json(one) for one in found]))
    else:
        click.echo(render_work(found, at, paint()))
    ctx.exit(EXIT_FAILED if any(one.status == "error" for one in found) else 0)


@queue.command(short_help="Show a job with its log.")
@NUMBER
@click.option("--follow", is_flag=True, help="Go on until it has ended.")
@OUTPUT
@click.pass_context
def show(ctx: click.Context, number: int, follow: bool, output: str) -> None:
    """Show one job: its call, how often it was tried, each step, its end.

    With --follow each step as it comes. Exit status 1 when it was given up.

    \b
    Examples:
      reconcile queue show 12
      reconcile queue show 12 --follow
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.clock import SystemClock
    from reconciler.config import open_preview
    from reconciler.queue.watch import steps_of
    from reconciler.show.queue import job_json, line_json, render_end, render_job, render_line

    settings: Settings = ctx.obj
    with open_preview(settings.fleet, settings.database, now()) as opened:
        job = _job(opened.store, number)
        if output == "text":
            click.echo(render_job(job, paint()))
        lines = []
        for line in steps_of(opened.store, number, SystemClock(), follow=follow):
            lines.append(line)
            if output == "text":
                click.echo(render_line(line))
        job = _job(opened.store, number)
    if output == "json":
        click.echo(document(**job_json(job), log=[line_json(line) for line in lines]))
    elif job.status in ("error", "cancelled"):
        click.echo(render_end(job, paint()))
    ctx.exit(EXIT_FAILED if job.status == "error" else 0)


for command in (fail_stuck, clean, log):
    queue.add_command(command)


@click.command("process-queue", short_help="Send the jobs that are due, as `job run` does.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=1),
    default=55.0,
    show_default=True,
    metavar="SECONDS",
    help="End by then; the next run goes on.",
)
@OUTPUT
@click.option("-v", "--verbose", is_flag=True, help="Also API requests.")
@click.option("-q", "--quiet", is_flag=True, help="Only what is wrong.")
@click.pass_context
def process_queue(
    ctx: click.Context, time_limit: float, output: str, verbose: bool, quiet: bool
) -> None:
    """Send the jobs that are due and follow them; `reconcile --once` does so too.

    \b
    Examples:
      * * * * * reconcile --fleet /etc/fleet process-queue --time-limit=55 -q     (cron)
    """
    from reconciler.cli.job import run_named
    from reconciler.cli.once import Once

    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet exclude each other")
    asked = Once(output=output, time_limit=time_limit, verbose=verbose, quiet=quiet)
    ctx.exit(run_named(ctx.obj, "process_queue", asked))


def _job(store: "Store", number: int) -> "QueueJob":
    found = store.queue.of(number)
    if found is None:
        raise click.ClickException(f"no job {number}; see reconcile queue list")
    return found


def _insist(moved: "QueueJob | None", number: int) -> None:
    if moved is None:
        raise click.ClickException(f"job {number} has moved on meanwhile: look again")
