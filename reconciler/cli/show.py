"""`reconcile show`: a VM as its spec has it, beside as Proxmox has it."""

import click

from reconciler.cli.answer import OUTPUT, document
from reconciler.cli.settings import EXIT_FAILED, Settings


@click.command(short_help="Show a VM as its spec has it beside as Proxmox has it.")
@click.argument("vm")
@click.option("--record", "whole", is_flag=True, help="One JSON document of all that is known.")
@OUTPUT
@click.pass_context
def show(ctx: click.Context, vm: str, whole: bool, output: str) -> None:
    """Show what the database knows of a VM beside what Proxmox says now: status, lock, and each
    field of processors, memory, disks and NICs as spec, live and pending value.

    Reads the VM's cluster and writes nothing. Exit status 1 when the VM could not be looked at.

    \b
    Examples:
      reconcile show web-1
      reconcile show web-1 --record      ids, status, MAC, reverse names, snapshots, backups
    """
    from reconciler.cli.opening import known_key, now
    from reconciler.cli.output import notes_aside, paint
    from reconciler.compare import compare
    from reconciler.options import RunOptions
    from reconciler.show.compare import render_comparison
    from reconciler.show.status import as_json
    from reconciler.specs import read_fleet

    settings: Settings = ctx.obj
    if whole:
        ctx.exit(_record(settings, vm))
    known_key(vm, read_fleet(settings.fleet, settings.database, now()), ())
    aside = notes_aside()
    try:
        found = compare(RunOptions(settings.fleet, settings.database), vm, aside)
    except KeyError:
        raise click.ClickException(f"{vm}: its spec is broken: reconcile validate") from None
    if output == "json":
        parts = as_json(found)
        assert isinstance(parts, dict)
        click.echo(document(**parts))
    else:
        click.echo(render_comparison(found, paint()))
    ctx.exit(EXIT_FAILED if found.remote.startswith("unknown") else 0)


def _record(settings: Settings, vm: str) -> int:
    """Print a VM's record; return the exit status."""
    from reconciler.cli.opening import known_key, now
    from reconciler.config import open_preview
    from reconciler.record import record
    from reconciler.status import fleet_status

    at = now()
    with open_preview(settings.fleet, settings.database, at) as opened:
        memories = opened.store.memories()
        key = known_key(vm, opened.fleet, memories)
        status = next(one for one in fleet_status(opened.fleet, opened.store, at) if one.key == key)
        found = record(opened, status, opened.store.memories([key])[key], at)
    click.echo(document(**found))
    return EXIT_FAILED if found["problem"] and found["vm_id"] is not None else 0
