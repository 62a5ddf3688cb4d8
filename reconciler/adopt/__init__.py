"""VMs that others made, taken into the fleet: found, said as specs, proven, bound and marked."""
