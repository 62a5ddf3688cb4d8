"""Commands by which a person steps in: hold, unhold, approve, rebuild-state."""

from datetime import timedelta

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import EXIT_FAILED, Settings

PLANNING = timedelta(minutes=5)
"""How long planning afresh may take."""


@click.command(short_help="Leave a VM alone for a while.")
@click.argument("vm")
@click.option("--why", required=True, metavar="TEXT", help="The reason, for whoever asks later.")
@click.option("--until", metavar="WHEN", help="2h, 3d or 2026-03-01T12:00; without: until unhold.")
@OUTPUT
@click.pass_obj
def hold(settings: Settings, vm: str, why: str, until: str | None, output: str) -> None:
    """Leave a VM alone: nothing is written to it while the hold stands.

    The tag `hold` on the VM in Proxmox does the same.

    \b
    Examples:
      reconcile hold web-1 --why "debugging the kernel" --until 4h
    """
    from reconciler.cli.opening import known_key, moment, now
    from reconciler.config import open_live
    from reconciler.show.text import json_when, show_when
    from state.memory import Hold

    at = now()
    end = moment(until, at) if until else None
    with open_live(settings.fleet, settings.database, at) as opened:
        key = known_key(vm, opened.fleet, opened.store.memories())
        opened.store.holds.put(Hold(key, why, at, end))
    text = f"{vm} is held{f' until {show_when(end)}' if end else ''}: {why}"
    answer(output, text, vm=vm, held=True, why=why, until=json_when(end) if end else None)


@click.command(short_help="Lift a hold.")
@click.argument("vm")
@OUTPUT
@click.pass_obj
def unhold(settings: Settings, vm: str, output: str) -> None:
    """Lift a hold; the next run goes on with the VM.

    \b
    Examples:
      reconcile unhold web-1
    """
    from reconciler.cli.opening import known_key, now
    from reconciler.config import open_live

    with open_live(settings.fleet, settings.database, now()) as opened:
        lifted = opened.store.holds.lift(vm)
        if not lifted:
            known_key(vm, opened.fleet, opened.store.memories())
    text = f"{vm} goes on with the next run" if lifted else f"{vm} was not held"
    answer(output, text, vm=vm, held=False, lifted=lifted)


@click.command(short_help="Approve a plan that needs it.")
@click.argument("digest")
@click.option("--for", "lasts", default="1h", show_default=True, metavar="TIME", help="How long.")
@OUTPUT
@click.pass_obj
def approve(settings: Settings, digest: str, lasts: str, output: str) -> None:
    """Approve the changes that a dry run lists under DIGEST; each passes once.

    The fleet is planned afresh: a plan that differs from the one you saw is refused.

    \b
    Examples:
      reconcile approve 3f9a1c5b7d2e4860
      reconcile approve 3f9a1c5b7d2e4860 --for 8h
    """
    from reconciler.approval import grant
    from reconciler.cli.opening import length, person
    from reconciler.cli.output import notes_aside
    from reconciler.clock import SystemClock
    from reconciler.config import open_live
    from reconciler.glance import look_once
    from reconciler.orphans.watch import watched
    from reconciler.prepare import Stage, told_of, turns_of
    from reconciler.show.text import count_of, json_when, show_when

    clock = SystemClock()
    at = clock.now()
    until = at + length(lasts)
    aside = notes_aside()
    with open_live(settings.fleet, settings.database, at) as opened:
        opened.fleet, _ = watched(opened.fleet, opened.store, at)
        turns = turns_of(opened.fleet, (), told_of(opened.fleet, opened.store))
        stage = Stage(opened, aside, clock, dry=True)
        sites = stage.sites((turn.spec for turn in turns.values()), None)
        plans = look_once(opened, sites, turns, clock, at + PLANNING).plans()
        number = grant(opened, plans, digest, until, person(), at)
    text = f"{count_of(number, 'change')} approved until {show_when(until)}"
    answer(output, text, digest=digest, changes=number, until=json_when(until))


@click.command("rebuild-state", short_help="Rebuild a lost database from Proxmox.")
@click.option("--dry-run", is_flag=True, help="Only list what would be taken in.")
@OUTPUT
@click.pass_context
def rebuild_state(ctx: click.Context, dry_run: bool, output: str) -> None:
    """Take in the VMs that bear this fleet's marks and that the database does not know.

    Their ids, names and addresses are read from Proxmox; nothing is written there. For a database
    that was lost: restore its key file too if you have it, else new passwords are needed.

    \b
    Examples:
      reconcile rebuild-state --dry-run
      reconcile rebuild-state
    """
    from reconciler.cli.output import notes_aside, paint
    from reconciler.clock import SystemClock, Workers
    from reconciler.config import open_live, open_preview
    from reconciler.location import fleet_lock
    from reconciler.prepare import Stage
    from reconciler.rebuild import find_marked, take_in
    from reconciler.show.status import found_json, render_found
    from reconciler.show.text import count_of

    settings: Settings = ctx.obj
    clock = SystemClock()
    at = clock.now()
    aside = notes_aside()
    begin = open_preview if dry_run else open_live
    lock = fleet_lock(settings.fleet, settings.database)
    with lock, begin(settings.fleet, settings.database, at) as opened:
        opened.store.fenced(lock.insist)
        stage = Stage(opened, aside, clock, dry=dry_run)
        sites = stage.sites(opened.fleet.vms.values(), None)
        workers = Workers(opened.fleet.limits.workers)
        rebuilt = find_marked(list(sites.values()), opened.fleet, opened.store, at, workers)
        problems = rebuilt.problems if dry_run else take_in(rebuilt, opened.store, at)
    taken = sum(found.binding is not None for found in rebuilt.found)
    text = f"{count_of(taken, 'VM')} to take in" if dry_run else f"taken in: {taken}"
    if rebuilt.found:
        text = f"{render_found(rebuilt.found, paint())}\n{text}"
    counted = {"dry_run": dry_run, "taken": taken, "problems": list(problems)}
    answer(output, text, found=[found_json(one) for one in rebuilt.found], **counted)
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        ctx.exit(EXIT_FAILED)
