"""The command that puts a VM back to one of its backups."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT
from reconciler.cli.settings import Settings
from reconciler.cli.verbs import TOKEN, YES, ask_verb, confirmed

if TYPE_CHECKING:
    from state.api import Json


@click.command(short_help="Put a VM back to a backup.")
@click.argument("vm")
@click.option("--backup", required=True, metavar="VOLUME", help="As `backup list` shows it.")
@click.option("--storage", metavar="NAME", help="For its disks. Default: where they were.")
@click.option("--foreign", is_flag=True, help="Take a backup of another VM too.")
@YES
@TOKEN
@OUTPUT
@click.pass_obj
def restore(
    settings: Settings,
    vm: str,
    backup: str,
    storage: str | None,
    foreign: bool,
    yes: bool,
    token: str | None,
    output: str,
) -> None:
    """Let the next run stop a VM, copy a backup over it, and make it what its spec says.

    What was written since the backup is lost, and so is every snapshot. Disks that are in no
    backup are kept, and addresses, names and MACs stay. After a restore that failed the VM stays
    off: restore it once more, or reinstall it. The word RESTORE is asked for, but with --yes.

    \b
    Examples:
      reconcile restore web-1 --backup pbs:backup/vm/100/2026-11-19T02:00:00Z
      reconcile restore web-1 --backup pbs:backup/vm/100/2026-11-19T02:00:00Z --storage ceph --yes
    """
    confirmed(yes, "RESTORE")
    named: dict[str, Json] = {"backup": backup, "storage": storage, "foreign": foreign or None}
    params = {key: value for key, value in named.items() if value is not None}
    ask_verb(settings, vm, "restore", params, token, output)
