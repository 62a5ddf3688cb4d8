"""The form of all JSON that `reconcile` prints."""

SCHEMA_VERSION = 1
"""It grows when a field goes or comes to mean something else, not when one is added."""
