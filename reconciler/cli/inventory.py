"""`reconcile export-inventory`: a cluster written down, to try things on a copy of it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import document as document_of
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from reconciler.inventory.export import Progress


@click.command("export-inventory", short_help="Write a cluster down, to simulate a copy of it.")
@click.option("--cluster", metavar="NAME", help="Of the fleet's clusters; needless if it has one.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, writable=True, allow_dash=True),
    required=True,
    help="The file to write; - for standard output.",
)
@click.option("--only", multiple=True, metavar="GLOB", help="Only VMs of these names or vmids.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def export_inventory(
    settings: Settings, cluster: str | None, out: Path, only: tuple[str, ...], output: str
) -> None:
    """Read a cluster and write what its API answers to a file; passwords are left out.

    The file makes a simulated copy: same VMs, nodes, storages, firewall. Nothing is written to
    the cluster. What the login may not see is named under `missing`.

    \b
    Examples:
      reconcile export-inventory --cluster lab --out lab.json
      reconcile simulate --from lab.json
      reconcile --once --dry-run --inventory lab=lab.json
    """
    from reconciler.cli.opening import now
    from reconciler.clock import Workers
    from reconciler.config import open_preview
    from reconciler.inventory.export import Export

    with open_preview(settings.fleet, settings.database, now()) as opened:
        name = _chosen(cluster, sorted(opened.fleet.clusters))
        workers = Workers(opened.fleet.limits.workers)
        export = Export(opened.connect(name), workers, _progress())
        export.read(only)
        document = export.document(name, now(), only)
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if str(out) == "-":
        click.echo(text, nl=False)
        return
    out.write_text(text)
    told = {"file": str(out), "answers": len(export.answers), "missing": export.missing}
    if output == "json":
        click.echo(document_of(**told))
        return
    click.echo(f"{out}: {len(export.answers)} answers, {len(text) // 1024} KiB")
    for path, why in sorted(export.missing.items()):
        click.echo(f"missing {path}: {why}")


def _chosen(name: str | None, clusters: list[str]) -> str:
    if name is None and len(clusters) == 1:
        return clusters[0]
    if name is None or name not in clusters:
        raise click.UsageError(f"--cluster: expected one of {', '.join(clusters)}")
    return name


def _progress() -> "Progress":
    """Return what shows how far the reading is, on a terminal only."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done} of {total} answers", nl=done == total, err=True)

    return show
