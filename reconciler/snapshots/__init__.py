"""Snapshots by the clock: old ones removed, some taken by schedule (TASK-02)."""
