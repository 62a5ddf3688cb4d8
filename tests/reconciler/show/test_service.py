"""A service's log: its lines are an interface, so they are written out here."""

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.report import (
    Event,
    Heartbeat,
    Remark,
    RunDone,
    RunStarted,
    Step,
    Summary,
    Traced,
    VMDone,
    VMError,
    VMPaused,
)
from reconciler.show.service import LogReporter

AT = datetime(2026, 11, 20, 9, 52, 35, 120_000, UTC)
STAMP = "2026-11-20T09:52:35.120Z"
COMMIT = "3f9a1c5b7d2e4860aa55"


def told(*events: Event, verbose: bool = False, quiet: bool = False) -> list[str]:
    lines: list[str] = []
    LogReporter(lines.append, verbose=verbose, quiet=quiet).report(*events)
    return lines


LINES: list[tuple[Event, str]] = [
    (
        Step(AT, "web-1", "Clone VM", "set_ip", "clone", seconds=0.17),
        'info step vm=web-1 action=deploy label="Clone VM" result=success from=set_ip to=clone '
        "seconds=0.17",
    ),
    (
        Step(AT, "web-1", "Start VM", "x", "x", "error", 'it said "no"\n', 1.5),
        'error step vm=web-1 action=deploy label="Start VM" result=error from=x to=x seconds=1.50 '
        'detail="it said \\"no\\"\\n"',
    ),
    (VMDone(AT, "web-1", "change"), "info change vm=web-1 to=ready"),
    (VMPaused(AT, "web-1", "deploy", "clone", "wait"), "info paused vm=web-1 text=wait"),
    (VMError(AT, "web-1", "no node"), 'error failed vm=web-1 text="no node"'),
    (
        Heartbeat(AT, "web-1", "clone", 15.0),
        "info waiting vm=web-1 for=clone seconds=15.00",
    ),
    (
        Heartbeat(AT, "web-1", "", 15.0, status="lock"),
        "info waiting vm=web-1 for=lock seconds=15.00",
    ),
    (Remark(AT, "standing by"), 'info note text="standing by"'),
    (Remark(AT, "x", "warning", "web-1"), "warning note vm=web-1 text=x"),
]


@pytest.mark.parametrize(("event", "line"), LINES)
def test_an_event_is_one_line_of_time_level_name_and_fields(event: Event, line: str) -> None:
    assert told(event) == [f"{STAMP} {line}"]


def test_a_run_that_changes_nothing_is_one_line() -> None:
    summary = Summary(12, 12, 0, 0, 9, 0, 0.3)
    assert told(RunStarted(AT, run=17, commit=COMMIT), RunDone(AT, summary)) == [
        f"{STAMP} info run number=17 commit=3f9a1c5b7d2e vms=12 ready=12 changed=0 waiting=0 "
        "failed=0 reads=9 writes=0 seconds=0.30"
    ]


def test_skips_and_requests_are_for_those_who_ask() -> None:
    skip = Step(AT, "web-1", "Set DNS", "a", "b", "skip")
    lost = Traced(AT, "GET", "/version", 0, 0.5, "lab")
    assert told(skip, lost, Remark(AT, "x", "detail")) == []
    assert told(skip, lost, verbose=True)[1] == (
        f"{STAMP} info request cluster=lab method=GET path=/version status=none seconds=0.50"
    )


def test_quiet_tells_only_what_is_wrong() -> None:
    assert [line.split()[1] for line in told(*(event for event, _ in LINES), quiet=True)] == [
        "error",
        "error",
        "warning",
    ]


def test_what_was_wrong_in_the_run_before_is_told_again_once_an_hour() -> None:
    lines: list[str] = []
    reporter = LogReporter(lines.append)
    done = RunDone(AT, Summary(1, 0, 0, 1, 9, 0, 0.3))
    for minute in range(121):
        at = AT + timedelta(minutes=minute)
        reporter.report(RunStarted(at), VMError(at, "web-1", "no node"), done)
    assert sum("no node" in line for line in lines) == 3


def test_what_was_well_in_between_is_told_at_once() -> None:
    lines: list[str] = []
    reporter = LogReporter(lines.append)
    done = RunDone(AT, Summary(1, 0, 0, 1, 9, 0, 0.3))
    error = VMError(AT, "web-1", "no node")
    for events in ((error, error), (), (error,)):
        reporter.report(RunStarted(AT), *events, done)
    assert sum("no node" in line for line in lines) == 2
