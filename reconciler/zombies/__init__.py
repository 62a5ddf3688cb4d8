"""What VMs that are gone have left behind in a cluster: looked for, told, never removed."""
