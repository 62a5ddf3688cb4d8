"""The command by which a person ends VMs, whatever their specs say."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.config import Opened
    from reconciler.guard import Guarded

WORD = "TERMINATE"
"""What is typed to confirm it."""


@click.command(short_help="Destroy VMs, once and for all.")
@click.argument("vms", nargs=-1, required=True, metavar="VM...")
@click.option("--force", is_flag=True, help="Close out a VM whose node is dead; nothing is sent.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be destroyed.")
@click.option("--cancel", is_flag=True, help="Take it back; what is gone already is made anew.")
@OUTPUT
@click.pass_obj
def terminate(
    settings: Settings,
    vms: tuple[str, ...],
    force: bool,
    yes: bool,
    dry_run: bool,
    cancel: bool,
    output: str,
) -> None:
    """Let the next run stop and destroy these VMs with all their volumes.

    Shown first is every volume that dies. Who types the word has approved what is shown, also where
    it is protected or beyond a threshold; --yes approves nothing. A VM that its spec still wants is
    not made again: it stays removed until --cancel, until `reconcile redeploy`, or until its spec
    goes. With --force a VM of a dead node is closed out as `abandoned`, and its addresses are kept
    until `reconcile forget`.

    \b
    Examples:
      reconcile terminate old-1 --dry-run
      reconcile terminate old-1 old-2 --yes
      reconcile terminate old-1 --force
      reconcile terminate old-1 --cancel
    """
    from reconciler.cli.ends import agreed, approve_shown, shown_ends
    from reconciler.cli.opening import known_key, now, person
    from reconciler.config import open_live, open_preview

    if cancel and (force or dry_run):
        raise click.UsageError("--cancel stands alone")
    at = now()
    begin = open_preview if dry_run else open_live
    with begin(settings.fleet, settings.database, at) as opened:
        bound = opened.store.bindings.names()
        keys = [known_key(key, opened.fleet, bound) for key in dict.fromkeys(vms)]
        if cancel:
            answer(output, "\n".join(_cancelled(opened, keys, at)), vms=keys, terminate=False)
            return
        _insist(opened, keys, bound)
        shown = shown_ends(opened, keys, at, output)
        if force:
            _must_be_dead(shown.found)
        if dry_run or not agreed(yes, WORD):
            answer(output, "nothing was asked for", vms=keys, terminate=False, destroys=shown.lost)
            return
        if not yes:
            approve_shown(opened, shown)
        if force:
            said = _abandoned(opened, keys, person(), at)
        else:
            said = _asked(opened, keys, at, shown.needs if yes else "")
        answer(output, "\n".join(said), vms=keys, terminate=True, destroys=shown.lost)


def _insist(opened: "Opened", keys: list[str], bound: "Mapping[str, object]") -> None:
    for key in keys:
        if key not in bound:
            raise click.ClickException(f"{key} has no machine: there is nothing to destroy")
        if key not in opened.fleet.vms:
            text = f"{key} has no sound spec: write `{key}: {{state: absent}}` to end it"
            raise click.ClickException(text)


def _must_be_dead(found: "Mapping[str, Guarded]") -> None:
    for key, one in found.items():
        seen = one.plan.seen
        node = seen.cluster.nodes.get(seen.row.node) if seen.row else None
        if not seen.cluster.problem and (seen.row is None or (node is not None and node.online)):
            text = f"{key}: its node answers; terminate it without --force"
            raise click.ClickException(text)


def _asked(opened: "Opened", keys: list[str], at: "datetime", needs: str) -> list[str]:
    """Ask for the ends; `needs` says what of them is still to be approved."""
    from reconciler.aftermath import ask_end
    from reconciler.cli.opening import person

    return [
        f"the next run ends {key}{needs}"
        if ask_end(opened.store, key, person(), at.isoformat(), at)
        else f"{key}: asked before"
        for key in keys
    ]


def _abandoned(opened: "Opened", keys: list[str], by: str, at: "datetime") -> list[str]:
    from reconciler.aftermath import abandon

    for key in keys:
        abandon(opened.store, key, by, at)
    return [f"{key} is abandoned: its addresses are kept until reconcile forget" for key in keys]


def _cancelled(opened: "Opened", keys: list[str], at: "datetime") -> list[str]:
    from reconciler.effective import REMOVED, TERMINATE, asked

    told = []
    for key in keys:
        intent = opened.store.intents.of(key).get(TERMINATE)
        if intent is not None:
            opened.store.verbs.end(asked(intent), "withdrawn", "taken back", at)
            told.append(f"{key} is not to be ended")
        elif REMOVED in opened.store.intents.of(key):
            opened.store.intents.drop(key, REMOVED)
            told.append(f"the next run makes {key} anew")
        else:
            told.append(f"nobody asked for the end of {key}")
    return told
