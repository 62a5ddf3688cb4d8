"""`reconcile ip`: pools and addresses, looked at and steered by a person."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer, document
from reconciler.cli.settings import EXIT_CHANGES, EXIT_FAILED, Settings

if TYPE_CHECKING:
    from reconciler.config import Opened


@click.group(short_help="Look at pools and addresses; reserve, release, quarantine.")
def ip() -> None:
    """Look at pools and addresses, and step in.

    \b
    Examples:
      reconcile ip list                                how full is each pool?
      reconcile ip show public-v4                      every address that is kept of one
      reconcile ip show 203.0.113.7                    whose is it?
      reconcile ip reserve 203.0.113.7 --for web-9 --why "announced to the customer"
      reconcile ip quarantine 203.0.113.8 --for 7d --why "on a blocklist"
      reconcile ip release 203.0.113.8
      reconcile ip check                               duplicates, leases without a VM, ...
    """


@ip.command("list", short_help="How full each pool is.")
@OUTPUT
@click.pass_obj
def list_pools(settings: Settings, output: str) -> None:
    """List the pools: where each is, how far it is used up, and how its free addresses lie.

    \b
    Examples:
      reconcile ip list
      reconcile ip list --output json
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.pools.usage import usage
    from reconciler.show.pools import pool_json, render_pools

    with open_preview(settings.fleet, settings.database, now()) as opened:
        found = usage(opened.fleet, opened.store)
    told = [pool_json(one) for one in found]
    click.echo(document(pools=told) if output == "json" else render_pools(found, paint()))


@ip.command(short_help="One pool, or one address.")
@click.argument("what", metavar="ADDRESS|POOL")
@OUTPUT
@click.pass_obj
def show(settings: Settings, what: str, output: str) -> None:
    """Show a pool with every address that is kept of it, or whose an address is.

    Of a pool also the reverse zone that its network takes, where it has one of its own.

    \b
    Examples:
      reconcile ip show public-v4
      reconcile ip show 2001:db8::7
    """
    from reconciler.cli.opening import now
    from reconciler.config import open_preview

    with open_preview(settings.fleet, settings.database, now()) as opened:
        if what in opened.fleet.pools:
            _show_pool(opened, what, output)
        else:
            _show_address(opened, what, output)


def _show_pool(opened: "Opened", name: str, output: str) -> None:
    from reconciler.cli.output import paint
    from reconciler.pools.usage import held_in, holdings, usage
    from reconciler.show.pools import holding_json, pool_json, render_pool

    held = holdings(opened.fleet, opened.store)
    one = next(use for use in usage(opened.fleet, opened.store) if use.name == name)
    mine = held_in(name, one.pool, held)
    if output == "json":
        click.echo(document(**pool_json(one), addresses=[holding_json(each) for each in mine]))
    else:
        click.echo(render_pool(one, mine, paint()))


def _show_address(opened: "Opened", text: str, output: str) -> None:
    from reconciler.cli.output import paint
    from reconciler.pools.usage import holding
    from reconciler.show.pools import holding_json, render_address

    try:
        one = holding(text, opened.fleet, opened.store)
    except ValueError:
        names = ", ".join(sorted(opened.fleet.pools)) or "none"
        raise click.ClickException(f"{text} is no address and no pool; pools: {names}") from None
    click.echo(document(**holding_json(one)) if output == "json" else render_address(one, paint()))


@ip.command(short_help="Keep an address back, for one VM or from all.")
@click.argument("address")
@click.option("--for", "vm", metavar="VM", help="Only this VM may lease it; it goes first there.")
@click.option("--why", required=True, metavar="TEXT", help="The reason, for whoever asks later.")
@OUTPUT
@click.pass_obj
def reserve(settings: Settings, address: str, vm: str | None, why: str, output: str) -> None:
    """Keep an address of a pool back until it is released: for one VM, or from all.

    \b
    Examples:
      reconcile ip reserve 203.0.113.7 --for web-9 --why "announced to the customer"
      reconcile ip reserve 203.0.113.9 --why "the printer has it"
    """
    from reconciler.cli.opening import known_key, now, person
    from reconciler.config import open_live
    from reconciler.pools.steer import AddressError
    from reconciler.pools.steer import reserve as keep

    at = now()
    with open_live(settings.fleet, settings.database, at) as opened:
        key = known_key(vm, opened.fleet, opened.store.memories()) if vm else None
        try:
            text = keep(address, key, why, person(), at, opened.fleet, opened.store)
        except AddressError as error:
            raise click.ClickException(str(error)) from None
    answer(output, text, address=address, vm=key, why=why)


@ip.command(short_help="End a reservation or a quarantine.")
@click.argument("address")
@OUTPUT
@click.pass_obj
def release(settings: Settings, address: str, output: str) -> None:
    """Give an address free that is reserved, rests, or is still leased to a VM that is gone.

    What a VM has is given back by its spec, not here.

    \b
    Examples:
      reconcile ip release 203.0.113.7
    """
    from reconciler.cli.opening import now
    from reconciler.config import open_live
    from reconciler.pools.steer import AddressError
    from reconciler.pools.steer import release as free

    with open_live(settings.fleet, settings.database, now()) as opened:
        try:
            was = free(address, opened.fleet, opened.store)
        except AddressError as error:
            raise click.ClickException(str(error)) from None
    answer(output, f"{address} is free; it {was}", address=address, was=was)


@ip.command(short_help="Let an address rest.")
@click.argument("address")
@click.option("--for", "lasts", metavar="TIME", help="1h, 7d; without: until it is released.")
@click.option("--why", required=True, metavar="TEXT", help="The reason, for whoever asks later.")
@OUTPUT
@click.pass_obj
def quarantine(settings: Settings, address: str, lasts: str | None, why: str, output: str) -> None:
    """Let a free address rest: nobody leases it until then.

    \b
    Examples:
      reconcile ip quarantine 203.0.113.8 --for 7d --why "on a blocklist"
    """
    from reconciler.cli.opening import length, now
    from reconciler.config import open_live
    from reconciler.pools.steer import AddressError
    from reconciler.pools.steer import quarantine as rest
    from reconciler.show.text import json_when, show_when

    at = now()
    span = length(lasts) if lasts else None
    with open_live(settings.fleet, settings.database, at) as opened:
        try:
            until = rest(address, span, why, at, opened.fleet, opened.store)
        except AddressError as error:
            raise click.ClickException(str(error)) from None
    text = f"{address} rests until {show_when(until) if until else 'it is released'}"
    answer(output, text, address=address, until=json_when(until) if until else None, why=why)


@ip.command(short_help="Look for what is wrong with addresses.")
@OUTPUT
@click.pass_context
def check(ctx: click.Context, output: str) -> None:
    """Look for addresses that two VMs have, that one has whom nobody gave it, and the like.

    Reads the config of every VM of every cluster, also of those that are not ours, as far as it
    was not read before; writes nothing. Exit status 2 when something is wrong.

    \b
    Examples:
      reconcile ip check
      reconcile ip check --output json
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import notes_aside, paint
    from reconciler.clock import SystemClock
    from reconciler.config import open_preview
    from reconciler.pools.check import check as look
    from reconciler.show.pools import checked_json, render_checked

    settings: Settings = ctx.obj
    with open_preview(settings.fleet, settings.database, now()) as opened:
        found = look(opened, notes_aside(), SystemClock())
    text = render_checked(found, paint())
    click.echo(document(**checked_json(found)) if output == "json" else text)
    if found.unknown:
        ctx.exit(EXIT_FAILED)
    ctx.exit(EXIT_CHANGES if found.problems else 0)
