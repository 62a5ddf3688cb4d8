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
    from reconciler.location import fleet_place
    from reconciler.show.locks import lock_json, render_locks
    from reconciler.tenancy import tenancies
    from state.holder import this_process
    from state.store import Store

    at = now()
    with Store.preview(fleet_place(settings.fleet, settings.database), at=at) as store:
        found = tenancies(store, this_process(), at)
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
    from reconciler.location import fleet_locks
    from reconciler.lock import PROCESS_VMS
    from reconciler.tenancy import tenancies
    from state.holder import this_process
    from state.store import Store

    at, known = now(), fleet_locks(settings.fleet, settings.database)
    with Store.preview(known.place, at=at) as store:
        found = tenancies(store, this_process(), at)
    taken = [one for one in found if one.state != "free" and name in (None, one.name)]
    due = [one for one in taken if one.left_behind or not (name is None or stale)]
    cleared: list[str] = []
    if due:
        with Store.open(known.place, at=at) as store:
            cleared = [one.name for one in due if store.locks.clear(one.row)]
    kept = [f"{one.row.holder} ({one.name})" for one in taken if one not in due]
    holder = known.of(PROCESS_VMS).holder()
    if not kept and holder and name is None and not cleared:
        kept = [holder]
    lines = [f"cleared: {one}" for one in cleared]
    lines += [
        f"at work: {one}; its lock ends with that process. Named, it is taken away at once."
        for one in kept
    ]
    text = "\n".join(lines) or (NOBODY if name is None else f"nobody has the lock of {name}.")
    answer(output, text, at_work=holder or None, cleared=[*cleared])
