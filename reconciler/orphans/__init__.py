"""VMs whose spec has gone: told, and destroyed only where the fleet says so (`prune`)."""
