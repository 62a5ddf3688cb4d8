"""`reconcile run`: the service, as systemd or a person starts it."""

import logging
import os
import random

import click

from reconciler.cli.settings import Settings

EACH_MINUTE = 60.0


@click.command(short_help="Make the fleet what its specs say, again and again.")
@click.option(
    "--interval",
    metavar="TIME",
    help="Start to start of process_vms. Default: by `schedule:` of the fleet, asked each 60s.",
)
@click.option(
    "--jitter",
    default="0s",
    show_default=True,
    metavar="TIME",
    help="Begin each run up to so much later, by chance.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=1),
    default=50.0,
    show_default=True,
    metavar="SECONDS",
    help="Of each run; the next one goes on.",
)
@click.option("--only", multiple=True, metavar="GLOB", help="Only VMs of these keys.")
@click.option("--strict", is_flag=True, help="Do nothing while any spec is broken.")
@click.option("--pull", is_flag=True, help="Fast-forward the fleet's git branch before each run.")
@click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Lines of name=value, or of JSON.",
)
@click.option("-v", "--verbose", is_flag=True, help="Also skips and API requests.")
@click.option("-q", "--quiet", is_flag=True, help="Only what is wrong.")
@click.pass_obj
def run(
    settings: Settings,
    interval: str | None,
    jitter: str,
    time_limit: float,
    only: tuple[str, ...],
    strict: bool,
    pull: bool,
    output: str,
    verbose: bool,
    quiet: bool,
) -> None:
    """Do what --once does every interval, until told to stop. A late run is not caught up.

    Specs and fleet.yaml are read again for each run, and no error of one run ends the service. A
    second `run` on the same database stands by until the first has gone. SIGTERM or Ctrl-C ends
    after the current call with status 0, a second one at once; SIGHUP begins a run now. Under
    systemd (Type=notify) it says when it is ready and answers the watchdog.

    \b
    Examples:
      reconcile run
      reconcile run --interval 5min --jitter 30s --time-limit 240
      reconcile --fleet /etc/fleet run --pull --output json
    """
    from reconciler.cli.errors import status_and_words
    from reconciler.cli.once import plain_logging
    from reconciler.cli.opening import length, person
    from reconciler.cli.output import service_reporter
    from reconciler.clock import SystemClock
    from reconciler.location import fleet_place
    from reconciler.notify import Notifier
    from reconciler.options import RunOptions
    from reconciler.service import Rhythm, Service
    from reconciler.signals import Signals

    every = _beat(settings) if interval is None else length(interval).total_seconds()
    rhythm = Rhythm(every, length(jitter).total_seconds())
    if rhythm.interval < 1:
        raise click.UsageError(f"--interval: expected 1s or more, seen {interval}")
    if rhythm.jitter >= rhythm.interval:
        raise click.UsageError("--jitter must be shorter than --interval")
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet exclude each other")
    fleet_place(settings.fleet, settings.database)  # a mistake shows now, while a person looks
    plain_logging(logging.INFO if verbose else logging.WARNING)
    options = RunOptions(
        fleet=settings.fleet,
        database=settings.database,
        only=only,
        time_limit=time_limit,
        strict=strict,
        command="run",
        by=person(),
        pull=pull,
        interval=rhythm.interval,
        beat=None if interval is None else rhythm.interval,
    )

    def words(error: Exception) -> str:
        known = status_and_words(error)
        return known[1] if known else ""

    with Signals() as signals:
        service = Service(
            options,
            rhythm,
            service_reporter(output, verbose=verbose, quiet=quiet),
            SystemClock(),
            signals,
            Notifier.of(os.environ, os.getpid()),
            words,
            random.random,
        )
        service.serve()


def _beat(settings: Settings) -> float:
    """How often the service looks what is due, in seconds: each minute, or as `process_vms` is."""
    from desired.files import FileSource

    seconds = FileSource(settings.fleet).head().schedule.interval("process_vms")
    return min(seconds or EACH_MINUTE, EACH_MINUTE)
