"""Scheduled work: each loop has its own schedule, lock, last run and dry run (design 2, Loop)."""
