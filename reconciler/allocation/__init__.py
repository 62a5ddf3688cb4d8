"""What a VM is given before it can be compared: vmid, node, name, addresses, secrets."""
