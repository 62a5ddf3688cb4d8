"""`reconcile backup`: make one now, see what there is, remove, protect and try single ones."""

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer, document
from reconciler.cli.backup_drill import test_restore
from reconciler.cli.backup_found import listed_backups, one_backup
from reconciler.cli.settings import EXIT_FAILED, Settings
from reconciler.cli.verbs import TOKEN, YES, ask_verb, asked, confirmed

if TYPE_CHECKING:
    from reconciler.backups.listing import Listed
    from state.api import Json

LONGEST, PAUSE = 3 * 3600.0, 1.0
"""Seconds: so long `--wait` waits, and between two looks."""


class VMFirst(click.Group):
    """A group whose first word may be a VM: then that one is backed up."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["now", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=VMFirst, short_help="Back a VM up now; list, remove and protect backups.")
def backup() -> None:
    """Backups of VMs: `reconcile backup VM` makes one now, whatever the days of its spec.

    \b
    Examples:
      reconcile backup web-1
      reconcile backup web-1 --storage pbs --protect --wait
      reconcile backup list web-1
      reconcile backup test-restore web-1
      reconcile backup delete pbs:backup/vm/100/2026-11-20T02:30:00Z
    """


backup.add_command(test_restore)


@backup.command(short_help="Back a VM up; the same as reconcile backup VM.")
@click.argument("vm")
@click.option("--storage", metavar="NAME", help="Default: that of its spec.")
@click.option("--mode", type=click.Choice(["snapshot", "suspend", "stop"]), help="Or its spec's.")
@click.option("--protect", is_flag=True, help="Nothing removes it, and `keep` does not count it.")
@click.option("--wait", is_flag=True, help="Make it now, and wait for what comes of it.")
@TOKEN
@OUTPUT
@click.pass_context
def now(
    ctx: click.Context,
    vm: str,
    storage: str | None,
    mode: str | None,
    protect: bool,
    wait: bool,
    token: str | None,
    output: str,
) -> None:
    """Ask for a backup, once; the next run of the job backup_status begins it.

    \b
    Examples:
      reconcile backup now web-1 --mode stop
      reconcile backup web-1 --token before-upgrade --wait
    """
    settings: Settings = ctx.obj
    said: dict[str, Json] = {"storage": storage, "mode": mode, "protect": protect or None}
    params = {name: value for name, value in said.items() if value is not None}
    if not wait:
        ask_verb(settings, vm, "backup", params, token, output)
        return
    if storage is not None:
        _insist(settings, vm, storage)
    vm, token, text = asked(settings, vm, "backup", params, token)
    if output == "text":
        click.echo(f"{vm} {text}")
    result, message = _watched(settings, vm, token)
    parts: dict[str, object] = {"vm": vm, "verb": "backup", "token": token}
    answer(output, f"{vm}: {result}: {message}", **parts, result=result, message=message)
    if result != "done":
        ctx.exit(EXIT_FAILED)


@backup.command("list", short_help="Show the backups of all VMs, or of one.")
@click.argument("vm", required=False)
@OUTPUT
@click.pass_context
def list_backups(ctx: click.Context, vm: str | None, output: str) -> None:
    """Show each backup: age, size, verified or not, protected or not, ours or others'.

    Those of vmids that no VM of the fleet has are left out.

    \b
    Examples:
      reconcile backup list
      reconcile backup list web-1 --output json
    """
    from reconciler.cli.opening import known_key
    from reconciler.cli.opening import now as moment
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.show.backups import backups_json, render_backups

    settings: Settings = ctx.obj
    at = moment()
    with open_preview(settings.fleet, settings.database, at) as opened:
        bound = opened.store.bindings.names()
        key = known_key(vm, opened.fleet, bound) if vm else None
        found, problems = listed_backups(opened)
    found = [one for one in found if one.key and key in (None, one.key)]
    for problem in problems:
        click.echo(problem, err=True)
    if output == "json":
        click.echo(document(backups=backups_json(found, at), problems=problems))
    else:
        click.echo(render_backups(found, at, paint()))
    if problems:
        ctx.exit(EXIT_FAILED)


@backup.command("delete", short_help="Remove one backup.")
@click.argument("volume")
@click.option("--foreign", is_flag=True, help="One that others made, or of a former machine.")
@YES
@OUTPUT
@click.pass_obj
def delete_backup(settings: Settings, volume: str, foreign: bool, yes: bool, output: str) -> None:
    """Remove a backup for good. A protected one stays. The word DELETE is asked for.

    \b
    Examples:
      reconcile backup delete pbs:backup/vm/100/2026-11-20T02:30:00Z
      reconcile backup delete local:backup/vzdump-qemu-100-2026_11_20-02_30_00.vma.zst --yes
    """
    one = one_backup(settings, volume)
    if not one.ours and not foreign:
        text = f"{volume} is not one that we made of a VM of this fleet: --foreign removes it"
        raise click.ClickException(text)
    if one.archive.protected:
        raise click.ClickException(f"{volume} is protected: reconcile backup protect --off first")
    confirmed(yes, "DELETE")
    task = _send(settings, one, remove=True)
    said = "is being removed" if task else "is removed"
    answer(output, f"{volume} {said}", volume=volume, vm=one.key or None, task=task)


@backup.command("protect", short_help="Keep a backup from being removed.")
@click.argument("volume")
@click.option("--off", is_flag=True, help="Let it be removed again.")
@OUTPUT
@click.pass_obj
def protect_backup(settings: Settings, volume: str, off: bool, output: str) -> None:
    """Set Proxmox's own protection of a backup: nobody can remove it, and `keep` skips it.

    \b
    Examples:
      reconcile backup protect pbs:backup/vm/100/2026-11-20T02:30:00Z
      reconcile backup protect pbs:backup/vm/100/2026-11-20T02:30:00Z --off
    """
    one = one_backup(settings, volume)
    _send(settings, one, protect=not off)
    said = "may be removed again" if off else "is protected"
    answer(output, f"{volume} {said}", volume=volume, protected=not off)


def _send(
    settings: Settings, one: "Listed", *, remove: bool = False, protect: bool = False
) -> "Json":
    from reconciler.backups.listing import protection
    from reconciler.cli.opening import now as moment
    from reconciler.config import open_live
    from state.api import ApiError

    call = one.archive.removal(delay=30) if remove else protection(one.archive, protect)
    with open_live(settings.fleet, settings.database, moment()) as opened:
        try:
            return opened.connect(one.cluster).send(call, heavy=True)
        except ApiError as error:
            raise click.ClickException(f"{one.archive.volume}: {error.text}") from None


def _insist(settings: Settings, vm: str, storage: str) -> None:
    """Refuse a storage that takes no backups in the VM's cluster, before anything is waited for."""
    from reconciler.cli.opening import known_key
    from reconciler.cli.opening import now as moment
    from reconciler.config import open_preview
    from state.api import ApiError
    from state.view import resources_view

    with open_preview(settings.fleet, settings.database, moment()) as opened:
        known_key(vm, opened.fleet, opened.store.bindings.names())
        binding = opened.store.bindings.of(vm)
        if binding is None:
            return
        try:
            view = resources_view(opened.connect(binding.cluster), binding.cluster, moment())
        except ApiError as error:
            raise click.ClickException(f"cluster {binding.cluster}: {error}") from None
    there = sorted({one.storage for one in view.storages if "backup" in one.content})
    if storage not in there:
        known = ", ".join(there) or "none"
        where = f"storage {storage} takes no backups in cluster {binding.cluster}"
        raise click.ClickException(f"{where}; those that do: {known}")


