"""The commands that ask something of one VM: suspend, resume, move, reinstall, redeploy."""

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.config import Opened
    from state.api import Json
    from state.memory import Memory

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
    from reconciler.cli.opening import known_key, now, person
    from reconciler.config import open_live
    from reconciler.verbs.asking import Refused, ask
    from state.verbs import Wish

    at = now()
    with open_live(settings.fleet, settings.database, at) as opened:
        memories = opened.store.memories()
        key = known_key(vm, opened.fleet, memories)
        spec, memory = opened.fleet.vms.get(key), opened.store.memories([key])[key]
        wish = Wish(key, verb, token or at.isoformat(), person(), at, params)
        try:
            said = ask(opened.store, spec, memory, wish, at)
        except Refused as error:
            raise click.ClickException(f"{key}: {verb} is refused: {error}") from None
    return key, wish.token, said


def confirmed(yes: bool, word: str) -> None:
    """Insist that a person types a word that nobody types by mistake."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"nobody can be asked here: give --yes in place of typing {word}")
    if click.prompt(f"Type {word} to go on", err=True) != word:
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

    Disks and snapshots are lost, and there is a new password. It is refused while Proxmox holds a
    lock on the VM. The word REINSTALL is asked for, but with --yes.

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
    stay. A VM that was terminated although its spec wants it is deployed again. The word REDEPLOY
    is asked for, but with --yes.

    \b
    Examples:
      reconcile redeploy web-1
      reconcile redeploy web-1 --yes
    """
    _anew(settings, vm, "redeploy", yes, token, output)


def _anew(
    settings: Settings, vm: str, verb: str, yes: bool, token: str | None, output: str
) -> None:
    from reconciler.cli.opening import known_key, now
    from reconciler.config import open_preview

    with open_preview(settings.fleet, settings.database, now()) as opened:
        key = known_key(vm, opened.fleet, opened.store.memories())
        memory = opened.store.memories([key])[key]
        if verb == "redeploy" and not yes:
            _not_ready(key, memory)
        for line in _lost(opened, key, memory):
            click.echo(line, err=True)
    confirmed(yes, verb.upper())
    ask_verb(settings, vm, verb, {}, token, output)


def _not_ready(key: str, memory: "Memory") -> None:
    """TERM-14: a VM that is ready is no case for a redeploy."""
    from state.memory import Phase

    if memory.binding is not None and memory.binding.phase is Phase.READY:
        text = f"{key} is ready: see reconcile reinstall, or give --yes to redeploy it all the same"
        raise click.ClickException(text)


def _lost(opened: "Opened", key: str, memory: "Memory") -> list[str]:
    """What is lost, by what was read last; refused while Proxmox holds a lock (DEP-28)."""
    from handlers.terminate import losses
    from reconciler.cli.terminate import looked_at

    if memory.binding is None or key not in opened.fleet.vms:
        return []
    turns, found = looked_at(opened, [key])
    seen = found[key].plan.seen
    if seen.row and seen.row.lock:
        raise click.ClickException(
            f"{key}: Proxmox holds the lock {seen.row.lock}: try again later"
        )
    snapshots = ["all its snapshots"] if seen.config and seen.config.live.text("parent") else []
    return [f"{key} loses {one}" for one in (*losses(turns[key].spec, seen), *snapshots)]
