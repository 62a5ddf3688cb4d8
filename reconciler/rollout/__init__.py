"""Edits that touch many VMs: found, put into batches, and carried on run by run."""
