"""`reconcile debt`: what waits for a restart, and letting the drain of it go on."""

import click

from reconciler.cli.answer import OUTPUT_MARKDOWN, document
from reconciler.cli.settings import EXIT_CHANGES, EXIT_FAILED, Settings


@click.command(short_help="Show which VMs wait for a restart.")
@click.argument("vms", nargs=-1, metavar="[VM]...")
@click.option("--resume", is_flag=True, help="Let VMs be restarted again after one has failed.")
@OUTPUT_MARKDOWN
@click.pass_context
def debt(ctx: click.Context, vms: tuple[str, ...], resume: bool, output: str) -> None:
    """Show the VMs that run with other values than their config has, until they are restarted.

    For each: since when, by which policy and at which time it is restarted, how long that is
    expected to take (by past restarts, from the request to stop until it is ready), and its
    anti-affinity group. Reads the clusters and writes nothing. Exit status 2 when a VM waits.

    \b
    Examples:
      reconcile debt
      reconcile debt 'db-*' --output markdown
      reconcile debt --resume        a person has looked at the VM that did not come back
    """
    from reconciler.cli.output import notes_aside, paint
    from reconciler.debt import debts
    from reconciler.options import RunOptions
    from reconciler.show.debt import debts_json, render_debts, render_markdown

    settings: Settings = ctx.obj
    if resume:
        click.echo(_resumed(settings))
        return
    aside = notes_aside()
    found = debts(RunOptions(settings.fleet, settings.database, only=vms), aside)
    if output == "json":
        click.echo(document(**debts_json(found)))
    elif output == "markdown":
        click.echo(render_markdown(found))
    else:
        click.echo(render_debts(found, paint()))
    if found.problems or found.unknown:
        ctx.exit(EXIT_FAILED)
    ctx.exit(EXIT_CHANGES if found.vms else 0)


def _resumed(settings: Settings) -> str:
    from reconciler.cli.opening import now
    from reconciler.config import open_live
    from reconciler.drain import resume

    with open_live(settings.fleet, settings.database, now()) as opened:
        stopped = resume(opened.store)
    if stopped is None:
        return "restarts were not stopped"
    return f"VMs are restarted again; {stopped.key} did not come back: {stopped.why}"
