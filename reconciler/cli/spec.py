"""`reconcile spec`: the specs that are kept in the database."""

import click

from reconciler.cli.answer import OUTPUT, document
from reconciler.cli.desk import (
    AUTHOR,
    IF_REVISION,
    known_spec,
    store_edits,
    tell_unused,
)
from reconciler.cli.settings import Settings
from reconciler.cli.spec_files import diff, export_specs, import_specs


@click.group(short_help="Edit the specs that are kept in the database.")
def spec() -> None:
    """The specs of VMs that are kept in the database (`sources: [database]` in fleet.yaml).

    A document is what stands under a VM's key in a file. Every edit is a revision that stays.

    \b
    Examples:
      reconcile spec list
      reconcile spec get web-1 > web-1.yaml
      reconcile spec put web-1 web-1.yaml --if-revision 3
      reconcile spec import ./fleet --dry-run
    """


@spec.command(short_help="Print a VM's document.")
@click.argument("name")
@click.option("--revision", type=click.IntRange(min=1), metavar="N", help="As it stood then.")
@click.option("--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@click.pass_obj
def get(settings: Settings, name: str, revision: int | None, output: str) -> None:
    """Print a VM's document as it stands, or as it stood at a revision.

    \b
    Examples:
      reconcile spec get web-1
      reconcile spec get web-1 --revision 2 --output json
    """
    from reconciler.show.spec import render_document
    from reconciler.specs import open_desk, tree_of

    with open_desk(settings.fleet, settings.database, None, preview=True) as desk:
        stored = known_spec(desk, name, revision)
    tree = tree_of(stored)
    if tree is None:
        raise click.ClickException(
            f"spec {name} was deleted by {stored.author} as revision {stored.revision}"
        )
    click.echo(render_document(tree, output))


@spec.command(short_help="Check and store a VM's document.")
@click.argument("name")
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False), default="-")
@IF_REVISION
@AUTHOR
@OUTPUT
@click.pass_obj
def put(
    settings: Settings,
    name: str,
    file: str,
    if_revision: int | None,
    author: str | None,
    output: str,
) -> None:
    """Store a VM's document, from a file of YAML or JSON or from standard input.

    It is checked against the whole fleet first; with any new error nothing is stored.

    \b
    Examples:
      reconcile spec put web-1 web-1.yaml
      echo '{package: small}' | reconcile spec put web-2 --if-revision 0
    """
    from desired.record import read_bare
    from reconciler.specs import Batch, RefusedSpecs
    from state.specs import Edit

    with click.open_file(file, "rb") as opened:
        document = read_bare("standard input" if file == "-" else file, opened.read())
    if document.faults:
        raise RefusedSpecs(document.faults)
    edit = Edit(name, document.entries, if_revision)
    store_edits(settings, Batch((edit,)), author, output)


@spec.command("list", short_help="List the specs, with revision and author.")
@OUTPUT
@click.pass_obj
def list_specs(settings: Settings, output: str) -> None:
    """List the specs that stand in the database.

    \b
    Examples:
      reconcile spec list
      reconcile spec list --output json | jq '.specs[].name'
    """
    from reconciler.cli.output import paint
    from reconciler.show.spec import render_specs, spec_json
    from reconciler.specs import open_desk

    with open_desk(settings.fleet, settings.database, None, preview=True) as desk:
        stands = list(desk.store.specs.all().values())
        tell_unused(desk)
    if output == "json":
        click.echo(document(specs=[spec_json(one) for one in stands]))
    else:
        click.echo(render_specs(stands, paint()))


@spec.command(short_help="Delete a VM's document; its machine stays.")
@click.argument("name")
@IF_REVISION
@AUTHOR
@OUTPUT
@click.pass_obj
def delete(
    settings: Settings, name: str, if_revision: int | None, author: str | None, output: str
) -> None:
    """Delete a VM's document. Its machine stays, and is listed as unmanaged.

    The delete is a revision of its own; `spec get NAME --revision N` still prints those before.

    \b
    Examples:
      reconcile spec delete web-1
    """
    from reconciler.specs import Batch, open_desk
    from state.specs import Edit

    with open_desk(settings.fleet, settings.database, None, preview=True) as desk:
        known_spec(desk, name, None)
    store_edits(settings, Batch((Edit(name, None, if_revision),)), author, output)


@spec.command(short_help="List the revisions of a VM's document.")
@click.argument("name")
@OUTPUT
@click.pass_obj
def history(settings: Settings, name: str, output: str) -> None:
    """List every revision of a VM's document, the newest first.

    \b
    Examples:
      reconcile spec history web-1
    """
    from reconciler.cli.output import paint
    from reconciler.show.spec import render_history, spec_json
    from reconciler.specs import open_desk

    with open_desk(settings.fleet, settings.database, None, preview=True) as desk:
        revisions = desk.store.specs.history(name) or [known_spec(desk, name, None)]
    if output == "json":
        click.echo(document(revisions=[spec_json(one) for one in revisions]))
    else:
        click.echo(render_history(revisions, paint()))


for command in (diff, export_specs, import_specs):
    spec.add_command(command)
