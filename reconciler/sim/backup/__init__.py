"""Backups: archives, the tasks that make and restore them, retention and cluster-wide jobs."""
