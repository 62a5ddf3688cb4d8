"""High availability: what must run, where, and the managers that see to it."""
