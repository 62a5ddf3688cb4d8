"""The commands that ask something of one VM: suspend, resume, move, reinstall, redeploy."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.cli.ends import Shown
    from reconciler.config import Opened
    from state.api import Json
    from state.memory import Memory
    from state.verbs import Wish

TOKEN = click.option(
    "--token", metavar="TOKEN", help="Ask once for each token, for a caller that may ask again."
)
YES = click.option("--yes", is_flag=True, help="Do not ask for the word.")


def ask_verb(
    settings: Settings,
    vm: str,
    verb: str,
    params: "Mapping[str, Json]",
    token: str | None,
    output: str,
) -> None:
    """Ask a verb of a VM and tell what the next run does."""
    key, token, said = asked(settings, vm, verb, params, token)
    answer(output, f"{key} {said}", vm=key, verb=verb, token=token, says=said)


def asked(
    settings: Settings, vm: str, verb: str, params: "Mapping[str, Json]", token: str | None
) -> tuple[str, str, str]:
    """Ask a verb of a VM; return its key, the token, and what comes of it in words."""
    from reconciler.cli.opening import known_key, now
    from reconciler.config import open_live

    at = now()
    with open_live(settings.fleet, settings.database, at) as opened:
        key = known_key(vm, opened.fleet, opened.store.memories())
        wish = _wish(key, verb, params, token, at)
        return key, wish.token, _opened(opened, wish)


def _wish(
    key: str, verb: str, params: "Mapping[str, Json]", token: str | None, at: "datetime"
) -> "Wish":
    from reconciler.cli.opening import person
    from state.verbs import Wish

    return Wish(key, verb, token or at.isoformat(), person(), at, params)


def _opened(opened: "Opened", wish: "Wish") -> str:
    """Open a verb; what comes of it in words."""
    from reconciler.verbs.asking import Refused, ask

    spec, memory = opened.fleet.vms.get(wish.key), opened.store.memories([wish.key])[wish.key]
    try:
        return ask(opened.store, spec, memory, wish, wish.at)
    except Refused as error:
        raise click.ClickException(f"{wish.key}: {wish.verb} is refused: {error}") from None


def confirmed(yes: bool, word: str) -> None:
    """Insist that a person types a word that nobody types by mistake."""
    from reconciler.cli.ends import agreed

    if not agreed(yes, word, "go on"):
        raise click.ClickException("nothing was asked for")


@click.command(short_help="Stop a VM and keep it off; nothing is deleted.")
@click.argument("vm")
@click.option("--why", metavar="TEXT", help="For the record.")
@TOKEN
@OUTPUT
@click.pass_obj
def suspend(settings: Settings, vm: str, why: str | None, token: str | None, output: str) -> None:
    """Stop a VM, take it off host boot and HA, and undo whoever starts it, in every run.

    Nothing is deleted, whatever its restart policy and windows say. `resume` puts it back.

    \b
    Examples:
      reconcile suspend web-1 --why unpaid
      reconcile suspend web-1 --token invoice-7
    """
    ask_verb(settings, vm, "suspend", {"why": why} if why else {}, token, output)


@click.command(short_help="Bring a suspended VM back as it was.")
@click.argument("vm")
@TOKEN
@OUTPUT
@click.pass_obj
def resume(settings: Settings, vm: str, token: str | None, output: str) -> None:
    """Lift a suspend: the VM runs, or not, and starts with its host, or not, as before.

    \b
    Examples:
      reconcile resume web-1
    """
    ask_verb(settings, vm, "resume", {}, token, output)


@click.command(short_help="Move a VM to a node, or its disks to a storage.")
@click.argument("vm")
@click.option("--node", metavar="NODE", help="Migrate it there, live when it runs.")
@click.option("--storage", metavar="NAME", help="Move its disks there, one after the other.")
@click.option("--disk", metavar="SLOT", help="With --storage: this disk only.")
@TOKEN
@OUTPUT
@click.pass_obj
def move(
    settings: Settings,
    vm: str,
    node: str | None,
    storage: str | None,
    disk: str | None,
    token: str | None,
    output: str,
) -> None:
    """Let the next run move a VM, once. The former volume of a moved disk is removed.

    \b
    Examples:
      reconcile move web-1 --node pve2
      reconcile move web-1 --storage ceph
      reconcile move web-1 --storage ceph --disk scsi1
    """
    if (node is None) == (storage is None) or (disk and node):
        raise click.UsageError("give either --node, or --storage with or without --disk")
    named: dict[str, Json] = {"node": node, "storage": storage, "disk": disk}
    params = {name: value for name, value in named.items() if value is not None}
    ask_verb(settings, vm, "move", params, token, output)


@click.command(short_help="Destroy a VM and make it anew, with its addresses and MACs.")
@click.argument("vm")
@YES
@TOKEN
@OUTPUT
@click.pass_obj
def reinstall(settings: Settings, vm: str, yes: bool, token: str | None, output: str) -> None:
    """Make a VM anew of its spec's template: vmid, addresses and MACs stay, so do backups.

    Disks and snapshots are lost, and there is a new password; disks with `reclaim: retain` come
    back. It is refused while Proxmox holds a lock on the VM. Shown first is every volume that dies.
    Who types the word REINSTALL has approved what is shown; --yes approves nothing.

    \b
    Examples:
      reconcile reinstall web-1
      reconcile reinstall web-1 --yes --token ticket-42
    """
    _anew(settings, vm, "reinstall", yes, token, output)


@click.command(short_help="Destroy a VM and deploy it from nothing.")
@click.argument("vm")
@YES
@TOKEN
@OUTPUT
@click.pass_obj
def redeploy(settings: Settings, vm: str, yes: bool, token: str | None, output: str) -> None:
    """Make a VM anew from nothing: its addresses, its history and its record go too.

    It is meant for a VM that does not get ready; of one that is ready only with --yes. Backups
    stay, and disks with `reclaim: retain` come back. A VM that was terminated although its spec
    wants it is deployed again. Shown first is every volume that dies. Who types the word REDEPLOY
    has approved what is shown; --yes approves nothing.

    \b
    Examples:
      reconcile redeploy web-1
      reconcile redeploy web-1 --yes
    """
    _anew(settings, vm, "redeploy", yes, token, output)


def _anew(
    settings: Settings, vm: str, verb: str, yes: bool, token: str | None, output: str
) -> None:
    from reconciler.cli.ends import agreed, approve_shown
    from reconciler.cli.opening import known_key, now
    from reconciler.config import open_live

    at = now()
    with open_live(settings.fleet, settings.database, at) as opened:
        key = known_key(vm, opened.fleet, opened.store.memories())
        memory = opened.store.memories([key])[key]
        wish = _wish(key, verb, {}, token, at)
        if verb == "redeploy" and not yes:
            _not_ready(key, memory)
        shown = _shown(opened, memory, wish, output)
        if not agreed(yes, verb.upper()):
            raise click.ClickException("nothing was asked for")
        if shown is not None and not yes:
            approve_shown(opened, shown)
        said = _opened(opened, wish) + (shown.needs if shown and yes else "")
        lost = shown.lost.get(key, []) if shown else []
    answer(output, f"{key} {said}", vm=key, verb=verb, token=wish.token, says=said, destroys=lost)


def _not_ready(key: str, memory: "Memory") -> None:
    """TERM-14: a VM that is ready is no case for a redeploy."""
    from state.memory import Phase

    if memory.binding is not None and memory.binding.phase is Phase.READY:
        text = f"{key} is ready: see reconcile reinstall, or give --yes to redeploy it all the same"
        raise click.ClickException(text)


def _shown(opened: "Opened", memory: "Memory", wish: "Wish", output: str) -> "Shown | None":
    """Show the plan with every volume that is lost; None where there is no machine.

    Raises ClickException where the verb may not be asked, and while Proxmox holds a lock (DEP-28).
    """
    from reconciler.cli.ends import shown_ends
    from reconciler.verbs.asking import refusal

    key = wish.key
    if why := refusal(opened.fleet.vms.get(key), memory, wish):
        raise click.ClickException(f"{key}: {wish.verb} is refused: {why}")
    if memory.binding is None:
        return None
    shown = shown_ends(opened, [key], wish.at, output, anew=True)
    seen = shown.found[key].plan.seen
    if seen.row and seen.row.lock:
        raise click.ClickException(
            f"{key}: Proxmox holds the lock {seen.row.lock}: try again later"
        )
    if seen.config and seen.config.live.text("parent"):
        click.echo(f"{key} loses all its snapshots", err=True)
    return shown
