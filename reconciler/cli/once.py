"""`reconcile --once`, live and dry: from the command line's words to the engine and back."""

import logging
import signal
from dataclasses import dataclass

import click

from reconciler.cli.answer import document
from reconciler.cli.opening import person
from reconciler.cli.output import busy, notes_aside, paint, run_reporter
from reconciler.cli.settings import EXIT_CHANGES, EXIT_FAILED, Settings
from reconciler.options import RunOptions


@dataclass(frozen=True, slots=True)
class Once:
    """The options of `--once`."""

    dry_run: bool = False
    only: tuple[str, ...] = ()
    output: str = "text"
    time_limit: float = 50.0
    approve: str | None = None
    strict: bool = False
    verbose: bool = False
    quiet: bool = False
    pull: bool = False
    as_of: str | None = None
    inventories: tuple[str, ...] = ()


def once_or_dry(settings: Settings, once: Once) -> int:
    """Run, or show what a run would change; return the exit status."""
    plain_logging(logging.INFO if once.verbose else logging.WARNING)
    options = RunOptions(
        fleet=settings.fleet,
        database=settings.database,
        only=once.only,
        time_limit=once.time_limit,
        approve=once.approve,
        strict=once.strict,
        by=person(),
        pull=once.pull,
    )
    return _dry(options, once) if once.dry_run else _live(options, once)


def plain_logging(level: int) -> None:
    """Have the log on standard error as `warning: text`; no request's body is ever in it."""
    for name in (logging.INFO, logging.WARNING, logging.ERROR):
        logging.addLevelName(name, logging.getLevelName(name).lower())
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
    logging.getLogger("proxmoxer").setLevel(logging.WARNING)


def _live(options: RunOptions, once: Once) -> int:
    from reconciler.loop import run_once
    from reconciler.show.progress import ProgressReporter

    reporter = run_reporter(once.output, verbose=once.verbose, quiet=once.quiet)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        summary = run_once(options, reporter)
    finally:
        signal.signal(signal.SIGTERM, before)
        if isinstance(reporter, ProgressReporter):
            reporter.stop()
    return EXIT_FAILED if summary.failed else 0


def _interrupt(number: int, frame: object) -> None:
    """End a run that is told to stop (cron, systemd) as Ctrl-C does."""
    raise KeyboardInterrupt


def _dry(options: RunOptions, once: Once) -> int:
    from reconciler.config import Opening, open_preview
    from reconciler.dryrun import dry_run
    from reconciler.past import AsOf
    from reconciler.show.markdown import render_markdown
    from reconciler.show.plan import plan_json, render_plan

    aside = notes_aside()
    opening: Opening = open_preview if once.as_of is None else AsOf(once.as_of)
    if once.inventories:
        from reconciler.inventory.instead import Copies, files_of

        opening = Copies(files_of(once.inventories), opening)
    with busy("reading clusters, planning"):
        dry = dry_run(options, aside, opening=opening)
    if once.output == "json":
        click.echo(document(**plan_json(dry)))
    elif once.output == "markdown":
        click.echo(render_markdown(dry))
    else:
        click.echo(render_plan(dry, paint(), verbose=once.verbose))
    if dry.failed:
        return EXIT_FAILED
    return EXIT_CHANGES if dry.differs else 0
