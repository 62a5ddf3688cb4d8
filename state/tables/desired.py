"""Specs that stand in the database, with every revision that ever stood."""

from sqlalchemy import CheckConstraint, Column, Integer, Table, Text

from state.columns import Moment
from state.tables.base import metadata

# What stands now, and every revision that ever stood; a delete is a revision without a document.
desired_vm = Table(
    "desired_vm",
    metadata,
    Column("name", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("document_json", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("at", Moment, nullable=False),
    CheckConstraint("revision >= 1", name="revision"),
)

desired_vm_history = Table(
    "desired_vm_history",
    metadata,
    Column("name", Text, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("document_json", Text),
    Column("author", Text, nullable=False),
    Column("at", Moment, nullable=False),
    CheckConstraint("revision >= 1", name="revision"),
)
