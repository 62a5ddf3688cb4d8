"""The HTTPS side: connections, bodies, certificates, and the simulator's own door."""
