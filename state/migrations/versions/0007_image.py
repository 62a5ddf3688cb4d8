"""Remember of a VM the disk image that it is made from."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("bindings", sa.Column("image", sa.Text(), nullable=True))
