"""`reconcile zombies`: what VMs that are gone have left behind."""

import click

from reconciler.cli.answer import OUTPUT_MARKDOWN, document
from reconciler.cli.keys import Named, clusters
from reconciler.cli.settings import EXIT_CHANGES, EXIT_FAILED, EXIT_USAGE, Settings


@click.command(short_help="List what VMs that are gone have left.")
@click.option(
    "--cluster",
    "names",
    multiple=True,
    type=Named(clusters),
    metavar="NAME",
    help="Only this cluster; may be given more than once.",
)
@OUTPUT_MARKDOWN
@click.pass_context
def zombies(ctx: click.Context, names: tuple[str, ...], output: str) -> None:
    """List what names a vmid that no guest of the cluster has, ours or not.

    Volumes (cloud-init drives too), backups, HA resources and rules, jobs of backup and
    replication, and entries of the access control list; each with the command that removes it. And
    the disks on holders, which outlived their VM, with what a spec says to adopt them.
    Removes nothing. Exit status 2 when there is something that nobody keeps on purpose, 1 when
    something could not be asked.

    \b
    Examples:
      reconcile zombies
      reconcile zombies --cluster lab --output json
      reconcile zombies --output markdown
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.show.zombies import render_zombies, zombies_json, zombies_markdown
    from reconciler.zombies.report import zombies as searched

    settings: Settings = ctx.obj
    at = now()
    with open_preview(settings.fleet, settings.database, at) as opened:
        for name in sorted(set(names) - opened.fleet.clusters.keys()):
            known = ", ".join(sorted(opened.fleet.clusters))
            click.echo(f"--cluster {name}: no such cluster; expected one of {known}", err=True)
            ctx.exit(EXIT_USAGE)
        found = searched(opened, names, at)
    if output == "json":
        click.echo(document(**zombies_json(found)))
    elif output == "markdown":
        click.echo(zombies_markdown(found))
    else:
        click.echo(render_zombies(found, paint()))
    if found.problems:
        ctx.exit(EXIT_FAILED)
    ctx.exit(EXIT_CHANGES if found.unwanted else 0)
