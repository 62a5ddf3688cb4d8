"""The tests, as a package: their folders bear the names of what they test."""
