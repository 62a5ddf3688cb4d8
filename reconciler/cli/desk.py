"""What the commands of `reconcile spec` share: options, finding a spec, storing edits."""

import difflib
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import document
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from reconciler.specs import Batch, Desk
    from state.specs import StoredSpec

AUTHOR = click.option("--author", metavar="NAME", help="Who it is that edits. Default: you.")
IF_REVISION = click.option(
    "--if-revision",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only if this revision stands; 0: only if none does.",
)


def known_spec(desk: "Desk", name: str, revision: int | None) -> "StoredSpec":
    """Return a revision, or say what there is instead."""
    stored = desk.store.specs.of(name, revision)
    if stored is not None:
        return stored
    revisions = desk.store.specs.history(name)
    if revisions and revision is not None:
        raise click.ClickException(
            f"spec {name} has no revision {revision}; the newest is {revisions[0].revision}"
        )
    if revisions:
        last = revisions[0]
        raise click.ClickException(
            f"spec {name} was deleted by {last.author} as revision {last.revision}; "
            f"`reconcile spec get {name} --revision {last.revision - 1}` prints what stood"
        )
    near = difflib.get_close_matches(name, desk.store.specs.all(), n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise click.ClickException(f"no spec {name} in the database{hint}")


def store_edits(settings: Settings, batch: "Batch", author: str | None, output: str) -> None:
    """Check and store the edits, and tell the revision of each."""
    from reconciler.cli.opening import now, person
    from reconciler.show.spec import spec_json
    from reconciler.specs import open_desk

    at = now()
    with open_desk(settings.fleet, settings.database, at) as desk:
        before = desk.store.specs.all()
        stored = desk.store_batch(batch, author or person(), at)
        tell_unused(desk)
    if output == "json":
        click.echo(document(specs=[spec_json(one) for one in stored]))
        return
    for one in stored:
        was = before.get(one.name)
        if was is not None and was.revision == one.revision:
            click.echo(f"{one.name}: revision {one.revision} stands already")
        else:
            what = "deleted as " if one.document_json is None else ""
            click.echo(f"{one.name}: {what}revision {one.revision}")


def tell_unused(desk: "Desk") -> None:
    if not desk.used:
        click.echo(
            "note: `sources:` of fleet.yaml does not name the database, so no run reads this",
            err=True,
        )
