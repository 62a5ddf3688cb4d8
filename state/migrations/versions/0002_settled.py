"""Remember what a quiet look at a VM went by, so that the same look need not be made again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # SQLite itself would write a new column behind the table's constraints.
    anew = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("cache", recreate="always" if anew else "never") as cache:
        cache.add_column(sa.Column("settled", sa.Text(), nullable=False, server_default=""))
