"""`reconcile drift` and `adopt-drift`: what somebody changed in Proxmox, and taking it over."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT_MARKDOWN, document
from reconciler.cli.settings import EXIT_CHANGES, EXIT_FAILED, Settings

if TYPE_CHECKING:
    from reconciler.outside import Survey
    from state.outbox import Event


@click.command(short_help="Show what somebody changed in Proxmox.")
@click.argument("vms", nargs=-1, metavar="[VM]...")
@click.option("--history", is_flag=True, help="What drifted in the past, put back or not.")
@OUTPUT_MARKDOWN
@click.pass_context
def drift(ctx: click.Context, vms: tuple[str, ...], history: bool, output: str) -> None:
    """Show what differs because somebody changed it in Proxmox: what, who, when, and the policy.

    Reads the clusters and writes nothing. An edit of a spec is no drift. Firewalls leave no line
    in the cluster's log, so who changed one is not known. Exit status 2 when there is drift.

    \b
    Examples:
      reconcile drift
      reconcile drift 'web-*' --output markdown
      reconcile drift --history
    """
    from reconciler.cli.output import paint
    from reconciler.show.outside import (
        render_history,
        render_markdown,
        render_survey,
        survey_json,
    )

    settings: Settings = ctx.obj
    if history:
        events = _past(settings, vms)
        told = [{"at": one.at.isoformat(), "vm": one.key, **one.detail} for one in events]
        click.echo(document(events=told) if output == "json" else render_history(events))
        return
    found = _survey(settings, vms)
    if output == "json":
        click.echo(document(**survey_json(found)))
    elif output == "markdown":
        click.echo(render_markdown(found))
    else:
        click.echo(render_survey(found, paint()))
    if found.problems or found.unknown:
        ctx.exit(EXIT_FAILED)
    ctx.exit(EXIT_CHANGES if found.vms else 0)


@click.command("adopt-drift", short_help="Print the spec patch that takes over what drifted.")
@click.argument("vm")
@click.option("--field", help="Only this field, as `reconcile drift` shows it.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def adopt_drift(ctx: click.Context, vm: str, field: str | None, output: str) -> None:
    """Print what to write into a VM's spec so that its live values are the wanted ones.

    Each value was tried: with it in the spec the VM needs no change. What no spec can say is a
    comment with the reason. Nothing is written.

    \b
    Examples:
      reconcile adopt-drift web-1
      reconcile adopt-drift web-1 --field cores
    """
    from reconciler.show.outside import patch_json, render_patch

    settings: Settings = ctx.obj
    found = _survey(settings, (vm,))
    if vm in found.unknown:
        raise click.ClickException(f"{vm}: {found.unknown[vm]}")
    for one in found.vms:
        patch, file = one.patch(field), _file_of(settings.fleet, one.key)
        if output == "json":
            click.echo(document(**patch_json(one, patch, file)))
        else:
            click.echo(render_patch(one, patch, file))
        if patch.left_out:
            ctx.exit(EXIT_FAILED)
    if not found.vms:
        click.echo(f"{vm}: nothing drifted" if output == "text" else document(vm=vm, patch=None))


def _survey(settings: Settings, only: tuple[str, ...]) -> "Survey":
    from reconciler.cli.output import busy, notes_aside
    from reconciler.options import RunOptions
    from reconciler.outside import survey

    aside = notes_aside()
    with busy("reading clusters"):
        return survey(RunOptions(settings.fleet, settings.database, only=only), aside)


def _past(settings: Settings, only: tuple[str, ...]) -> "tuple[Event, ...]":
    from reconciler.cli.opening import now
    from reconciler.config import open_preview
    from reconciler.prepare import fits

    with open_preview(settings.fleet, settings.database, now()) as opened:
        events = opened.store.outbox.past("drift")
    return tuple(one for one in events if fits(one.key, only))


def _file_of(folder: Path, key: str) -> str:
    """The file under vms/ that names the VM, or the place where it stands if it is no file."""
    from desired.document import read_document

    group = key.partition("/")[0]
    for path in sorted((folder / "vms").rglob("*.yaml")):
        if group in read_document(str(path), path.read_text()).entries:
            return str(path)
    return "the database (reconcile spec put)"
