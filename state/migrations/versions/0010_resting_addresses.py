"""Keep addresses that rest after their release, and those that a person keeps back."""

import sqlalchemy as sa
from alembic import op

from state.columns import Moment

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "quarantine",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("released_at", Moment(), nullable=False),
        sa.Column("until", Moment(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_quarantine")),
    )
    op.create_index(op.f("ix_quarantine_key"), "quarantine", ["key"])
    op.create_table(
        "reservations",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_reservations")),
    )
    op.create_index(op.f("ix_reservations_key"), "reservations", ["key"])
