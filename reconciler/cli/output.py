"""How the commands print: colours where they are wanted, each line at once, a pipe may close."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from reconciler.report import Reporter
from reconciler.show.events import JsonReporter
from reconciler.show.run import QuietReporter, TextReporter, Write
from reconciler.show.service import LogReporter
from reconciler.show.text import Paint, wants_colour


def paint() -> Paint:
    """Return colours for standard output, or none."""
    return Paint(wants_colour(sys.stdout.isatty(), os.environ))


def notes_aside() -> Reporter:
    """Return what tells remarks on standard error, so that the answer stands alone on the other."""
    return QuietReporter(lambda line: print(line, file=sys.stderr), paint())


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on a terminal, while inside, that something is at work; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{what} ..."):
        yield


def line_writer() -> Write:
    """Return what writes one line to standard output and flushes it.

    A reader that has gone away (`| head`) silences it: the run goes on.
    """
    gone = False

    def write(line: str) -> None:
        nonlocal gone
        if gone:
            return
        try:
            print(line, flush=True)
        except BrokenPipeError:
            gone = True
            _to_nowhere(sys.stdout)

    return write


def _to_nowhere(stream: TextIO) -> None:
    """Point a closed pipe at /dev/null, so that Python's own flush at the end is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def service_reporter(output: str, *, verbose: bool, quiet: bool) -> Reporter:
    """Return the reporter of a service: lines for a log, never a bar."""
    write = line_writer()
    if output == "json":
        return JsonReporter(write, verbose=verbose)
    return LogReporter(write, verbose=verbose, quiet=quiet)


def run_reporter(output: str, *, verbose: bool, quiet: bool) -> Reporter:
    """Return the reporter that the options and the terminal ask for."""
    write, colours = line_writer(), paint()
    if output == "json":
        return JsonReporter(write, verbose=verbose)
    if quiet:
        return QuietReporter(write, colours)
    text = TextReporter(write, colours, verbose=verbose)
    if verbose or not sys.stderr.isatty():
        return text
    from reconciler.show.progress import ProgressReporter, screen

    beside = QuietReporter(write, colours, always=True) if sys.stdout.isatty() else text
    return ProgressReporter(text, beside, *screen())
