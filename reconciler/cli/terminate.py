"""The command by which a person ends VMs, whatever their specs say."""

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconciler.config import Opened
    from reconciler.guard import Guarded
    from reconciler.report import DryRun
    from reconciler.turn import Turn

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
    it is protected or beyond a threshold; --yes approves nothing. A VM that its spec still wants is not made again: it
    stays removed until --cancel, or until its spec goes. With --force a VM of a dead node is
    closed out as `abandoned`, and its addresses are kept until `reconcile forget`.

    \b
    Examples:
      reconcile terminate old-1 --dry-run
      reconcile terminate old-1 old-2 --yes
      reconcile terminate old-1 --force
      reconcile terminate old-1 --cancel
    """
    from reconciler.cli.opening import known_key, now, person
    from reconciler.cli.output import paint
    from reconciler.config import open_live, open_preview
    from reconciler.show.plan import render_plan

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
        turns, found = looked_at(opened, keys)
        dry = _planned(opened, turns, found, at)
        if output == "text":
            click.echo(render_plan(dry, paint()))
        if force:
            _must_be_dead(found)
        if dry_run or not _confirmed(yes):
            lost = {vm.key: list(vm.details) for vm in dry.vms}
            answer(output, "nothing was asked for", vms=keys, terminate=False, destroys=lost)
            return
        if dry.digest and not yes:
            _approved(opened, found, dry.digest)
        open_digest = dry.digest if yes else ""
        if force:
            said = _abandoned(opened, keys, person(), at)
        else:
            said = _asked(opened, keys, at, open_digest)
        lost = {vm.key: list(vm.details) for vm in dry.vms}
        answer(output, "\n".join(said), vms=keys, terminate=True, destroys=lost)


def _insist(opened: "Opened", keys: list[str], bound: "Mapping[str, object]") -> None:
    for key in keys:
        if key not in bound:
            raise click.ClickException(f"{key} has no machine: there is nothing to destroy")
        if key not in opened.fleet.vms:
            text = f"{key} has no sound spec: write `{key}: {{state: absent}}` to end it"
            raise click.ClickException(text)


def looked_at(
    opened: "Opened", keys: list[str]
) -> "tuple[Mapping[str, Turn], Mapping[str, Guarded]]":
    """Look at the VMs as if they were to be absent; writes nothing."""
    from datetime import timedelta

    from reconciler.cli.output import notes_aside
    from reconciler.clock import SystemClock
    from reconciler.glance import look_once
    from reconciler.prepare import Stage
    from reconciler.turn import Turn

    clock = SystemClock()
    specs = {key: opened.fleet.vms[key].model_copy(update={"state": "absent"}) for key in keys}
    turns = {key: Turn(spec) for key, spec in specs.items()}
    stage = Stage(opened, notes_aside(), clock, dry=True)
    sites = stage.sites(specs.values(), None)
    preview = look_once(opened, sites, turns, clock, clock.now() + timedelta(minutes=1))
    for key, why in preview.failed.items():
        raise click.ClickException(f"{key}: {why}")
    return turns, preview.guarded


def _planned(
    opened: "Opened", turns: "Mapping[str, Turn]", found: "Mapping[str, Guarded]", at: "datetime"
) -> "DryRun":
    from reconciler.dryrun import planned_vm
    from reconciler.plan import approval_digest
    from reconciler.report import DryRun

    vms = tuple(planned_vm(turns[key], one) for key, one in sorted(found.items()))
    digest = approval_digest([one.plan for one in found.values()], opened.store.vault.key)
    return DryRun(at, vms, digest)


def _confirmed(yes: bool) -> bool:
    """Whether a person agrees, who is asked for a word that nobody types by mistake."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(f"nobody can be asked here: give --yes in place of typing {WORD}")
    return bool(click.prompt(f"Type {WORD} to destroy", err=True) == WORD)


def _must_be_dead(found: "Mapping[str, Guarded]") -> None:
    for key, one in found.items():
        seen = one.plan.seen
        node = seen.cluster.nodes.get(seen.row.node) if seen.row else None
        if not seen.cluster.problem and (seen.row is None or (node is not None and node.online)):
            text = f"{key}: its node answers; terminate it without --force"
            raise click.ClickException(text)


def _approved(opened: "Opened", found: "Mapping[str, Guarded]", digest: str) -> None:
    """Whoever has read the plan and typed the word has approved just that."""
    from reconciler.approval import LASTS, grant
    from reconciler.cli.opening import now, person

    plans = [one.plan for one in found.values()]
    grant(opened, plans, digest, now() + LASTS, person(), now())


def _asked(opened: "Opened", keys: list[str], at: "datetime", digest: str) -> list[str]:
    """Ask for the ends; with a `digest` something of them is still to be approved."""
    from reconciler.aftermath import ask_end
    from reconciler.cli.opening import person

    needs = f", once it is approved: reconcile approve {digest}" if digest else ""
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
