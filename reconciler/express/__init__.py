"""The handlers turned round: what a spec says of a VM that is as Proxmox has it now."""
