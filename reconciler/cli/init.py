"""`reconcile init`: a folder that a fleet can begin from."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, document

if TYPE_CHECKING:
    from desired.model import Model


@click.command(short_help="Make a fleet repository to begin with.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", metavar="FLEET", help="The fleet's name. Default: made of DIR's.")
@click.option(
    "--cluster-url",
    "endpoints",
    multiple=True,
    metavar="URL",
    help="A node of a real cluster, https://HOST:8006; may be given for each node.",
)
@click.option("--simulated", is_flag=True, help="The built-in cluster. Default without a URL.")
@click.option("--force", is_flag=True, help="Also in a folder with files; those stay as they are.")
@OUTPUT
def init(
    folder: Path,
    name: str | None,
    endpoints: tuple[str, ...],
    simulated: bool,
    force: bool,
    output: str,
) -> None:
    """Make DIR a fleet repository: specs, editor schema, systemd units, cron line, CI example.

    What it writes is sound and runs as it is; nothing that is there is overwritten.

    \b
    Examples:
      reconcile init demo && cd demo && reconcile --once
      reconcile init /etc/reconcile/fleet --name shop --cluster-url https://pve1.example.net:8006
    """
    from desired.catalog import Cluster, FleetFile
    from reconciler.beginning import NotEmpty, fleet_name, lay_out, starter_files
    from reconciler.show.text import count_of

    if endpoints and simulated:
        raise click.UsageError("--simulated and --cluster-url exclude each other")
    name = name or fleet_name(folder)
    _sound(FleetFile, "name", "fleet", {"fleet": name, "clusters": {}})
    token = {"id": "reconcile@pve!fleet", "secret": "file:token"}
    if endpoints:
        _sound(Cluster, "cluster-url", "endpoints", {"endpoints": endpoints, "token": token})
    try:
        laid = lay_out(folder, starter_files(name, endpoints), force=force)
    except NotEmpty as error:
        raise click.ClickException(
            f"{error}; nothing was written (--force adds what is missing and overwrites nothing)"
        ) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or folder}: {error.strerror}") from None
    if output == "json":
        click.echo(document(folder=str(folder), fleet=name, written=laid.written, kept=laid.kept))
        return
    for path in laid.written:
        click.echo(f"+ {path}")
    for path in laid.kept:
        click.echo(f"= {path} (was there, left as it is)")
    click.echo(f"{folder}: fleet {name}, {count_of(len(laid.written), 'file')} written")
    click.echo(f"next: cd {shlex.quote(str(folder))} && reconcile --once --dry-run; see README.md")


def _sound(model: "type[Model]", option: str, field: str, given: dict[str, object]) -> None:
    """Check what goes into fleet.yaml by the model that will read it."""
    from pydantic import ValidationError

    try:
        model.model_validate(given)
    except ValidationError as error:
        wrong = [one for one in error.errors() if one["loc"][:1] == (field,)]
        if wrong:
            raise click.UsageError(
                f"--{option}: {wrong[0]['msg']}, seen {wrong[0]['input']}"
            ) from None
