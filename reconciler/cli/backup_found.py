"""The backups that `reconcile backup` speaks of, found on the clusters."""

from typing import TYPE_CHECKING

import click

from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from reconciler.backups.listing import Listed
    from reconciler.config import Opened


def listed_backups(opened: "Opened") -> "tuple[list[Listed], list[str]]":
    """Every backup on the fleet's clusters, the newest first, and what could not be read."""
    from reconciler.backups.listing import on_cluster
    from reconciler.cli.opening import now as moment
    from reconciler.secrets import SecretError
    from reconciler.sim.embedded import EmbeddedFailed
    from state.api import ApiError
    from state.view import resources_view

    fleet, store = opened.fleet, opened.store
    by = {key: spec.backup.verified_by for key, spec in fleet.vms.items() if spec.backup}
    bindings = store.bindings.all()
    found: list[Listed] = []
    problems: list[str] = []
    for name in sorted(fleet.clusters):
        try:
            api = opened.connect(name)
            view = resources_view(api, name, moment())
            some, wrong = on_cluster(
                api, view, bindings, store.id, lambda key: by.get(key, "server")
            )
        except (ApiError, SecretError, EmbeddedFailed) as error:
            problems.append(f"cluster {name}: {error}")
            continue
        found += some
        problems += wrong
    return found, problems


def one_backup(settings: Settings, volume: str) -> "Listed":
    """The backup of a volume id; raises ClickException where there is none, or several."""
    from reconciler.backups.listing import named
    from reconciler.cli.opening import now as moment
    from reconciler.config import open_preview

    with open_preview(settings.fleet, settings.database, moment()) as opened:
        found, problems = listed_backups(opened)
    for problem in problems:
        click.echo(problem, err=True)
    fitting = named(found, volume)
    if len(fitting) != 1:
        seen = ", ".join(f"{one.cluster}/{one.archive.node}" for one in fitting) or "none"
        raise click.ClickException(f"expected one backup {volume}, seen {seen}")
    return fitting[0]