def _watched(settings: Settings, vm: str, token: str) -> tuple[str, str]:
    """Run the job for this VM until the backup is made or has failed; how, and in words."""
    from reconciler.backups.loops import backup_status
    from reconciler.cli.opening import now as moment
    from reconciler.clock import SystemClock
    from reconciler.lock import LockHeld
    from reconciler.loops.perform import run_loop
    from reconciler.options import RunOptions
    from reconciler.show.run import QuietReporter
    from reconciler.show.text import Paint

    options = RunOptions(settings.fleet, settings.database, (vm,), time_limit=60.0)
    began, clock = moment(), SystemClock()
    quiet = QuietReporter(partial(click.echo, err=True), Paint())
    while (moment() - began).total_seconds() < LONGEST:
        if found := _result(settings, vm, token):
            return found
        with suppress(LockHeld):
            run_loop(backup_status(), options, quiet, clock)
        clock.sleep(PAUSE)
    return "open", "it is still being made; reconcile backup list shows when it is there"


def _result(settings: Settings, vm: str, token: str) -> tuple[str, str] | None:
    """What came of a backup that was asked for by a token; None while it is open."""
    from reconciler.cli.opening import now as moment
    from reconciler.config import open_preview

    with open_preview(settings.fleet, settings.database, moment()) as opened:
        rows = opened.store.verbs.of(vm)
    row = next((one for one in rows if (one.verb, one.token) == ("backup", token)), None)
    if row is None:
        return "withdrawn", "nobody asks for it any more"
    return (row.result, row.message) if row.ended_at else None
