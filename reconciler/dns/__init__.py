"""Name servers: what zones should hold, and the drivers that write it."""
