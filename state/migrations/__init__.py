"""The database's history (alembic); `state.revision` runs it."""
