"""Keep which DNS records are ours, and what was last read of each zone."""

import sqlalchemy as sa
from alembic import op

from state.columns import Moment

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "dns_records",
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("vms", sa.JSON(), nullable=False),
        sa.Column("held", sa.JSON(), nullable=False),
        sa.Column("pending", sa.JSON(), nullable=False),
        sa.Column("ttl", sa.Integer(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("zone", "name", "type", name=op.f("pk_dns_records")),
    )
    op.create_table(
        "dns_zones",
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("read_at", Moment(), nullable=True),
        sa.Column("dirty", sa.Boolean(), nullable=False),
        sa.Column("settled", sa.Text(), nullable=False),
        sa.Column("records", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("zone", name=op.f("pk_dns_zones")),
    )
