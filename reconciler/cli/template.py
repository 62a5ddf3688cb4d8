"""`reconcile template`: whether templates are fit for their VMs, and making new ones (CI-04)."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT_MARKDOWN, document
from reconciler.cli.settings import EXIT_FAILED, Settings
from reconciler.cli.template_build import build_template

if TYPE_CHECKING:
    from reconciler.config import Opened
    from reconciler.template.copies import Template


@click.group()
def template() -> None:
    """Templates and images that VMs are made from: `templates:` and `images:` of fleet.yaml.

    \b
    Examples:
      reconcile template check
      reconcile template build debian-13 --cluster lab --node pve1 --storage local-lvm \\
          --image local:import/debian-13.qcow2
    """


@template.command("check", short_help="Check whether templates are fit for their VMs.")
@click.argument("aliases", nargs=-1, metavar="[ALIAS]...")
@click.option("--cluster", metavar="NAME", help="Only this cluster's copies.")
@OUTPUT_MARKDOWN
@click.option("-v", "--verbose", is_flag=True, help="Also what is sound.")
@click.pass_context
def check_templates(
    ctx: click.Context, aliases: tuple[str, ...], cluster: str | None, output: str, verbose: bool
) -> None:
    """Check every copy of the templates against the specs that VMs are made from them by.

    Reads only. What Proxmox does not show (the order of partitions, growroot) is asked of you.
    Exit status 1 when a template is wrong for a VM that a spec asks for, or cannot be looked at.

    \b
    Examples:
      reconcile template check
      reconcile template check debian-12 --cluster lab --verbose
      reconcile template check --output markdown
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.show.templates import checks_json, render_checks, render_markdown
    from reconciler.template.check import check

    settings: Settings = ctx.obj
    found, problems = [], False
    with open_preview(settings.fleet, settings.database, now()) as opened:
        _known(opened, aliases, cluster)
        for name in sorted([cluster] if cluster else opened.fleet.clusters):
            read = _read(opened, name, aliases)
            problems = problems or read is None
            found += [check(one) for one in read or ()]
    for alias in sorted({*aliases} - {one.template.alias for one in found}):
        click.echo(
            f"template {alias} has no copy {f'in {cluster}' if cluster else 'seen'}", err=True
        )
        problems = True
    if output == "json":
        click.echo(document(templates=checks_json(found)))
    elif output == "markdown":
        click.echo(render_markdown(found))
    else:
        click.echo(render_checks(found, paint(), verbose=verbose))
    if problems or any(one.wrong for one in found):
        ctx.exit(EXIT_FAILED)


def _known(opened: "Opened", aliases: tuple[str, ...], cluster: str | None) -> None:
    """Refuse names that the fleet does not have, with those that may be meant."""
    from desired.wording import near

    fleet = opened.fleet
    if cluster is not None and cluster not in fleet.clusters:
        raise click.ClickException(f"no cluster {cluster}{near(cluster, fleet.clusters)}")
    known = sorted({*fleet.templates, *fleet.images})
    for alias in aliases:
        if alias not in known:
            raise click.ClickException(f"no template {alias}{near(alias, known)}")


def _read(opened: "Opened", cluster: str, aliases: tuple[str, ...]) -> "list[Template] | None":
    """The templates of a cluster; None, and a line, where it could not be read."""
    from reconciler.secrets import SecretError
    from reconciler.sim.embedded import EmbeddedFailed
    from reconciler.template.copies import read_templates
    from state.api import ApiError

    fleet = opened.fleet
    try:
        return read_templates(opened.connect(cluster), fleet, cluster, aliases)
    except (ApiError, SecretError, EmbeddedFailed) as error:
        click.echo(f"cluster {cluster}: {error}", err=True)
        return None


template.add_command(build_template)
