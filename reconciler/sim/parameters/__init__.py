"""Parameter types, formats and property strings, with Proxmox's words for wrong ones."""
