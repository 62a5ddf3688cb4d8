"""Where lines go: at once, to a pipe that may close, to a terminal that may want a bar."""

import io
import os
import signal
import socket
import subprocess
import sys

import click
import pytest

from desired.errors import Place, SpecError, UnusableSource
from reconciler.approval import ApprovalRefused
from reconciler.cli import cli
from reconciler.cli.errors import status_and_words
from reconciler.cli.output import busy, line_writer, run_reporter
from reconciler.lock import LockHeld
from reconciler.options import BrokenSpecs
from reconciler.secrets import SecretError
from reconciler.show.events import JsonReporter
from reconciler.show.progress import ProgressReporter, screen
from reconciler.show.run import QuietReporter, TextReporter
from reconciler.sim.embedded import EmbeddedFailed
from state.api import Forbidden
from state.store import Unreadable


class Closed(io.StringIO):
    """A pipe whose reader has gone."""

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0
        self._spare = os.open(os.devnull, os.O_WRONLY)

    def write(self, text: str) -> int:
        self.tries += 1
        raise BrokenPipeError

    def fileno(self) -> int:
        return self._spare


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_reader_that_goes_away_silences_the_run_but_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipe = Closed()
    monkeypatch.setattr(sys, "stdout", pipe)
    write = line_writer()
    write("one")
    write("two")
    assert pipe.tries == 1


def test_options_choose_the_reporter() -> None:
    assert isinstance(run_reporter("json", verbose=False, quiet=False), JsonReporter)
    assert isinstance(run_reporter("text", verbose=False, quiet=True), QuietReporter)
    assert isinstance(run_reporter("text", verbose=True, quiet=False), TextReporter)


@pytest.mark.parametrize("stdout", [io.StringIO, Terminal])
def test_a_terminal_may_get_a_bar(
    stdout: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdout", stdout())
    assert isinstance(run_reporter("text", verbose=False, quiet=False), ProgressReporter)


def test_the_bar_is_drawn_on_standard_error() -> None:
    console, lines = screen()
    assert console().stderr
    assert lines > 0


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (LockHeld("pid 7"), 75, "another run is at work: pid 7"),
        (BrokenSpecs("a.yaml:1:1: x"), 1, "a.yaml:1:1: x"),
        (UnusableSource((SpecError(Place("a.yaml"), "", "x"),)), 1, "a.yaml:1:1: x"),
        (ApprovalRefused("digest"), 1, "digest"),
        (SecretError("env:X: not set"), 1, "env:X: not set"),
        (EmbeddedFailed("no port"), 1, "the simulated cluster did not start: no port"),
        (Unreadable("x.db: broken"), 1, "database: x.db: broken"),
        (Forbidden("no right"), 1, "Proxmox: no right"),
    ],
)
def test_errors_that_a_person_can_mend_are_told_in_words(
    error: Exception, status: int, words: str
) -> None:
    known = status_and_words(error)
    assert known is not None
    assert known[0] == status
    assert known[1].startswith(words)


def test_a_defect_of_ours_keeps_its_traceback() -> None:
    assert status_and_words(ZeroDivisionError()) is None


def test_the_simulator_serves_until_it_is_told_to_stop() -> None:
    code = "import sys; from reconciler.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "simulate", "--port", "0", "--nodes", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        first = served.stdout.readline()
        served.send_signal(signal.SIGTERM)
        assert served.wait(timeout=20) == 0
    assert first.startswith("serving https://127.0.0.1:")


def test_a_port_that_is_taken_is_told_in_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ["simulate", "--port", str(taken.getsockname()[1])]
        with pytest.raises(click.ClickException, match="the simulator cannot start"):
            cli.main(words, standalone_mode=False)


def test_a_terminal_sees_that_something_is_at_work_and_a_pipe_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for stream, seen in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with busy("reading clusters"):
            pass
        assert ("reading clusters" in stream.getvalue()) == seen
