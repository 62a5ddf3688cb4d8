"""Addresses that are nobody's to lease: those that rest, and those that a person keeps back."""

from sqlalchemy import Column, Table, Text

from state.columns import Moment
from state.tables.base import metadata

quarantine = Table(
    "quarantine",
    metadata,
    Column("address", Text, primary_key=True),
    Column("pool", Text, nullable=False),
    Column("released_at", Moment, nullable=False),
    Column("until", Moment),
    Column("key", Text, index=True),
    Column("why", Text, nullable=False),
)

reservations = Table(
    "reservations",
    metadata,
    Column("address", Text, primary_key=True),
    Column("key", Text, index=True),
    Column("why", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Moment, nullable=False),
)
