"""`reconcile verify`: one VM looked at anew, and put right where that is asked."""

import click

from reconciler.cli.answer import OUTPUT, document
from reconciler.cli.keys import Named, vm_keys
from reconciler.cli.settings import EXIT_CHANGES, EXIT_FAILED, Settings


@click.command(short_help="Look at a VM anew, and repair it.")
@click.argument("vm", type=Named(vm_keys))
@click.option("--repair", is_flag=True, help="Run the engine for this VM, then look again.")
@OUTPUT
@click.pass_context
def verify(ctx: click.Context, vm: str, repair: bool, output: str) -> None:
    """Read all of one VM anew and show what differs from its spec; nothing remembered is believed.

    Config, firewall, pool, HA, addresses and DNS records, and whether the volumes of its disks are
    on their storage. What is remembered of machines that are gone is forgotten. With --repair what
    differs is put right as by any run: held, locked and unapproved things wait. Exit status 2 when
    something differs, 1 when something could not be read.

    \b
    Examples:
      reconcile verify web-1
      reconcile verify web-1 --repair
    """
    from reconciler.cli.opening import known_key, now
    from reconciler.cli.output import busy, notes_aside, paint
    from reconciler.options import RunOptions
    from reconciler.show.verify import render_verified, verified_json
    from reconciler.specs import read_fleet
    from reconciler.verify import verify as look

    settings: Settings = ctx.obj
    known_key(vm, read_fleet(settings.fleet, settings.database, now()), ())
    options, aside = RunOptions(settings.fleet, settings.database), notes_aside()
    with busy("reading the cluster"):
        found = look(options, vm, aside)
    if repair and found.dry.differs:
        _repair(settings, vm, quiet=output == "json")
        found = look(options, vm, aside)
    if output == "json":
        click.echo(document(**verified_json(found)))
    else:
        click.echo(render_verified(found, paint()))
    if found.failed:
        ctx.exit(EXIT_FAILED)
    ctx.exit(EXIT_CHANGES if found.differs else 0)


def _repair(settings: Settings, vm: str, *, quiet: bool) -> None:
    """Run the engine for one VM; what it says goes to standard error when an answer follows."""
    from reconciler.cli.once import Once, once_or_dry
    from reconciler.cli.opening import person
    from reconciler.cli.output import notes_aside
    from reconciler.loops.cycle import run_due
    from reconciler.options import RunOptions

    if not quiet:
        once_or_dry(settings, Once(only=(vm,)))
        return
    run_due(RunOptions(settings.fleet, settings.database, only=(vm,), by=person()), notes_aside())
