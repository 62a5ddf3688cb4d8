"""`reconcile orphans`: VMs whose spec has gone, and what becomes of them."""

import click

from reconciler.cli.answer import OUTPUT_MARKDOWN, document
from reconciler.cli.settings import EXIT_CHANGES, Settings


@click.command(short_help="List the VMs whose spec has gone.")
@click.argument("vms", nargs=-1, metavar="[VM]...")
@OUTPUT_MARKDOWN
@click.pass_context
def orphans(ctx: click.Context, vms: tuple[str, ...], output: str) -> None:
    """List the VMs that no spec names any more.

    For each: since when runs miss its spec, who removed it (the commit, or the author of the delete
    in the database), and when prune will destroy it, or why it will not. Asks no cluster and writes
    nothing. Exit status 2 when there is one.

    \b
    Examples:
      reconcile orphans
      reconcile orphans 'cache/*' --output json
      reconcile orphans --output markdown
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.orphans.watch import watched
    from reconciler.prepare import fits
    from reconciler.show.orphans import orphans_json, orphans_markdown, render_orphans

    settings: Settings = ctx.obj
    at = now()
    with open_preview(settings.fleet, settings.database, at) as opened:
        orphaned = watched(opened.fleet, opened.store, at)[1].orphans
    found = [orphaned[key] for key in sorted(orphaned) if fits(key, vms)]
    if output == "json":
        click.echo(document(**orphans_json(found, at)))
    elif output == "markdown":
        click.echo(orphans_markdown(found))
    else:
        click.echo(render_orphans(found, paint()))
    ctx.exit(EXIT_CHANGES if found else 0)
