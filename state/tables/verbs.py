"""What people asked of single VMs, once each, and what came of it."""

from sqlalchemy import CheckConstraint, Column, Table, Text

from state.columns import Moment
from state.tables.base import metadata

verbs = Table(
    "verbs",
    metadata,
    Column("key", Text, primary_key=True),
    Column("verb", Text, primary_key=True),
    Column("token", Text, primary_key=True),
    Column("by", Text, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("result", Text, nullable=False),
    Column("message", Text, nullable=False),
    CheckConstraint("result IN ('', 'done', 'failed', 'refused', 'withdrawn')", name="result"),
    CheckConstraint("(ended_at IS NULL) = (result = '')", name="ended"),
)
