"""The progress bar comes when a screenful of VMs is at work, and not before."""

import io
from datetime import UTC, datetime

from rich.console import Console

from reconciler.report import Event, Heartbeat, RunDone, RunStarted, Summary, VMDone, VMStarted
from reconciler.show.progress import ProgressReporter

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DONE = RunDone(AT, Summary(3, 3, 3, 0, 1, 1, 1.0))


class Heard:
    """Keeps the kinds of events that it was told."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def report(self, *events: Event) -> None:
        self.kinds += [type(event).__name__ for event in events]


def test_a_few_vms_are_told_line_by_line() -> None:
    before, beside = Heard(), Heard()
    reporter = ProgressReporter(before, beside, lambda: Console(file=io.StringIO()), screenful=2)
    reporter.report(RunStarted(AT), VMStarted(AT, "a", "deploy", "creation"))
    reporter.report(VMDone(AT, "a", "deploy"), DONE)
    assert before.kinds == ["RunStarted", "VMStarted", "VMDone", "RunDone"]
    assert beside.kinds == []


def test_more_than_a_screenful_at_once_draws_the_bar() -> None:
    before, beside, screen = Heard(), Heard(), io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    reporter = ProgressReporter(before, beside, lambda: console, screenful=2)
    reporter.report(*(VMStarted(AT, key, "deploy", "creation") for key in "abc"))
    reporter.report(Heartbeat(AT, "a", "clone", 5), VMDone(AT, "a", "deploy"), DONE)
    assert before.kinds == ["VMStarted", "VMStarted"]
    assert beside.kinds == ["VMStarted", "Heartbeat", "VMDone", "RunDone"]
    assert "1/3" in screen.getvalue()


def test_a_run_that_is_interrupted_leaves_no_bar() -> None:
    heard, screen = Heard(), io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    reporter = ProgressReporter(heard, heard, lambda: console, screenful=1)
    reporter.report(*(VMStarted(AT, key, "deploy", "creation") for key in "ab"))
    reporter.stop()
    reporter.stop()
    assert screen.getvalue().endswith("\x1b[2K")
