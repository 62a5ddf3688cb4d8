"""`reconcile locks`: who is at work, and taking a lock from a run that hangs (LOCK-02)."""

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings

NOBODY = "nobody is at work, and no lock is left behind."


@click.group()
def locks() -> None:
    """Who is at work, on this machine or on another.

    \b
    Examples:
      reconcile locks list
      reconcile locks clear                  those whose holder is gone, or gives no sign of life
      reconcile locks clear process_vms      that one, whoever has it: its run writes nothing more
    """


@locks.command("list")
@OUTPUT
@click.pass_obj
def list_locks(settings: Settings, output: str) -> None:
    """List the locks that somebody has: the process, since when, its last sign of life."""
    from reconciler.cli.opening import now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.show.locks import lock_json, render_locks
    from reconciler.tenancy import tenancies
    from state.holder import this_process

    at = now()
    with open_preview(settings.fleet, settings.database, at) as opened:
        found = tenancies(opened.store, this_process(), at)
    answer(output, render_locks(found, at, paint()), locks=[lock_json(one) for one in found])


@locks.command()
@click.argument("name", required=False)
@click.option("--stale", is_flag=True, help="Only if its holder is gone or gives no sign of life.")
@OUTPUT
@click.pass_obj
def clear(settings: Settings, name: str | None, stale: bool, output: str) -> None:
    """Take locks from processes that are gone, or from the holder of the one that is named.

    A lock ends with its process, and one whose holder stands still is taken over after its
    time-out, so this is for a person who will not wait. A run that lives on with its lock cleared
    notices that before its next write, and ends.
    """
    from reconciler.cli.opening import now
    from reconciler.config import open_live, open_preview
    from reconciler.location import fleet_lock
    from reconciler.tenancy import tenancies
    from state.holder import this_process

    at = now()
    with open_preview(settings.fleet, settings.database, at) as opened:
        found = tenancies(opened.store, this_process(), at)
    taken = [one for one in found if one.state != "free" and name in (None, one.name)]
    due = [one for one in taken if one.left_behind or not (name is None or stale)]
    cleared: list[str] = []
    if due:
        with open_live(settings.fleet, settings.database, at) as opened:
            cleared = [one.name for one in due if opened.store.locks.clear(one.row)]
    kept = [f"{one.row.holder} ({one.name})" for one in taken if one not in due]
    holder = fleet_lock(settings.fleet, settings.database).holder()
    if not kept and holder and name is None and not cleared:
        kept = [holder]
    lines = [f"cleared: {one}" for one in cleared]
    lines += [
        f"at work: {one}; its lock ends with that process. Named, it is taken away at once."
        for one in kept
    ]
    text = "\n".join(lines) or (NOBODY if name is None else f"nobody has the lock of {name}.")
    answer(output, text, at_work=holder or None, cleared=[*cleared])
