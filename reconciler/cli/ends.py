"""What a person is shown and asked before machines are destroyed, whatever comes after it."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from desired.spec import VMSpec
    from reconciler.config import Opened
    from reconciler.guard import Guarded
    from reconciler.report import DryRun
    from reconciler.turn import Turn


@dataclass(frozen=True, slots=True)
class Shown:
    """The plans that end some VMs, as a person sees them before the word is typed."""

    dry: "DryRun"
    found: "Mapping[str, Guarded]"

    @property
    def lost(self) -> dict[str, list[str]]:
        """The volumes that die, by VM."""
        return {vm.key: list(vm.details) for vm in self.dry.vms}

    @property
    def needs(self) -> str:
        """How a sentence about the next run ends where nobody has approved what was shown."""
        digest = self.dry.digest
        return f", once it is approved: reconcile approve {digest}" if digest else ""


def shown_ends(
    opened: "Opened", keys: list[str], at: "datetime", output: str, *, anew: bool = False
) -> Shown:
    """Plan the ends of VMs and show them; writes nothing to the store.

    With `anew` other machines follow, so there is no grace and no last backup.
    """
    from desired.ending import End
    from reconciler.cli.output import paint
    from reconciler.dryrun import planned_vm
    from reconciler.plan import approval_digest
    from reconciler.report import DryRun
    from reconciler.show.plan import render_plan

    change = {"state": "absent", **({"terminate": End()} if anew else {})}
    specs = [opened.fleet.vms[key].model_copy(update=change) for key in keys]
    turns, found = _looked_at(opened, specs)
    vms = tuple(planned_vm(turns[key], one) for key, one in sorted(found.items()))
    digest = approval_digest([one.plan for one in found.values()], opened.store.vault.key)
    shown = Shown(DryRun(at, vms, digest), found)
    if output == "text" or sys.stdin.isatty():  # Who may be asked for the word sees what it means.
        click.echo(render_plan(shown.dry, paint()), err=output != "text")
    return shown


def _looked_at(
    opened: "Opened", specs: "list[VMSpec]"
) -> "tuple[Mapping[str, Turn], Mapping[str, Guarded]]":
    from datetime import timedelta

    from reconciler.cli.output import notes_aside
    from reconciler.clock import SystemClock
    from reconciler.glance import look_once
    from reconciler.prepare import Stage
    from reconciler.turn import Turn

    clock = SystemClock()
    turns = {spec.key: Turn(spec) for spec in specs}
    stage = Stage(opened, notes_aside(), clock, dry=True)
    sites = stage.sites(specs, None)
    preview = look_once(opened, sites, turns, clock, clock.now() + timedelta(minutes=1))
    for key, why in preview.failed.items():
        raise click.ClickException(f"{key}: {why}")
    return turns, preview.guarded


def agreed(yes: bool, word: str, purpose: str = "destroy") -> bool:
    """Whether a person agrees, who is asked for a word that nobody types by mistake."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError(f"nobody can be asked here: give --yes in place of typing {word}")
    return bool(click.prompt(f"Type {word} to {purpose}", err=True) == word)


def approve_shown(opened: "Opened", shown: Shown) -> None:
    """Whoever has read the plan and typed the word has approved just that."""
    from reconciler.approval import LASTS, grant
    from reconciler.cli.opening import now, person

    if shown.dry.digest:
        plans = [one.plan for one in shown.found.values()]
        grant(opened, plans, shown.dry.digest, now() + LASTS, person(), now())
