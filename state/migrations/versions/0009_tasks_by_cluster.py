"""Tell open tasks apart by their cluster too: a UPID is one cluster's word."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_constraint("pk_tasks", type_="primary")
        tasks.create_primary_key("pk_tasks", ["upid", "cluster"])
