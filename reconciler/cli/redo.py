"""The command that has one step of a VM's pipeline made once more."""

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.config import Opened
    from reconciler.guard import Guarded
    from reconciler.pipeline import State

PLANNING = timedelta(minutes=1)
"""How long looking at the VM may take."""


@click.command(short_help="Make one step of a VM once more.")
@click.argument("vm")
@click.argument("step", required=False)
@click.option("--dry-run", is_flag=True, help="Only say what the next run would write.")
@click.option("--cancel", is_flag=True, help="Take it back, if no run has made it yet.")
@OUTPUT
@click.pass_obj
def redo(
    settings: Settings, vm: str, step: str | None, dry_run: bool, cancel: bool, output: str
) -> None:
    """Let the next run write again what a step writes, although nothing differs.

    STEP is a state (`set_firewall`) or its label ("Configure firewall"). The VM is also read
    afresh, and what waits after a failure of that step is tried at once. Nothing is made anew.

    \b
    Examples:
      reconcile redo web-1 set_cloudinit --dry-run
      reconcile redo web-1 set_firewall
      reconcile redo web-1 --cancel
    """
    from reconciler.cli.opening import known_key, now
    from reconciler.config import open_live, open_preview
    from reconciler.redo import REDO, NoSuchStep, step_named
    from state.verbs import SUSPENDED

    if cancel == bool(step):
        raise click.UsageError("give either a step, or --cancel")
    begin = open_preview if dry_run else open_live
    at = now()
    with begin(settings.fleet, settings.database, at) as opened:
        key = known_key(vm, opened.fleet, opened.store.memories())
        if step is None:
            opened.store.intents.drop(key, REDO)
            answer(output, f"no step of {key} is to be made again", vm=key, step=None, calls=[])
            return
        try:
            state = step_named(step)
        except NoSuchStep as error:
            raise click.ClickException(str(error)) from None
        calls = _calls(opened, key, state)
        if not dry_run:
            if SUSPENDED in opened.store.intents.of(key):
                raise click.ClickException(f"{key} is suspended: see reconcile resume")
            _ask(opened, key, state, at)
    first = f"the next run makes {state.name} ({state.label}) of {key} again:"
    lines = [first, *(f"  {call}" for call in calls or ["nothing to write"])]
    answer(output, "\n".join(lines), vm=key, step=state.name, calls=calls)


def _calls(opened: "Opened", key: str, state: "State") -> list[str]:
    """What the step would write now, as requests; a secret is shown as asterisks."""
    from handlers.handler import distinct_calls
    from reconciler.redo import repetition

    guarded = _looked_at(opened, key)
    seen, spec = guarded.plan.seen, opened.fleet.vms[key]
    if seen.config is None or seen.memory.binding is None:
        raise click.ClickException(f"{key}: {seen.reason or 'there is no machine yet'}")
    owners = {owner for owner, _ in state.owns}
    open_now = [change for change in guarded.plan.changes if change.handler in owners]
    planned = {change.handler for change in open_now}
    again = [one for one in repetition(spec, seen, state) if one.handler not in planned]
    return [str(call) for call in distinct_calls([*open_now, *again])]


def _looked_at(opened: "Opened", key: str) -> "Guarded":
    from reconciler.cli.output import notes_aside
    from reconciler.clock import SystemClock
    from reconciler.glance import look_once
    from reconciler.prepare import Stage, turns_of

    clock = SystemClock()
    turns = {name: turn for name, turn in turns_of(opened.fleet, ()).items() if name == key}
    if not turns:
        raise click.ClickException(f"{key} has no sound spec: see reconcile validate")
    aside = notes_aside()
    stage = Stage(opened, aside, clock, dry=True)
    sites = stage.sites((turn.spec for turn in turns.values()), None)
    preview = look_once(opened, sites, turns, clock, clock.now() + PLANNING)
    if key in preview.failed:
        raise click.ClickException(f"{key}: {preview.failed[key]}")
    return preview.guarded[key]


def _ask(opened: "Opened", key: str, state: "State", at: "datetime") -> None:
    """Write the wish down, have the VM read afresh, and let what failed be tried at once."""
    from reconciler.redo import REDO
    from state.memory import Intent

    binding = opened.store.bindings.of(key)
    assert binding is not None
    for owner in sorted({owner for owner, _ in state.owns}):
        opened.store.attempts.clear(key, owner)
    opened.store.cache.mark_dirty(binding.cluster, binding.vmid, at, firewall=True)
    opened.store.intents.put(Intent(key, REDO, at, 0, state.name))
