"""`reconcile iso`: the ISOs that VMs may have in their CD-ROM drives (CI-07)."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, document
from reconciler.cli.settings import EXIT_FAILED, Settings

if TYPE_CHECKING:
    from reconciler.config import Opened
    from reconciler.pve.files import Stored


@click.group(short_help="The ISOs that a spec may name.")
def iso() -> None:
    """The ISOs that a spec may name: `iso: local:iso/debian-12.iso`.

    \b
    Examples:
      reconcile iso list
      reconcile iso list --output json
    """


@iso.command("list")
@OUTPUT
@click.pass_context
def list_isos(ctx: click.Context, output: str) -> None:
    """List each cluster's ISOs by group: the part of the name before its first hyphen."""
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.secrets import SecretError
    from reconciler.show.isos import grouped, render_isos
    from reconciler.show.status import as_json
    from reconciler.sim.embedded import EmbeddedFailed
    from state.api import ApiError

    settings: Settings = ctx.obj
    told: dict[str, object] = {}
    texts, failed = [], False
    with open_preview(settings.fleet, settings.database, now()) as opened:
        for name in sorted(opened.fleet.clusters):
            try:
                files = _isos(opened, name)
            except (ApiError, SecretError, EmbeddedFailed) as error:
                click.echo(f"cluster {name}: {error}", err=True)
                failed = True
                continue
            told[name] = {group: as_json(mine) for group, mine in grouped(files).items()}
            texts.append(render_isos(name, files, paint()))
    click.echo(document(clusters=told) if output == "json" else "\n\n".join(texts))
    if failed:
        ctx.exit(EXIT_FAILED)


def _isos(opened: "Opened", cluster: str) -> "list[Stored]":
    from reconciler.pve.files import stored
    from state.view import rows

    api = opened.connect(cluster)
    return stored(api, "iso", rows(api.get("/cluster/resources")))
