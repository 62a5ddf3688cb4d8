"""What is left of machines that are gone."""

from sqlalchemy import Column, Integer, Table, Text

from state.columns import Moment
from state.tables.base import metadata

kept_backups = Table(
    "kept_backups",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("vmid", Integer, primary_key=True, autoincrement=False),
    Column("since", Moment, primary_key=True),
    Column("key", Text, nullable=False),
    Column("ended_at", Moment, nullable=False),
    Column("until", Moment, nullable=False),
)
