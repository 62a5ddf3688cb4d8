"""Who is at work: a row for each lock, kept alive by its holder's heartbeat (LOCK-02, LOCK-05)."""

from sqlalchemy import Boolean, Column, Float, Integer, Table, Text

from state.tables.base import metadata

locks = Table(
    "locks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("token", Integer, nullable=False),
    Column("host", Text, nullable=False),
    Column("machine", Text, nullable=False),
    Column("boot", Text, nullable=False),
    Column("space", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Text, nullable=False),
    Column("guarded", Boolean, nullable=False),
    Column("taken_at", Float, nullable=False),
    Column("beat_at", Float, nullable=False),
    Column("until", Float, nullable=False),
)
"""Moments are seconds since 1970 by the database's clock (SQLite: by that of its machine)."""
