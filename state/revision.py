"""The shape of the database: which revision it has, and bringing it to ours.

alembic takes half a second to import, so it is imported only when there is something to upgrade.
"""

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from state.database import Database, Unreadable
from state.tables import metadata

# In the order of `migrations/versions`; the last is what `tables` describes (a test checks it).
REVISIONS = ("0001", "0002", "0003", "0004")
MIGRATIONS = Path(__file__).parent / "migrations"

versions = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
versions.primary_key.name = "alembic_version_pkc"


def make_current(database: Database) -> None:
    """Creates the tables in an empty database, upgrades an older one; in one transaction.

    Raises Unreadable when it is another program's, or a newer reconcile's.
    """
    with database.reading("open") as link:
        if _revision(link, database.where) == REVISIONS[-1]:
            return
    with database.writing("upgrade") as link:
        if _revision(link, database.where) is None:
            metadata.create_all(link, checkfirst=False)
            versions.create(link)
            link.execute(insert(versions), {"version_num": REVISIONS[-1]})
        else:
            upgrade(link)


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
