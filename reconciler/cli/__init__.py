"""The command `reconcile`."""

from reconciler.cli.group import COMMANDS, cli, main

__all__ = ["COMMANDS", "cli", "main"]
