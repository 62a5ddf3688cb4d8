"""`reconcile queue log`, `fail-stuck` and `clean`: what was done, what hangs, what has ended."""

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import Settings


@click.command(short_help="Show what the queue did.")
@click.option("--lines", type=click.IntRange(1, 100_000), default=100, show_default=True)
@OUTPUT
@click.pass_obj
def log(settings: Settings, lines: int, output: str) -> None:
    """Show the newest steps of all jobs, also of those that were cleaned away; kept for a year.

    \b
    Examples:
      reconcile queue log --lines 20
    """
    from reconciler.cli.opening import now
    from reconciler.config import open_preview
    from reconciler.show.queue import line_json, render_line

    with open_preview(settings.fleet, settings.database, now()) as opened:
        found = opened.store.queue.log(limit=lines)
    text = "\n".join(f"{render_line(one)}  (job {one.job})" for one in found)
    answer(output, text or "nothing yet", log=[line_json(one) for one in found])


@click.command("fail-stuck", short_help="Give up jobs that do not come to an end.")
@click.option("--older", default="1h", show_default=True, metavar="LENGTH")
@OUTPUT
@click.pass_obj
def fail_stuck(settings: Settings, older: str, output: str) -> None:
    """Give up jobs that were sent so long ago and have not ended, as their node stays away.

    The task, if there is one, goes on in Proxmox.

    \b
    Examples:
      reconcile queue fail-stuck --older 2h
    """
    from reconciler.cli.opening import length, now, person
    from reconciler.config import open_live

    at, given_up, long = now(), [], length(older)
    with open_live(settings.fleet, settings.database, at) as opened:
        for job in opened.store.queue.all("running"):
            if job.claimed_at and at - job.claimed_at >= long:
                why = f"stuck: given up by {person()}"
                if opened.store.queue.give_up(job, at, why):
                    given_up.append(job.id)
    said = ", ".join(map(str, given_up))
    answer(output, f"given up: job {said}" if said else "no job is stuck", given_up=given_up)


@click.command(short_help="Delete jobs that have ended.")
@click.option("--success", is_flag=True, help="Those that are done.")
@click.option("--error", is_flag=True, help="Those that were given up.")
@click.option("--cancelled", is_flag=True, help="Those that were cancelled.")
@click.option("--older", default="0s", metavar="LENGTH", help="Only if they ended so long ago.")
@OUTPUT
@click.pass_obj
def clean(
    settings: Settings, success: bool, error: bool, cancelled: bool, older: str, output: str
) -> None:
    """Delete jobs that have ended from the list; what they did stays in the log.

    Without a status those that are done and those that were cancelled.

    \b
    Examples:
      reconcile queue clean
      reconcile queue clean --error --older 7d
    """
    from reconciler.cli.opening import length, now
    from reconciler.config import open_live
    from reconciler.show.text import count_of

    named = {"success": success, "error": error, "cancelled": cancelled}
    chosen = [name for name, given in named.items() if given] or ["success", "cancelled"]
    at = now()
    with open_live(settings.fleet, settings.database, at) as opened:
        gone = opened.store.queue.clean(chosen, at - length(older))  # type: ignore[arg-type]
    answer(output, f"{count_of(gone, 'job')} deleted", deleted=gone, status=chosen)
