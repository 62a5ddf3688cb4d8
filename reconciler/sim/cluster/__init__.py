"""Nodes, tasks, the log, and what the cluster tells of itself."""
