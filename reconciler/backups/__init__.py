"""Backups of VMs: which are due, what came of them, which have to go."""
