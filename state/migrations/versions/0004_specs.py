"""Keep specs of VMs with their history, and the commit of the specs that a run went by."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "desired_vm",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("document_json", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_desired_vm_revision")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_desired_vm")),
    )
    op.create_table(
        "desired_vm_history",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document_json", sa.Text(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_desired_vm_history_revision")),
        sa.PrimaryKeyConstraint("name", "revision", name=op.f("pk_desired_vm_history")),
    )
    # Not made anew as in 0002: dropping `runs` would take the journal's rows with it.
    op.add_column("runs", sa.Column("commit", sa.Text(), nullable=False, server_default=""))
