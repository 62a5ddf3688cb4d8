"""Pools and their addresses as a person looks at them, and steps in."""
