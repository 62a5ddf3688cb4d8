"""The revisions, the tables and the constant say the same."""

import re
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import ClauseElement, Connection, create_mock_engine
from sqlalchemy.engine.mock import MockConnection

from state import tables
from state.database import Database, Taken, upsert
from state.revision import MIGRATIONS, REVISIONS, make_current, upgrade
from state.store import Store

OUTER_COMMA = re.compile(r",(?![^()]*\))")


def shape(link: Connection) -> dict[str, list[str]]:
    """Tables and indexes as SQLite wrote them down, but for quotes; their parts in any order."""
    rows = link.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    texts = {name: sql.replace('"', "") for name, sql in rows}
    return {
        name: sorted(map(str.strip, OUTER_COMMA.split(sql.partition("(")[2][:-1])))
        if sql.startswith("CREATE TABLE")
        else [sql]
        for name, sql in texts.items()
    }


def columns(link: Connection) -> dict[str, list[object]]:
    names = link.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars()
    return {
        name: [tuple(row) for row in link.exec_driver_sql(f"PRAGMA table_info({name})")]
        for name in sorted(names)
    }


def test_revisions_are_those_of_the_migrations() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert tuple(one.revision for one in scripts.walk_revisions())[::-1] == REVISIONS


def test_migrations_from_nothing_make_what_the_tables_say() -> None:
    migrated, created = Database.memory(), Database.memory()
    with migrated.writing("migrate") as link:
        upgrade(link)
    make_current(created)
    with migrated.reading("compare") as left, created.reading("compare") as right:
        assert columns(left) == columns(right)
        assert shape(left) == shape(right)
        assert compare_metadata(MigrationContext.configure(left), tables.metadata) == []
    migrated.close()
    created.close()


def test_an_older_database_is_upgraded_when_it_is_opened(path: Path, at: datetime) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    old.close()
    path.with_name("fleet.db.key").write_text("ab" * 32)
    with Store.open(str(path), at=at) as store:
        assert store.memories() == {}
    with sqlite3.connect(path) as new:
        assert new.execute("SELECT version_num FROM alembic_version").fetchall() == [
            (REVISIONS[-1],)
        ]
    new.close()


def test_a_mark_in_the_cache_survives_its_new_column() -> None:
    database = Database.memory()
    with database.writing("migrate") as link:
        config = Config(attributes={"connection": link})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, "0001")
        names = "cluster, vmid, pending_json, digest, hints, dirty, dirty_reason, dirty_since"
        link.exec_driver_sql(
            f"INSERT INTO cache ({names}) VALUES ('lab', 101, '', '', '', 1, 'write', '2026-01-01')"
        )
        upgrade(link)
        row = "SELECT vmid, dirty_reason, settled FROM cache"
        assert link.exec_driver_sql(row).all() == [(101, "write", "")]
    with pytest.raises(Taken), database.writing("a mark without its time") as link:
        link.exec_driver_sql("UPDATE cache SET dirty_since = NULL")
    database.close()


def test_the_journal_survives_its_new_column() -> None:
    database = Database.memory()
    with database.writing("migrate") as link:
        config = Config(attributes={"connection": link})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, "0003")
        link.exec_driver_sql("INSERT INTO runs VALUES (1, '2026-01-01', '', '', 0, NULL, '{}')")
        vm_run = "1, 'a', 'deploy', '2026-01-01', NULL, '', '', 'success', '', 1"
        link.exec_driver_sql(f"INSERT INTO vm_runs VALUES ({vm_run})")
        upgrade(link)
        joined = 'SELECT "commit", key FROM runs JOIN vm_runs ON run = runs.id'
        assert link.exec_driver_sql(joined).all() == [("", "a")]
    database.close()


def test_the_same_tables_and_upserts_are_postgresql_too() -> None:
    sent: list[str] = []

    def executed(statement: ClauseElement, *_: object) -> None:
        sent.append(str(statement.compile(dialect=engine.dialect)))

    engine: MockConnection = create_mock_engine("postgresql+psycopg://", executed)
    tables.metadata.create_all(engine, checkfirst=False)
    assert any("TIMESTAMP WITH TIME ZONE" in text for text in sent)
    sent.clear()
    link = cast(Connection, engine.connect())
    upsert(
        link, tables.attempts, [{"subject": "a", "handler": "b", "count": 1}], counted=("count",)
    )
    assert sent[0].endswith(
        "ON CONFLICT (subject, handler) DO UPDATE SET count = (attempts.count + excluded.count)"
    )
