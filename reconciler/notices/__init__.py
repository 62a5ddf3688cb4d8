"""Telling people: notices of what happened, and tickets for what failed for good (NOTE-01)."""
