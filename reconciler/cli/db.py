"""`reconcile db`: the store's database: bring up to date, check, back up, copy to another."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import document
from reconciler.cli.settings import EXIT_FAILED, Settings

if TYPE_CHECKING:
    from state.copying import Copied
    from state.place import Place

output = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group()
def db() -> None:
    """The store's database: bring it up to date, check it, back it up, copy it to another.

    \b
    Examples:
      reconcile db check                                     is it whole?
      reconcile db backup /backup/fleet-$(date +%F).db       while runs go on
      reconcile db migrate                                   after an update of reconcile
      reconcile db copy --to postgresql://fleet@db/fleet     from SQLite to PostgreSQL
    """


@db.command()
@output
@click.pass_obj
def migrate(settings: Settings, output: str) -> None:
    """Bring its tables up to date; make them where there are none.

    Every run that writes does the same by itself; a dry run only says that it is due.

    \b
    Examples:
      reconcile db migrate
    """
    from reconciler.cli.opening import now
    from reconciler.location import fleet_place
    from reconciler.lock import runner_lock
    from state.database import Database
    from state.revision import REVISIONS, revision_of
    from state.store import Store

    place = fleet_place(settings.fleet, settings.database)
    before = None
    with runner_lock(place):
        if place.file is None or place.file.exists():
            database = Database.readonly_at(place)
            try:
                before = revision_of(database)
            finally:
                database.close()
        Store.open(place, at=now()).close()
    after = REVISIONS[-1]
    if output == "json":
        _tell({"database": str(place), "before": before, "after": after})
    elif before == after:
        click.echo(f"{place}: revision {after}, nothing to do")
    elif before is None:
        click.echo(f"{place}: made with revision {after}; its key: {place.key}")
    else:
        click.echo(f"{place}: revision {before or 'none'} -> {after}")


@db.command()
@output
@click.pass_context
def check(ctx: click.Context, output: str) -> None:
    """Say whether it is whole: storage, shape, references, rows, key. Changes nothing.

    Ends with status 1 when something is wrong.

    \b
    Examples:
      reconcile db check
      reconcile --database /backup/fleet.db db check
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.location import fleet_place
    from reconciler.show.text import table
    from state.soundness import examine

    settings: Settings = ctx.obj
    place = fleet_place(settings.fleet, settings.database)
    findings = examine(place, now())
    fine = all(one.ok for one in findings)
    if output == "json":
        checks = [{"what": one.what, "ok": one.ok, "text": one.text} for one in findings]
        _tell({"database": str(place), "ok": fine, "checks": checks})
    else:
        rows = [(one.what, "ok" if one.ok else "WRONG", one.text) for one in findings]
        click.echo(table(("CHECK", "RESULT", "SEEN"), rows, paint()))
        click.echo(f"{place}: {'whole' if fine else 'not whole'}")
    if not fine:
        ctx.exit(EXIT_FAILED)


@db.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@output
@click.pass_obj
def backup(settings: Settings, file: Path, output: str) -> None:
    """Write a copy to FILE, while others go on writing to the store.

    A SQLite store becomes a SQLite file; one on PostgreSQL needs pg_dump here, and becomes a file
    for pg_restore. The key is not in it, so that the file alone opens no secret: keep a copy of
    the key file elsewhere.

    \b
    Examples:
      reconcile db backup /backup/fleet.db
    """
    from reconciler.location import fleet_place
    from state.backup import back_up, restore_words

    place = fleet_place(settings.fleet, settings.database)
    target = file.absolute()
    size = back_up(place, target)
    restore = restore_words(place, target)
    if output == "json":
        told = {"file": str(target), "bytes": size, "key": str(place.key), "restore": restore}
        _tell({"database": str(place), **told})
        return
    click.echo(f"{place}: {size} bytes in {target}")
    click.echo(f"The key is not in it; save it too, elsewhere: {place.key}")
    click.echo(f"To restore, while nothing runs: {restore}")


@db.command()
@click.option("--to", required=True, metavar="URL", help="A path, sqlite:/// or postgresql:// URL.")
@output
@click.pass_obj
def copy(settings: Settings, to: str, output: str) -> None:
    """Copy the whole store into an empty database of either kind, and prove that it arrived.

    All of it arrives or nothing does. Rows are counted and hashed on both sides, table by table.
    The key file is copied too. The old store is left as it is; say where the new one is
    (`database:` in fleet.yaml) before the next run, and move the old one away.

    \b
    Examples:
      reconcile db copy --to postgresql://fleet:env:PGPASSWORD@db.example/fleet
      reconcile db copy --to 'postgresql://fleet@db/fleet?key=/etc/reconcile/fleet.key'
      reconcile --database postgresql://fleet@db/fleet db copy --to /var/lib/reconcile/fleet.db
    """
    from reconciler.location import fleet_place
    from reconciler.lock import runner_lock

    source = fleet_place(settings.fleet, settings.database)
    target = fleet_place(settings.fleet, to)
    if source == target or str(source) == str(target):
        raise click.UsageError(f"{source}: it cannot be copied into itself")
    with runner_lock(source), runner_lock(target):
        copied, handed = _copied(source, target, told=output == "text")
    if output == "json":
        tables = [{"table": one.table, "rows": one.rows, "hash": one.hash} for one in copied]
        key = {"file": str(target.key), "copied": handed}
        _tell({"from": str(source), "to": str(target), "tables": tables, "key": key})
        return
    rows = sum(one.rows for one in copied)
    click.echo(f"{rows} rows in {len(copied)} tables, the same in {source} and {target}")
    done = "copied to" if handed else "there already:"
    click.echo(f"key {done} {target.key} (each machine that uses the database needs it, 0600)")
    where = target if target.file else "the URL of --to, whole"
    click.echo(f"now say where it is (database: {where}, in fleet.yaml) and move the old one away")


def _copied(source: "Place", target: "Place", *, told: bool) -> "tuple[tuple[Copied, ...], bool]":
    """Copy rows and key; a key that was copied goes again when the rows were not."""
    from state.copying import copy_store, vacant
    from state.database import Database
    from state.store import StoreError
    from state.vault import hand_key

    def tell(one: "Copied") -> None:
        if told:
            click.echo(f"{one.table:<20} {one.rows:>8} rows  {one.hash[:16]}")

    if source.file and not source.file.exists():
        raise StoreError(f"{source}: there is no store to copy")
    handed = hand_key(source.key, target.key)
    giving, taking = Database.readonly_at(source), vacant(target)
    try:
        return copy_store(giving, taking, tell), handed
    except BaseException:
        if handed:
            target.key.unlink(missing_ok=True)
        raise
    finally:
        giving.close()
        taking.close()


def _tell(parts: dict[str, object]) -> None:
    click.echo(document(**parts))
