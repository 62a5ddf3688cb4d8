"""Keep what people asked of single VMs, and what came of it."""

import sqlalchemy as sa
from alembic import op

from state.columns import Moment

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    results = "result IN ('', 'done', 'failed', 'refused', 'withdrawn')"
    op.create_table(
        "verbs",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("asked_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.CheckConstraint(results, name=op.f("ck_verbs_result")),
        sa.CheckConstraint("(ended_at IS NULL) = (result = '')", name=op.f("ck_verbs_ended")),
        sa.PrimaryKeyConstraint("key", "verb", "token", name=op.f("pk_verbs")),
    )
