"""One-off calls that people asked for, and the log of what became of each."""

from sqlalchemy import JSON, CheckConstraint, Column, Index, Integer, Table, Text

from state.columns import Moment
from state.tables.base import metadata

queue = Table(
    "queue",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    Column("vmid", Integer),
    Column("cluster", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("params", JSON, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("by", Text, nullable=False),
    Column("added_at", Moment, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("claimed_at", Moment),
    Column("sent_at", Moment),
    Column("upid", Text),
    Column("finished_at", Moment),
    Column("error", Text, nullable=False),
    Column("result", Text, nullable=False),
    CheckConstraint(
        "status IN ('queued', 'running', 'success', 'error', 'cancelled')", name="status"
    ),
    CheckConstraint("sent_at IS NULL OR claimed_at IS NOT NULL", name="claimed"),
    CheckConstraint("upid IS NULL OR sent_at IS NOT NULL", name="sent"),
    Index(None, "status"),
    sqlite_autoincrement=True,
)

queue_log = Table(
    "queue_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job", Integer, nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("text", Text, nullable=False),
)
