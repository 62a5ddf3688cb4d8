"""A whole store from one database to another, of either kind, and the proof that it arrived."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sqlalchemy import Column, Connection, Integer, Result, Table, func, insert, select, text

from state.api import Json
from state.database import Database, StoreError
from state.place import Place
from state.revision import make_current, revision_of
from state.tables import locks, metadata

ROWS_AT_ONCE = 1000
COPIED = tuple(table for table in metadata.sorted_tables if table is not locks)
"""Every table but that of who is at work: its rows are about one database, and now."""


class NotEmpty(StoreError):
    """The target holds a store already; nothing was written."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A table as it is in both databases: how many rows, and the hash of all that is in them."""

    table: str
    rows: int
    hash: str


def vacant(place: Place) -> Database:
    """The database to copy into; a file is made for its owner alone when it is not there."""
    if place.file:
        place.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(place.file, os.O_RDWR | os.O_CREAT, 0o600))
    return Database.at(place)


def copy_store(
    source: Database, target: Database, tell: Callable[[Copied], None]
) -> tuple[Copied, ...]:
    """Copies every table into a database that holds no rows, in one transaction of the target.

    What the source holds at one moment is copied; others may read and write it meanwhile. Each
    table is read back and compared before the next, and told. Raises NotEmpty, StoreError: then
    the target is as it was, but for its empty tables.
    """
    if revision_of(source) is None:
        raise StoreError(f"{source.where}: there is no store to copy")
    make_current(source)
    make_current(target)
    copied = []
    with source.reading("copy") as giving, target.writing("copy") as taking:
        _insist_on_nothing(taking, target.where)
        for table in COPIED:
            _fill(giving, taking, table)
            sent, arrived = count_of(giving, table), count_of(taking, table)
            if sent != arrived:
                raise StoreError(
                    f"{target.where}: table {table.name}: expected {sent.rows} rows with the hash"
                    f" {sent.hash[:12]}, seen {arrived.rows} with {arrived.hash[:12]};"
                    " nothing was kept"
                )
            tell(sent)
            copied.append(sent)
    return tuple(copied)


def count_of(link: Connection, table: Table) -> Copied:
    """A table's rows, and the hash of their values in the order of the primary key."""
    seen, rows = hashlib.sha256(), 0
    with _rows(link, table) as result:
        for row in result:
            seen.update(_line(row))
            rows += 1
    return Copied(table.name, rows, seen.hexdigest())


def _insist_on_nothing(link: Connection, where: str) -> None:
    for table in COPIED:
        rows = link.execute(select(func.count()).select_from(table)).scalar_one()
        if rows:
            raise NotEmpty(
                f"{where}: holds a store already ({rows} rows in {table.name}); give an empty"
                " database"
            )


def _fill(giving: Connection, taking: Connection, table: Table) -> None:
    names = table.columns.keys()
    with _rows(giving, table) as result:
        for rows in result.partitions(ROWS_AT_ONCE):
            taking.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
    for column in table.columns:
        if taking.dialect.name == "postgresql" and _counts(table, column):
            _count_on(taking, table, column)


def _rows(link: Connection, table: Table) -> Result[tuple[object, ...]]:
    """A table's rows, never all of them in memory; to be closed."""
    statement = select(table).order_by(*table.primary_key)
    return link.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE})


def _counts(table: Table, column: Column[object]) -> bool:
    """Whether the database numbers the rows by this column."""
    return table.autoincrement_column is column and isinstance(column.type, Integer)


def _count_on(link: Connection, table: Table, column: Column[object]) -> None:
    """Rows that bring their number do not move PostgreSQL's counter: the next would collide."""
    highest = link.execute(select(func.max(column))).scalar()
    if highest is not None:
        link.execute(
            text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)"),
            {"table": table.name, "column": column.name, "highest": highest},
        )


def _line(row: Iterable[object]) -> bytes:
    return json.dumps([_plain(value) for value in row], sort_keys=True).encode() + b"\n"


def _plain(value: object) -> Json:
    """A value in a form that is the same whichever database it came from."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    assert value is None or isinstance(value, str | int | float)
    return value
