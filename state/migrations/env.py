"""Runs migrations on the connection that `state.revision` hands over, in its transaction."""

from alembic import context
from sqlalchemy import Connection

from state.tables import metadata

connection = context.config.attributes["connection"]
assert isinstance(connection, Connection)
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
