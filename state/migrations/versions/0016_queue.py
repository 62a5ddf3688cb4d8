"""Keep one-off calls in a queue, with a log of what became of each."""

import sqlalchemy as sa
from alembic import op

from state.columns import Moment

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "queue",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("vmid", sa.Integer(), nullable=True),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", Moment(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("added_at", Moment(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("claimed_at", Moment(), nullable=True),
        sa.Column("sent_at", Moment(), nullable=True),
        sa.Column("upid", sa.Text(), nullable=True),
        sa.Column("finished_at", Moment(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'success', 'error', 'cancelled')",
            name=op.f("ck_queue_status"),
        ),
        sa.CheckConstraint(
            "sent_at IS NULL OR claimed_at IS NOT NULL", name=op.f("ck_queue_claimed")
        ),
        sa.CheckConstraint("upid IS NULL OR sent_at IS NOT NULL", name=op.f("ck_queue_sent")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_queue_status"), "queue", ["status"])
    op.create_table(
        "queue_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job", sa.Integer(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue_log")),
    )
    op.create_index(op.f("ix_queue_log_job"), "queue_log", ["job"])
