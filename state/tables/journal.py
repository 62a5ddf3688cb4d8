"""What was done: runs, their steps, effects, events, and the conditions that stand."""

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from state.columns import Moment
from state.tables.base import metadata

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("started_at", Moment, nullable=False),
    Column("command", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("dry", Boolean, nullable=False),
    Column("finished_at", Moment),
    Column("summary", JSON, nullable=False),
    Column("commit", Text, nullable=False, server_default=""),
)

vm_runs = Table(
    "vm_runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("state_before", Text, nullable=False),
    Column("state_after", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("run", Integer, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    UniqueConstraint("run", "key", "action"),
    CheckConstraint("result IN ('success', 'waiting', 'error')", name="result"),
    Index(None, "key", "id"),
)

steps = Table(
    "steps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column(
        "vm_run", Integer, ForeignKey("vm_runs.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("label", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("at", Moment, nullable=False),
    Column("detail", Text, nullable=False),
)

effects = Table(
    "effects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Index(None, "effect", "at"),
)

conditions = Table(
    "conditions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("status", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("since", Moment, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("event", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("dedupe", Text, nullable=False, unique=True),
    Column("delivered_at", Moment),
    Index(None, "delivered_at"),
)
