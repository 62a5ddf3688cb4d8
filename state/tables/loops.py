"""Scheduled work: when each loop is due and how its last run ended; each item's own cadence."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Integer,
    Table,
    Text,
)

from state.columns import Moment
from state.tables.base import metadata

loops = Table(
    "loops",
    metadata,
    Column("name", Text, primary_key=True),
    Column("active", Boolean, nullable=False),
    Column("schedule", Text),
    Column("removed", Boolean, nullable=False),
    Column("planned", Text, nullable=False),
    Column("next_run", Moment),
    Column("number", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("last_run", Moment),
    Column("finished_at", Moment),
    Column("message", Text, nullable=False),
    Column("processed", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("output", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("kills", Integer, nullable=False),
    CheckConstraint("status IN ('new', 'running', 'success', 'skipped', 'error')", name="status"),
)

loop_items = Table(
    "loop_items",
    metadata,
    Column("loop", Text, primary_key=True),
    Column("item", Text, primary_key=True),
    Column("last_at", Moment, nullable=False),
    Column("next_at", Moment, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("error", Text, nullable=False),
)
