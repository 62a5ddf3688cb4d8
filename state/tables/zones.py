"""DNS: which records are ours, and what was last read of each zone."""

from sqlalchemy import JSON, Boolean, Column, Integer, LargeBinary, Table, Text

from state.columns import Moment
from state.tables.base import metadata

# `held` is what the provider has confirmed, `pending` what a write was begun for: lists of values.
dns_records = Table(
    "dns_records",
    metadata,
    Column("zone", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("vms", JSON, nullable=False),
    Column("held", JSON, nullable=False),
    Column("pending", JSON, nullable=False),
    Column("ttl", Integer, nullable=False),
    Column("at", Moment, nullable=False),
)

dns_zones = Table(
    "dns_zones",
    metadata,
    Column("zone", Text, primary_key=True),
    Column("serial", Text),
    Column("read_at", Moment),
    Column("dirty", Boolean, nullable=False),
    Column("settled", Text, nullable=False),
    Column("records", LargeBinary, nullable=False),
)
