"""Storages and what lies on them."""
