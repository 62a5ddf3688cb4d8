"""Traffic: metered every tick, billed by the month."""
