"""`reconcile backup test-restore`: try whether a backup comes back as a VM that boots."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, document
from reconciler.cli.backup_found import listed_backups
from reconciler.cli.settings import EXIT_FAILED, Settings

if TYPE_CHECKING:
    from reconciler.backups.drill import Drill
    from reconciler.backups.listing import Listed
    from reconciler.config import Opened
    from reconciler.lock import Lock


@click.command("test-restore", short_help="Try whether a backup comes back and boots.")
@click.argument("what", metavar="VM|VOLUME")
@click.option("--storage", metavar="NAME", help="For its disks. Default: where they were.")
@click.option(
    "--within", default="5min", show_default=True, metavar="TIME", help="For its agent to answer."
)
@OUTPUT
@click.pass_context
def test_restore(
    ctx: click.Context, what: str, storage: str | None, within: str, output: str
) -> None:
    """Restore a VM's newest verified backup, or the one named, beside it, and remove it again.

    It gets a free vmid, new MACs, a uuid of its own and no cable in any nic; host devices are taken
    off. It is well when its guest agent answers, or without one when it has run for 30 s. The VM
    itself is not touched. What a killed drill leaves behind is removed by the job backup_status.

    \b
    Examples:
      reconcile backup test-restore web-1
      reconcile backup test-restore pbs:backup/vm/100/2026-11-20T02:30:00Z --within 15min
    """
    from reconciler.backups.drill import DrillFailed
    from reconciler.cli.opening import length
    from reconciler.cli.opening import now as moment
    from reconciler.config import open_live
    from state.api import ApiError

    settings: Settings = ctx.obj
    seconds = length(within).total_seconds()
    with open_live(settings.fleet, settings.database, moment()) as opened:
        one = _meant(opened, what)
        with _lock(settings):
            try:
                drill = _drill(opened, one, storage, seconds)
                problem = drill.run()
            except (ApiError, DrillFailed) as error:
                raise click.ClickException(f"{one.archive.volume}: {error}") from None
    volume = one.archive.volume
    if output == "json":
        told = {"vm": one.key or None, "volume": volume, "well": not problem}
        click.echo(document(**told, problem=problem or None))
    else:
        click.echo(f"{volume} is no good: {problem}" if problem else f"{volume} is well")
    if problem:
        ctx.exit(EXIT_FAILED)


def _meant(opened: "Opened", what: str) -> "Listed":
    """The backup of a volume id, or the newest verified one of ours of a VM."""
    from reconciler.cli.opening import known_key

    found, problems = listed_backups(opened)
    for problem in problems:
        click.echo(problem, err=True)
    if ":" in what:
        fitting = [one for one in found if one.archive.volume == what]
    else:
        key = known_key(what, opened.fleet, opened.store.bindings.names())
        fitting = [one for one in found if one.key == key and one.ours and one.verified]
    if not fitting:
        raise click.ClickException(f"no verified backup of {what} is there")
    return fitting[0]


def _lock(settings: Settings) -> "Lock":
    """One drill at a time: raises LockHeld when it is entered."""
    from reconciler.backups.loops import drill_lock

    return drill_lock(settings.fleet, settings.database)


def _drill(opened: "Opened", one: "Listed", storage: str | None, seconds: float) -> "Drill":
    """Prepare the drill, once what an earlier one left is removed. Raises ApiError."""
    from reconciler.backups.drill import Drill, Trial, open_trial, tidy
    from reconciler.backups.listing import free_vmid, where_restored
    from reconciler.cli.opening import now as moment
    from reconciler.clock import SystemClock
    from state.view import resources_view

    store, api, at = opened.store, opened.connect(one.cluster), moment()
    left = open_trial(store)
    if left is not None and (why := tidy(opened.connect(left.cluster), store, left, at)):
        text = f"an earlier drill left vm {left.vmid}: {why}; try again in a minute"
        raise click.ClickException(text)
    view, spec = resources_view(api, one.cluster, moment()), opened.fleet.vms.get(one.key)
    first = opened.fleet.clusters[one.cluster].first_vmid
    vmid = free_vmid(api, view, store.bindings.vmids(one.cluster), first)
    node = where_restored(view, one.archive)
    volume, made = one.archive.volume, at.isoformat()
    trial = Trial(one.cluster, node, vmid, volume, one.key, store.id, made)
    pool = spec.pool if spec else None

    def tell(line: str) -> None:
        click.echo(line, err=True)

    return Drill(api, store, SystemClock(), trial, seconds, pool, storage, tell)
