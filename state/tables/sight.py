"""What was seen of the clusters: cached configs, and who did what there."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, Table, Text

from state.columns import Moment
from state.tables.base import metadata

cache = Table(
    "cache",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("vmid", Integer, primary_key=True, autoincrement=False),
    Column("pending_json", Text, nullable=False),
    Column("firewall_json", Text),
    Column("digest", Text, nullable=False),
    Column("hints", Text, nullable=False),
    Column("read_at", Moment),
    Column("firewall_read_at", Moment),
    Column("dirty", Boolean, nullable=False),
    Column("dirty_reason", Text, nullable=False),
    Column("dirty_since", Moment),
    Column("settled", Text, nullable=False, server_default=""),
    CheckConstraint("dirty_since IS NOT NULL OR NOT dirty", name="dirty"),
)

traces = Table(
    "traces",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("cluster", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("vmid", Integer, nullable=False),
    Column("user", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index(None, "cluster", "vmid"),
    Index(None, "at"),
)
