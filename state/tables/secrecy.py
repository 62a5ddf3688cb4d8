"""What is known of secrets: fingerprints, and generated ones, sealed."""

from sqlalchemy import Column, LargeBinary, Table, Text

from state.columns import Moment
from state.tables.base import metadata

fingerprints = Table(
    "fingerprints",
    metadata,
    Column("key", Text, primary_key=True),
    Column("use", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("key", Text, primary_key=True),
    Column("use", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("shown_at", Moment),
)
