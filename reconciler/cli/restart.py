"""The command by which a person permits restarts, whatever the policy says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from reconciler.config import Opened
    from state.conditions import Condition


@click.command(short_help="Let the next run restart a VM.")
@click.argument("vm", required=False)
@click.option("--only", multiple=True, metavar="GLOB", help="Every VM that waits, of these keys.")
@click.option("--max", "most", type=click.IntRange(min=1), help="With --only: so many of them.")
@click.option("--now", is_flag=True, help="Also while a window or a failed restart withholds it.")
@click.option("--cancel", is_flag=True, help="Take it back, if no run has begun yet.")
@OUTPUT
@click.pass_obj
def restart(
    settings: Settings,
    vm: str | None,
    only: tuple[str, ...],
    most: int | None,
    now: bool,
    cancel: bool,
    output: str,
) -> None:
    """Let the next run stop and start a VM, once, for the values that wait for that.

    Nothing is restarted for which no value waits. A deny window still wins, and so does a VM of
    the same anti-affinity group that is down, but for --now.

    \b
    Examples:
      reconcile restart web-1
      reconcile restart web-1 --now
      reconcile restart --only 'web-*' --max 3
      reconcile restart web-1 --cancel
    """
    from handlers.waiting import NOW, RESTART
    from reconciler.cli.opening import known_key
    from reconciler.cli.opening import now as moment
    from reconciler.config import open_live
    from state.memory import Intent
    from state.verbs import SUSPENDED

    if now and cancel:
        raise click.UsageError("--now and --cancel exclude each other")
    if (vm is None) == (not only) or (most and not only):
        raise click.UsageError("name one VM, or several by --only GLOB, with or without --max")
    at = moment()
    with open_live(settings.fleet, settings.database, at) as opened:
        found = opened.store.conditions.all()
        keys = _asked_for(opened, only, found, most) if vm is None else [vm]
        if vm is not None:
            known_key(vm, opened.fleet, opened.store.memories())
            if not cancel and SUSPENDED in opened.store.intents.of(vm):
                raise click.ClickException(f"{vm} is suspended: see reconcile resume")
        told = {key: "" if cancel else _waiting(found.get(key, ())) for key in keys}
        for key in keys:
            if cancel:
                opened.store.intents.drop(key, RESTART)
            else:
                opened.store.intents.put(Intent(key, RESTART, at, 0, NOW if now else ""))
    lines = [_told(key, waits, cancel) for key, waits in told.items()]
    text = "\n".join(lines) or "no VM of these waits for a restart"
    answer(output, text, restart=not cancel, vms=told)


def _asked_for(
    opened: "Opened",
    only: tuple[str, ...],
    found: "Mapping[str, tuple[Condition, ...]]",
    most: int | None,
) -> list[str]:
    """The VMs that wait for a restart, of some globs; the first of them in natural order."""
    from reconciler.prepare import fits
    from reconciler.status import natural

    waiting = (key for key in opened.fleet.vms if fits(key, only) and _waiting(found.get(key, ())))
    return sorted(waiting, key=natural)[:most]


def _waiting(conditions: "tuple[Condition, ...]") -> str:
    return next((one.message for one in conditions if one.type == "RestartRequired"), "")


def _told(key: str, waits: str, cancel: bool) -> str:
    if cancel:
        return f"{key} is not to be restarted"
    if waits:
        return f"the next run restarts {key} for what waits for that ({waits})"
    return f"nothing of {key} was seen to wait: the next run restarts it only if something does"
