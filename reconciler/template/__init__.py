"""Templates: whether they are fit for the VMs made from them, and making new ones (CI-04)."""
