"""One VM: its config, its disks and its life."""
