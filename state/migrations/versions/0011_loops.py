"""Keep when each loop is due and how its last run ended, and the cadence of single items."""

import sqlalchemy as sa
from alembic import op

from state.columns import Moment

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    statuses = "status IN ('new', 'running', 'success', 'skipped', 'error')"
    op.create_table(
        "loops",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=True),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("planned", sa.Text(), nullable=False),
        sa.Column("next_run", Moment(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("last_run", Moment(), nullable=True),
        sa.Column("finished_at", Moment(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("processed", sa.Integer(), nullable=False),
        sa.Column("errors", sa.Integer(), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("kills", sa.Integer(), nullable=False),
        sa.CheckConstraint(statuses, name=op.f("ck_loops_status")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_loops")),
    )
    op.create_table(
        "loop_items",
        sa.Column("loop", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("last_at", Moment(), nullable=False),
        sa.Column("next_at", Moment(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("loop", "item", name=op.f("pk_loop_items")),
    )
