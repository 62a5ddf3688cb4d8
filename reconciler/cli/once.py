"""`reconcile --once`, live and dry: from the command line's words to the engine and back."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import document
from reconciler.cli.opening import person
from reconciler.cli.output import busy, notes_aside, paint, run_reporter
from reconciler.cli.settings import EXIT_CHANGES, EXIT_FAILED, Settings
from reconciler.options import RunOptions

if TYPE_CHECKING:
    from reconciler.loops.loop import Loop, LoopResult
    from reconciler.report import DryRun, Reporter


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
    no_lock: bool = False


def once_or_dry(settings: Settings, once: Once) -> int:
    """Run, or show what a run would change; return the exit status."""
    options = _asked(settings, once)
    return _dry(options, once) if once.dry_run else _live(options, once)


def _asked(settings: Settings, once: Once) -> RunOptions:
    plain_logging(logging.INFO if once.verbose else logging.WARNING)
    return RunOptions(
        fleet=settings.fleet,
        database=settings.database,
        only=once.only,
        time_limit=once.time_limit,
        approve=once.approve,
        strict=once.strict,
        by=person(),
        pull=once.pull,
        no_lock=once.no_lock,
    )


def plain_logging(level: int) -> None:
    """Have the log on standard error as `warning: text`; no request's body is ever in it."""
    for name in (logging.INFO, logging.WARNING, logging.ERROR):
        logging.addLevelName(name, logging.getLevelName(name).lower())
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
    logging.getLogger("proxmoxer").setLevel(logging.WARNING)


def _live(options: RunOptions, once: Once) -> int:
    from reconciler.lock import LockHeld
    from reconciler.loops.cycle import run_due

    with _watched(once) as reporter:
        tally = run_due(options, reporter)
    if tally.held:
        raise LockHeld(tally.held)
    return EXIT_FAILED if tally.failed else 0


def run_job(settings: Settings, loop: "Loop", once: Once) -> int:
    """Run one job, be it due or not; return the exit status."""
    from reconciler.loops.cycle import run_due
    from reconciler.loops.perform import run_loop
    from reconciler.report import PROCESS_VMS

    options = _asked(settings, once)
    with _watched(once) as reporter:
        if loop.name == PROCESS_VMS:
            failed = run_due(replace(options, beat=0.0), reporter, loops=(loop,)).failed
        else:
            failed = run_loop(loop, options, reporter).status == "error"
    return EXIT_FAILED if failed else 0


def dry_job(settings: Settings, loop: "Loop", once: Once) -> "LoopResult":
    """Return what a run of one job would do; a plan for VMs is shown."""
    from reconciler.loops.perform import dry_loop

    options = _asked(settings, once)
    with busy("reading clusters, planning"):
        result = dry_loop(loop, options, notes_aside())
    if result.plan is not None:
        _show(result.plan, once.output, verbose=once.verbose)
    return result


@contextmanager
def _watched(once: Once) -> Iterator["Reporter"]:
    """Return the reporter of a run; told to stop (cron, systemd) the run ends as by Ctrl-C."""
    from reconciler.show.progress import ProgressReporter

    reporter = run_reporter(once.output, verbose=once.verbose, quiet=once.quiet)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield reporter
    finally:
        signal.signal(signal.SIGTERM, before)
        if isinstance(reporter, ProgressReporter):
            reporter.stop()


def _interrupt(number: int, frame: object) -> None:
    """End a run that is told to stop (cron, systemd) as Ctrl-C does."""
    raise KeyboardInterrupt


def _dry(options: RunOptions, once: Once) -> int:
    from reconciler.config import Opening, open_preview
    from reconciler.dryrun import dry_run
    from reconciler.past import AsOf

    aside = notes_aside()
    opening: Opening = open_preview if once.as_of is None else AsOf(once.as_of)
    if once.inventories:
        from reconciler.inventory.instead import Copies, files_of

        opening = Copies(files_of(once.inventories), opening)
    with busy("reading clusters, planning"):
        dry = dry_run(options, aside, opening=opening)
    _show(dry, once.output, verbose=once.verbose)
    if dry.failed:
        return EXIT_FAILED
    return EXIT_CHANGES if dry.differs else 0


def _show(dry: "DryRun", output: str, *, verbose: bool = False) -> None:
    from reconciler.show.markdown import render_markdown
    from reconciler.show.plan import plan_json, render_plan

    if output == "json":
        click.echo(document(**plan_json(dry)))
    elif output == "markdown":
        click.echo(render_markdown(dry))
    else:
        click.echo(render_plan(dry, paint(), verbose=verbose))
