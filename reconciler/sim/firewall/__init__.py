"""The firewall of VMs and of the cluster."""
