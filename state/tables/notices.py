"""What is told to people: each notice to each of them, and the tickets of what failed for good."""

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from state.columns import Moment
from state.tables.base import metadata

notices = Table(
    "notices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("occurrence", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("ticket", Integer),
    Column("state", Text, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("carries", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("error", Text, nullable=False),
    UniqueConstraint("occurrence", "channel", "recipient"),
    CheckConstraint(
        "state IN ('waiting', 'claimed', 'handing', 'sent', 'held', 'failed')", name="state"
    ),
    Index(None, "state"),
)

# A cause that comes back after its ticket was closed has another one: its next number.
tickets = Table(
    "tickets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("cause", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("subjects", JSON, nullable=False),
    Column("department", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("reference", Text, nullable=False),
    Column("quiet", Boolean, nullable=False),
    UniqueConstraint("cause", "number"),
)
