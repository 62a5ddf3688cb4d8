"""What people granted, and how edits of many VMs are let through."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from state.columns import Moment
from state.tables.base import metadata

approvals = Table(
    "approvals",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("changes_json", Text, nullable=False),
    Column("until", Moment, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
)

approved = Table(
    "approved",
    metadata,
    Column("digest", Text, ForeignKey("approvals.digest", ondelete="CASCADE"), primary_key=True),
    Column("change", Text, primary_key=True),
    Column("used_at", Moment),
    Index(None, "change"),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("edits", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("why", Text, nullable=False),
    Column("begun_at", Moment, nullable=False),
    Column("moved_at", Moment, nullable=False),
    Column("ended_at", Moment),
    CheckConstraint("state IN ('active', 'paused', 'aborted', 'done', 'superseded')", name="state"),
)

rollout_members = Table(
    "rollout_members",
    metadata,
    Column("rollout", Integer, ForeignKey("rollouts.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Moment, nullable=False),
    CheckConstraint("state IN ('waiting', 'working', 'done', 'left')", name="state"),
)
