"""`reconcile spec diff`, `export` and `import`: revisions against each other and against files."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, document
from reconciler.cli.desk import AUTHOR, known_spec, tell_unused
from reconciler.cli.settings import EXIT_CHANGES, Settings

if TYPE_CHECKING:
    from reconciler.show.spec import Difference
    from reconciler.specs import Desk


@click.command(short_help="Compare revisions, or the database with files.")
@click.argument("name", required=False)
@click.option("--from", "old", type=click.IntRange(min=1), metavar="N", help="Default: the last.")
@click.option("--to", "new", type=click.IntRange(min=1), metavar="N", help="Default: what stands.")
@click.option(
    "--against",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Compare with the files in DIR/vms (or DIR); without NAME all VMs of either.",
)
@OUTPUT
@click.pass_context
def diff(
    ctx: click.Context,
    name: str | None,
    old: int | None,
    new: int | None,
    against: Path | None,
    output: str,
) -> None:
    """Compare two revisions of a document, or what stands with files. Exit status 2 if they differ.

    \b
    Examples:
      reconcile spec diff web-1                  the last edit
      reconcile spec diff web-1 --from 2 --to 5
      reconcile spec diff --against ./fleet      what would an import change?
    """
    from reconciler.cli.output import paint
    from reconciler.show.spec import difference_json, render_difference
    from reconciler.specs import open_desk

    if (against is None and name is None) or (against is not None and (old or new)):
        raise click.UsageError("name a VM, with --from and --to if need be, or --against DIR")
    settings: Settings = ctx.obj
    with open_desk(settings.fleet, settings.database, None, preview=True) as desk:
        found = (
            _of_revisions(desk, str(name), old, new)
            if against is None
            else _of_files(desk, against, name)
        )
    found = [one for one in found if one.differs]
    if output == "json":
        click.echo(document(differences=[difference_json(one) for one in found]))
    for one in found if output == "text" else ():
        click.echo(render_difference(one, paint()))
    ctx.exit(EXIT_CHANGES if found else 0)


def _of_revisions(desk: "Desk", name: str, old: int | None, new: int | None) -> "list[Difference]":
    from reconciler.show.spec import Difference
    from reconciler.specs import tree_of

    revisions = {one.revision: one for one in desk.store.specs.history(name)}
    newest = new or max(revisions, default=0)
    sides = [(old or newest - 1), newest]
    for number in reversed(sides):
        if number and number not in revisions:
            known_spec(desk, name, number)
    trees = [tree_of(revisions.get(number)) for number in sides]
    words = [f"revision {number}" if number else "nothing" for number in sides]
    return [Difference(name, words[0], words[1], trees[0], trees[1])]


def _of_files(desk: "Desk", folder: Path, name: str | None) -> "list[Difference]":
    from reconciler.show.spec import Difference
    from reconciler.specs import read_batch, tree_of

    stored = desk.store.specs.all()
    filed = {edit.name: edit.document for edit in read_batch(folder).edits}
    names = [name] if name is not None else sorted({*stored, *filed})
    return [
        Difference(
            one,
            f"revision {stored[one].revision}" if one in stored else "not stored",
            "in files" if one in filed else "in no file",
            tree_of(stored.get(one)),
            filed.get(one),
        )
        for one in names
    ]


@click.command("export", short_help="Write the specs to a folder of YAML files.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--dry-run", is_flag=True, help="Only list what would be written.")
@click.option("--overwrite", is_flag=True, help="Replace files that say something else.")
@OUTPUT
@click.pass_obj
def export_specs(
    settings: Settings, folder: Path, dry_run: bool, overwrite: bool, output: str
) -> None:
    """Write each spec to FOLDER/vms/NAME.yaml. A file that says the same already is left alone.

    \b
    Examples:
      reconcile spec export ./backup --dry-run
      reconcile spec export ./backup
    """
    from reconciler.export import exports, write
    from reconciler.specs import open_desk

    with open_desk(settings.fleet, settings.database, None, preview=True) as desk:
        files = exports(folder, desk.store.specs.all().values())
    edited = [one for one in files if one.mark == "~"]
    if edited and not overwrite:
        listed = "\n".join(f"  {one.path}" for one in edited)
        raise click.ClickException(
            f"these say something else, so nothing was written (--overwrite replaces them):\n"
            f"{listed}"
        )
    fresh = [one for one in files if one.mark != "="]
    for one in () if dry_run else fresh:
        write(one)
    _tell("file", "written", {str(one.path): one.mark for one in files}, dry_run, output)


@click.command("import", short_help="Store the VMs of a folder of YAML files.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--dry-run", is_flag=True, help="Only check, and list what would be stored.")
@AUTHOR
@OUTPUT
@click.pass_obj
def import_specs(
    settings: Settings, folder: Path, dry_run: bool, author: str | None, output: str
) -> None:
    """Store the VMs of FOLDER/vms (or of FOLDER itself): all of them, or none if any is wrong.

    What is stored already makes no revision, and what is in no file stays.

    \b
    Examples:
      reconcile spec import ./fleet --dry-run
      reconcile spec import ./fleet --author ann
    """
    from reconciler.cli.opening import now, person
    from reconciler.specs import open_desk, read_batch

    at, batch = now(), read_batch(folder)
    with open_desk(settings.fleet, settings.database, at, preview=dry_run) as desk:
        before = desk.store.specs.all()
        fresh = {one.name for one in desk.fresh(batch)}
        if dry_run:
            desk.check(batch, at)
        else:
            desk.store_batch(batch, author or person(), at)
        tell_unused(desk)
    marks = {
        edit.name: "=" if edit.name not in fresh else "~" if edit.name in before else "+"
        for edit in batch.edits
    }
    _tell("spec", "stored", marks, dry_run, output)


def _tell(noun: str, done: str, marks: Mapping[str, str], dry_run: bool, output: str) -> None:
    """Tell what is new (+), edited (~) and as it was (=)."""
    from reconciler.show.text import count_of

    if output == "json":
        click.echo(document(dry_run=dry_run, **{done: marks}))
        return
    fresh = {name: mark for name, mark in marks.items() if mark != "="}
    for name, mark in fresh.items():
        click.echo(f"{mark} {name}")
    verb = f"would be {done}" if dry_run else done
    click.echo(f"{count_of(len(fresh), noun)} {verb}, {len(marks) - len(fresh)} unchanged")
