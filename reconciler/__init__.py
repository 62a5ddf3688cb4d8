"""When things happen: the command, the engine, the Proxmox client and the simulated cluster."""

VERSION = "0.1.0"
