"""The command by which a person permits one restart, whatever the policy says."""

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings


@click.command(short_help="Let the next run restart a VM.")
@click.argument("vm")
@click.option("--now", is_flag=True, help="Also while a window denies restarts.")
@click.option("--cancel", is_flag=True, help="Take it back, if no run has begun yet.")
@OUTPUT
@click.pass_obj
def restart(settings: Settings, vm: str, now: bool, cancel: bool, output: str) -> None:
    """Let the next run stop and start a VM, once, for the values that wait for that.

    Nothing is restarted for which no value waits. A deny window still wins, but for --now.

    \b
    Examples:
      reconcile restart web-1
      reconcile restart web-1 --now
      reconcile restart web-1 --cancel
    """
    from handlers.waiting import NOW, RESTART
    from reconciler.cli.opening import known_key
    from reconciler.cli.opening import now as moment
    from reconciler.config import open_live
    from state.memory import Intent

    if now and cancel:
        raise click.UsageError("--now and --cancel exclude each other")
    at = moment()
    with open_live(settings.fleet, settings.database, at) as opened:
        key = known_key(vm, opened.fleet, opened.store.memories())
        if cancel:
            opened.store.intents.drop(key, RESTART)
            answer(output, f"{key} is not to be restarted", vm=key, restart=False)
            return
        opened.store.intents.put(Intent(key, RESTART, at, 0, NOW if now else ""))
        found = opened.store.conditions.all().get(key, ())
    waits = next((one.message for one in found if one.type == "RestartRequired"), "")
    text = f"the next run restarts {key} for what waits for that" + f" ({waits})" * bool(waits)
    answer(output, text, vm=key, restart=True, waits=waits or None)
