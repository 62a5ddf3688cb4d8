"""One-off calls that people ask for: what may be asked, and how each comes to its end (Q-11)."""
