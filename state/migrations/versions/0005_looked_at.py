"""Remember when an intent was last looked at: nothing is forced on a look older than its window."""

import sqlalchemy as sa
from alembic import op

from state.columns import Moment

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("intents", sa.Column("looked_at", Moment(), nullable=True))
