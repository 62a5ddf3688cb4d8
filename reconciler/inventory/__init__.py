"""A cluster written down: what its API answers, without secrets, to try things on a copy of it."""
