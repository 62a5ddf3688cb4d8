"""Keep backups of VMs that are gone until their time has come."""

import sqlalchemy as sa
from alembic import op

from state.columns import Moment

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "kept_backups",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("vmid", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", "vmid", "since", name=op.f("pk_kept_backups")),
    )
