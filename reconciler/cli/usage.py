"""`reconcile usage`: the traffic of each VM, as the store has it."""

from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from reconciler.cli.answer import document
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from reconciler.config import Opened
    from reconciler.usage.statement import Statement


@click.command(short_help="Show, chart, sign and check the traffic of VMs.")
@click.argument("vms", nargs=-1, metavar="[VM]...")
@click.option("--month", metavar="YYYY-MM", help="A past month. Default: the present one.")
@click.option("--hours", is_flag=True, help="Every hour of one VM, of the last 35 days.")
@click.option(
    "--output", type=click.Choice(["text", "csv", "json"]), default="text", show_default=True
)
@click.option(
    "--chart",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw the last 35 days into a file .svg or .png.",
)
@click.option("--sync", is_flag=True, help="Read the counters now, then show.")
@click.option("--sign", is_flag=True, help="Print the month as a signed document.")
@click.option(
    "--verify",
    type=click.File(encoding="utf-8"),
    help="Check a signed document; print what it says.",
)
@click.option("--signed-by", metavar="KEY", help="With --verify: by whom it must be signed.")
@click.pass_context
def usage(
    ctx: click.Context,
    vms: tuple[str, ...],
    month: str | None,
    hours: bool,
    output: str,
    chart: Path | None,
    sync: bool,
    sign: bool,
    verify: IO[str] | None,
    signed_by: str | None,
) -> None:
    """Show how many bytes each VM received and sent in a month, and what is over its allowance.

    Every figure is the stored one, sampled by every run; nothing is read from a cluster, but with
    --sync. VM is a key or a glob.

    \b
    Examples:
      reconcile usage
      reconcile usage 'web-*' --month 2026-10 --output csv
      reconcile usage web-1 --hours
      reconcile usage --chart traffic.svg
      reconcile usage --month 2026-10 --sign > october.json
      reconcile usage --verify october.json
    """
    from reconciler.cli.opening import now
    from reconciler.config import open_live, open_preview

    if verify is not None:
        _verified(verify.read(), signed_by)
        return
    if hours and len(vms) != 1:
        raise click.UsageError("--hours shows one VM: give its key")
    settings: Settings = ctx.obj
    opening = open_live if sync else open_preview
    with opening(settings.fleet, settings.database, now()) as opened:
        if sync:
            _synced(opened, vms)
        if hours:
            _hours(opened, vms[0], output)
            return
        found = _statement(opened, month, vms)
        _missed(found, vms)
        if chart:
            _drawn(found, chart)
        if sign:
            _signed(opened, found)
        else:
            _shown(found, output)


def _statement(opened: "Opened", month: str | None, vms: tuple[str, ...]) -> "Statement":
    from reconciler.cli.opening import now
    from reconciler.usage.statement import WrongMonth, statement

    try:
        return statement(opened.store, opened.fleet, month, now(), vms)
    except WrongMonth as error:
        raise click.UsageError(str(error)) from None


def _missed(found: "Statement", vms: tuple[str, ...]) -> None:
    """Say which globs name nobody; a machine that is gone is named by its key all the same."""
    from reconciler.prepare import fits

    for glob in vms:
        if not any(fits(one.key, (glob,)) for one in found.lines):
            click.echo(f"! {glob}: no VM of that name was metered in {found.month}", err=True)


def _shown(found: "Statement", output: str) -> None:
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.show.usage import render_usage, usage_csv, usage_json

    if output == "csv":
        click.echo(usage_csv(found), nl=False)
    elif output == "json":
        click.echo(document(**usage_json(found)))
    else:
        click.echo(render_usage(found, now().date(), paint()))


def _hours(opened: "Opened", key: str, output: str) -> None:
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.show.usage import hours_csv, hours_json, render_hours
    from reconciler.usage.statement import KEPT, hours_of

    found = hours_of(opened.store, key, now() - KEPT, now())
    if output == "csv":
        click.echo(hours_csv(found), nl=False)
    elif output == "json":
        click.echo(document(vm=key, hours=hours_json(found)))
    else:
        click.echo(render_hours(found, paint()))


def _synced(opened: "Opened", vms: tuple[str, ...]) -> None:
    from reconciler.cli.opening import now
    from reconciler.usage.sync import sync_now

    for problem in sync_now(opened, vms, now):
        click.echo(f"! {problem}", err=True)


def _drawn(found: "Statement", path: Path) -> None:
    from reconciler.cli.opening import now
    from reconciler.usage.chart import NoChart, draw

    try:
        draw(found, path, now().date())
    except (NoChart, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"drawn: {path}", err=True)


def _signed(opened: "Opened", found: "Statement") -> None:
    from reconciler.show.usage import usage_json
    from reconciler.usage.signed import sign

    if found.at is None:
        raise click.ClickException("nothing was metered yet, so there is nothing to sign")
    click.echo(sign(usage_json(found), opened.store.vault))


def _verified(text: str, signed_by: str | None) -> None:
    from reconciler.usage.signed import NotSigned, check

    try:
        found = check(text, signed_by)
    except NotSigned as error:
        raise click.ClickException(str(error)) from None
    click.echo(document(public_key=found.public_key, statement=found.statement))
