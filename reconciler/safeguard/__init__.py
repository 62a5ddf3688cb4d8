"""Guarded changes: a snapshot before, a health check after, and back if that fails."""
