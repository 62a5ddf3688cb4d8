"""The shape of the database: which revision it has, and bringing it to ours.

alembic takes half a second to import, so it is imported only when there is something to upgrade.
"""

from itertools import groupby
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select, text

from state.database import Database, StoreError, Unreadable
from state.tables import metadata

# In the order of `migrations/versions`; the last is what `tables` describes (a test checks it).
REVISIONS = tuple(f"{number:04}" for number in range(1, 19))
MIGRATIONS = Path(__file__).parent / "migrations"

versions = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
versions.primary_key.name = "alembic_version_pkc"


def revision_of(database: Database) -> str | None:
    """The revision of its tables; empty before the first, None when there are none at all.

    Raises Unreadable when they are another program's, or a newer reconcile's.
    """
    with database.reading("open") as link:
        return _revision(link, database.where)


def make_current(database: Database) -> None:
    """Creates the tables in an empty database, upgrades an older one; in one transaction.

    Raises Unreadable when it is another program's, or a newer reconcile's; StoreError when it is
    older and may only be read.
    """
    found = revision_of(database)
    if found == REVISIONS[-1]:
        return
    if not database.may_write:
        raise StoreError(
            f"{database.where}: its tables are of an older reconcile (revision {found or 'none'},"
            f" this one has {REVISIONS[-1]}); upgrade them: reconcile db migrate"
        )
    with database.writing("upgrade") as link:
        found = _revision(link, database.where)
        if found is None:
            metadata.create_all(link, checkfirst=False)
            versions.create(link)
            link.execute(insert(versions), {"version_num": REVISIONS[-1]})
        elif found != REVISIONS[-1]:
            upgrade(link)
        if database.kind == "postgresql":
            _sort_by_bytes(link)


def upgrade(link: Connection) -> None:
    """Runs the migrations that the database has not seen, inside the given transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": link})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")


def _revision(link: Connection, where: str) -> str | None:
    """The revision; empty before the first migration, None when there are no tables at all."""
    if not inspect(link).has_table(versions.name):
        if inspect(link).get_table_names():
            raise Unreadable(f"{where}: another program's database; give `database:` another path")
        return None
    revision = link.execute(select(versions.c.version_num)).scalar() or ""
    if revision and revision not in REVISIONS:
        if not inspect(link).has_table("bindings"):
            raise Unreadable(f"{where}: another program's database; give `database:` another path")
        raise Unreadable(
            f"{where}: written by a newer reconcile (revision {revision}, this one knows"
            f" {REVISIONS[-1]}); install that version, or restore the backup made before it"
        )
    return revision


def unsorted_columns(link: Connection) -> list[tuple[str, str]]:
    """The text columns (table, column) of a PostgreSQL schema that sort by a language's rules."""
    rows = link.execute(
        text(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND data_type = 'text'"
            " AND collation_name IS DISTINCT FROM 'C' ORDER BY 1, 2"
        )
    )
    return [(table, column) for table, column in rows if table in metadata.tables]


def _sort_by_bytes(link: Connection) -> None:
    """Text shall sort as in SQLite, whatever language the server was set up in."""
    quote = link.dialect.identifier_preparer.quote
    for name, columns in groupby(unsorted_columns(link), key=lambda pair: pair[0]):
        changes = ", ".join(
            f'ALTER {quote(column)} TYPE text COLLATE "C"' for _table, column in columns
        )
        link.exec_driver_sql(f"ALTER TABLE {quote(name)} {changes}")
