"""`reconcile dns`: the zones of the fleet, checked, shown, settled at once, and exported."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, document
from reconciler.cli.settings import EXIT_FAILED, Settings

if TYPE_CHECKING:
    from desired.zones import ZoneSpec
    from reconciler.config import Opened

ZONES = click.argument("zones", nargs=-1, metavar="[ZONE]...")


@click.group(short_help="Check, show and settle the DNS zones of the fleet.")
def dns() -> None:
    """Check, show and settle the DNS zones of the fleet.

    ZONE is a zone's name, for it at every provider, or its id such as example.net@powerdns; without
    one all are meant. Runs keep the zones by themselves.

    \b
    Examples:
      reconcile dns check
      reconcile dns show example.net
      reconcile dns resync example.net@powerdns
      reconcile dns export
    """


def _chosen(opened: "Opened", zones: tuple[str, ...]) -> "list[ZoneSpec]":
    from reconciler.dns.desk import NoSuchZone, chosen

    try:
        return chosen(opened, zones)
    except NoSuchZone as error:
        raise click.ClickException(str(error)) from None


@dns.command(short_help="Ask each provider for its zone.")
@ZONES
@OUTPUT
@click.pass_context
def check(ctx: click.Context, zones: tuple[str, ...], output: str) -> None:
    """Ask each provider for its zone, and show its own words where it refuses.

    Also names the reverse zone that each address pool needs. Nothing is written. Exit status 1
    when a zone is not there or refused, or its entry cannot be used.

    \b
    Examples:
      reconcile dns check
      reconcile dns check 113.0.203.in-addr.arpa
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.dns import desk
    from reconciler.show.dns import checked_json, hint_json, render_checked

    settings: Settings = ctx.obj
    with open_preview(settings.fleet, settings.database, now()) as opened:
        found = desk.check(opened, _chosen(opened, zones))
        hints, wrong = list(desk.hints(opened)), desk.unusable(opened, zones)
    if output == "json":
        told, pools = [checked_json(one) for one in found], [hint_json(*hint) for hint in hints]
        click.echo(document(zones=told, unusable=wrong, pools=pools))
    else:
        click.echo(render_checked(found, wrong, hints, paint()))
    if wrong or any(one.error for one in found):
        ctx.exit(EXIT_FAILED)


@dns.command(short_help="Show what is wanted and what is there.")
@ZONES
@OUTPUT
@click.pass_context
def show(ctx: click.Context, zones: tuple[str, ...], output: str) -> None:
    """Show zone by zone which records the VMs want, and what is there; of named zones each record.

    A record is ok, missing, wrong, foreign (somebody else's, left alone), stale (ours, to be
    removed) or kept (its VM cannot be judged now). Nothing is written. Exit status 1 when a zone
    could not be read.

    \b
    Examples:
      reconcile dns show
      reconcile dns show example.net --output json
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.clock import SystemClock
    from reconciler.config import open_preview
    from reconciler.dns import desk
    from reconciler.show.dns import render_shown, shown_json

    settings: Settings = ctx.obj
    with open_preview(settings.fleet, settings.database, now()) as opened:
        found = desk.show(opened, _chosen(opened, zones), SystemClock())
    if output == "json":
        click.echo(document(zones=[shown_json(one) for one in found]))
    else:
        click.echo(render_shown(found, paint(), each=bool(zones)))
    if any(one.error for one in found):
        ctx.exit(EXIT_FAILED)


@dns.command(short_help="Read zones anew and settle them now.")
@ZONES
@click.option("--adopt", is_flag=True, help="Make records ours that are there just as wanted.")
@OUTPUT
@click.pass_context
def resync(ctx: click.Context, zones: tuple[str, ...], adopt: bool, output: str) -> None:
    """Read zones anew whatever their serials say, and make them what the VMs want, at once.

    What was refused before is tried again too. With --adopt records that are just as wanted become
    ours, whoever wrote them. Exit status 1 when a record could not be written.

    \b
    Examples:
      reconcile dns resync
      reconcile dns resync example.net
      reconcile dns resync --adopt        after `rebuild-state`, where a provider has no comments
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import notes_aside
    from reconciler.clock import SystemClock
    from reconciler.config import open_live
    from reconciler.dns import desk
    from reconciler.location import fleet_lock
    from reconciler.show.dns import settled_json, settled_line

    settings: Settings = ctx.obj
    lock = fleet_lock(settings.fleet, settings.database)
    with lock, open_live(settings.fleet, settings.database, now()) as opened:
        opened.store.fenced(lock.insist)
        chosen = _chosen(opened, zones)
        settled = desk.resync(opened, chosen, notes_aside(), SystemClock(), adopts=adopt)
    if output == "json":
        click.echo(document(**settled_json(settled)))
    else:
        click.echo(settled_line(settled))
    if settled.counts.failed or any(turn.trouble for turn in settled.turns):
        ctx.exit(EXIT_FAILED)


@dns.command(short_help="Print every address with its names, as JSON.")
@click.pass_obj
def export(settings: Settings) -> None:
    """Print every address of the fleet's VMs with its names: [{forward, ip, reverse}, ...].

    \b
    Examples:
      reconcile dns export > names.json
    """
    from reconciler.cli.opening import now
    from reconciler.config import open_preview
    from reconciler.dns import desk

    with open_preview(settings.fleet, settings.database, now()) as opened:
        found = [asdict(one) for one in desk.export(opened)]
    click.echo(json.dumps(found, indent=2))
