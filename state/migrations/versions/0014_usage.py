"""Keep traffic: meters by cluster, bytes by hour and by month."""

import sqlalchemy as sa
from alembic import op

from state.columns import Moment

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "meters",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", name=op.f("pk_meters")),
    )
    counted = ("bytes_in", "bytes_out", "spread", "repaired")
    for table, column in (
        ("usage_hours", sa.Column("hour", Moment(), nullable=False)),
        ("usage_months", sa.Column("month", sa.Text(), nullable=False)),
    ):
        op.create_table(
            table,
            sa.Column("key", sa.Text(), nullable=False),
            sa.Column("nic", sa.Text(), nullable=False),
            column,
            *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counted),
            sa.PrimaryKeyConstraint("key", "nic", column.name, name=op.f(f"pk_{table}")),
            sa.CheckConstraint("bytes_in >= 0 AND bytes_out >= 0", name=op.f(f"ck_{table}_bytes")),
        )
    op.create_table(
        "usage_gaps",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("vmid", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_gaps")),
    )
    op.create_index(op.f("ix_usage_hours_hour"), "usage_hours", ["hour"])
