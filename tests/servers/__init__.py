"""Real servers that tests start for themselves, in scratch folders on loopback ports."""
