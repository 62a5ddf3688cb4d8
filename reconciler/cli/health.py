"""`reconcile health`: one lamp for a person, an exit status and JSON for a monitor (FRM-08)."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import EXIT_FAILED, Settings

if TYPE_CHECKING:
    from reconciler.lamp import Check


@click.command(short_help="Is all well? Green or red, for people and monitors.")
@OUTPUT
@click.pass_context
def health(ctx: click.Context, output: str) -> None:
    """Say whether runs come as they should: exit status 0 when all is well, 1 when not.

    Looked at are the age of the last run (30 minutes at most), jobs that failed, are overdue or
    whose code is gone, locks that were left behind, the store, and the clusters as the last run
    found them. Nothing is asked of a cluster.

    \b
    Examples:
      reconcile health
      reconcile health --output json
    """
    from reconciler.cli.output import paint
    from reconciler.lamp import lamp
    from reconciler.show.health import check_json, render_health

    checks = _checks(ctx.obj)
    text = render_health(checks, paint())
    answer(output, text, lamp=lamp(checks), checks=[check_json(one) for one in checks])
    ctx.exit(0 if lamp(checks) == "green" else EXIT_FAILED)


def _checks(settings: Settings) -> "list[Check]":
    from desired.errors import UnusableSource
    from reconciler.cli.opening import now
    from reconciler.config import open_preview
    from reconciler.lamp import look_over, unreached
    from reconciler.location import fleet_place
    from reconciler.vitals import read_vitals
    from state.store import StoreError

    at = now()
    try:
        place = fleet_place(settings.fleet, settings.database)
        with open_preview(settings.fleet, settings.database, at) as opened:
            return look_over(read_vitals(opened, at), str(place))
    except StoreError as error:
        return unreached("store", error)
    except UnusableSource as error:
        return unreached("specs", error)
