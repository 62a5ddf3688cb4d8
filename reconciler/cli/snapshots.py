"""Commands about a VM's snapshots: take one, roll back, list and delete them."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings
from reconciler.cli.verbs import TOKEN, YES, ask_verb, confirmed

if TYPE_CHECKING:
    from state.api import Json


@click.command(short_help="Take a snapshot of a VM.")
@click.argument("vm")
@click.option(
    "--name", metavar="NAME", help="Letters, digits, - and _. Default: made of the token."
)
@click.option("--description", metavar="TEXT", help="Default: who asked for it.")
@click.option("--vmstate", is_flag=True, help="Save the RAM of a running VM too.")
@TOKEN
@OUTPUT
@click.pass_obj
def snapshot(
    settings: Settings,
    vm: str,
    name: str | None,
    description: str | None,
    vmstate: bool,
    token: str | None,
    output: str,
) -> None:
    """Let the next run take a snapshot, once. The quota of the spec holds.

    \b
    Examples:
      reconcile snapshot web-1 --name before-upgrade
      reconcile snapshot web-1 --name live --vmstate --description "as sold"
    """
    import re

    from handlers.snapshots import GUARDS, NAME

    if name and (not re.fullmatch(NAME, name) or re.fullmatch(GUARDS, name)):
        raise click.BadParameter(f"{name!r}: expected a letter, then letters, digits, - or _")
    named: dict[str, Json] = {"name": name, "description": description, "vmstate": vmstate or None}
    params = {key: value for key, value in named.items() if value is not None}
    ask_verb(settings, vm, "snapshot", params, token, output)


@click.command(short_help="Put a VM back to a snapshot.")
@click.argument("vm")
@click.argument("name")
@YES
@TOKEN
@OUTPUT
@click.pass_obj
def rollback(
    settings: Settings, vm: str, name: str, yes: bool, token: str | None, output: str
) -> None:
    """Let the next run put a VM's disks and config back; what was written since is lost.

    The guest is stopped for it. What the spec says is put right again afterwards. A deny window
    holds it back. The word ROLLBACK is asked for, but with --yes.

    \b
    Examples:
      reconcile rollback web-1 before-upgrade
      reconcile rollback web-1 before-upgrade --yes
    """
    confirmed(yes, "ROLLBACK")
    ask_verb(settings, vm, "rollback", {"name": name}, token, output)


@click.group(short_help="List and delete the snapshots of a VM.")
def snapshots() -> None:
    """The snapshots that a VM has in Proxmox.

    \b
    Examples:
      reconcile snapshots list web-1
      reconcile snapshots delete web-1 before-upgrade
    """


@snapshots.command("list", short_help="Show the snapshots of a VM.")
@click.argument("vm")
@OUTPUT
@click.pass_obj
def list_snapshots(settings: Settings, vm: str, output: str) -> None:
    """Show each snapshot of a VM: its name, when it was taken, and what its description says.

    \b
    Examples:
      reconcile snapshots list web-1
    """
    from datetime import UTC, datetime

    from reconciler.cli.opening import known_key, now
    from reconciler.config import open_preview
    from reconciler.verbs.listing import saved_by
    from state.api import ApiError

    with open_preview(settings.fleet, settings.database, now()) as opened:
        key = known_key(vm, opened.fleet, opened.store.memories())
        binding = opened.store.bindings.of(key)
        if binding is None:
            raise click.ClickException(f"{key} has no machine yet")
        try:
            found = saved_by(opened.connect(binding.cluster), binding)
        except ApiError as error:
            raise click.ClickException(f"{key}: {error.text}") from None
    lines = [
        f"{one.name:<24} {datetime.fromtimestamp(one.at, UTC):%Y-%m-%d %H:%M} UTC  {one.about}"
        for one in found
    ]
    told = [{"name": one.name, "at": one.at, "description": one.about} for one in found]
    answer(output, "\n".join(lines) or f"{key} has no snapshots", vm=key, snapshots=told)


@snapshots.command("delete", short_help="Delete a snapshot of a VM.")
@click.argument("vm")
@click.argument("name")
@YES
@TOKEN
@OUTPUT
@click.pass_obj
def delete_snapshot(
    settings: Settings, vm: str, name: str, yes: bool, token: str | None, output: str
) -> None:
    """Let the next run delete a snapshot. The word DELETE is asked for, but with --yes.

    \b
    Examples:
      reconcile snapshots delete web-1 before-upgrade --yes
    """
    confirmed(yes, "DELETE")
    ask_verb(settings, vm, "delete-snapshot", {"name": name}, token, output)
