"""Keep edits that go out in batches, and how far each VM of them is."""

import sqlalchemy as sa
from alembic import op

from state.columns import Moment

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    states = "state IN ('active', 'paused', 'aborted', 'done', 'superseded')"
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("edits", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("begun_at", Moment(), nullable=False),
        sa.Column("moved_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.CheckConstraint(states, name=op.f("ck_rollouts_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollouts")),
    )
    op.create_index(op.f("ix_rollouts_state"), "rollouts", ["state"])
    _members()


def _members() -> None:
    states = "state IN ('waiting', 'working', 'done', 'left')"
    op.create_table(
        "rollout_members",
        sa.Column("rollout", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.CheckConstraint(states, name=op.f("ck_rollout_members_state")),
        sa.ForeignKeyConstraint(
            ["rollout"],
            ["rollouts.id"],
            name=op.f("fk_rollout_members_rollout_rollouts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("rollout", "key", name=op.f("pk_rollout_members")),
    )
