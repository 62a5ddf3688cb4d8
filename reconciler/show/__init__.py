"""How runs, plans and states look: plain functions from values to text."""
