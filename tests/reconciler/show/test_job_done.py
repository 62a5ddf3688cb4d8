"""The end of a job, as each reporter tells it (TASK-08)."""

import json
from datetime import UTC, datetime

from reconciler.report import JobDone, RunDone, Summary
from reconciler.show.events import JsonReporter
from reconciler.show.run import QuietReporter, TextReporter
from reconciler.show.service import LogReporter
from reconciler.show.text import Paint

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DONE = JobDone(AT, "count", "success", 3, 0, 1.25, "all counted", AT)
FAILED = JobDone(AT, "count", "error", 3, 1, 1.25, "no server")
SILENT = JobDone(AT, "count", "success", 0, 0, 0.0)


def told(*events: JobDone) -> list[str]:
    lines: list[str] = []
    TextReporter(lines.append, Paint(), zone=UTC).report(*events)
    return lines


def test_task_08_a_summary_line_per_job() -> None:
    """TASK-08"""
    assert told(DONE) == [
        "[count] Done (1.2s, last: 12:00:00) — processed: 3, errors: 0",
        "count success: all counted",
    ]
    assert told(FAILED)[1] == "count error: no server"
    assert told(SILENT) == ["[count] Done (0.0s, last: never) — processed: 0, errors: 0"]


def test_a_quiet_run_tells_only_what_failed() -> None:
    lines: list[str] = []
    QuietReporter(lines.append, Paint()).report(DONE, FAILED)
    assert lines == ["error: count error: no server"]


def test_a_programs_event_names_the_job() -> None:
    lines: list[str] = []
    JsonReporter(lines.append).report(FAILED)
    event = json.loads(lines[0])
    assert (event["event"], event["task"], event["status"]) == ("job_done", "count", "error")
    assert (event["processed"], event["errors"], event["message"]) == (3, 1, "no server")


def test_a_services_log_has_a_line_per_job() -> None:
    lines: list[str] = []
    log = LogReporter(lines.append)
    log.report(DONE, FAILED, RunDone(AT, Summary(1, 1, 0, 0, 0, 0, 0.0), "remove_snapshots"))
    assert lines[0].split(" ", 1)[1] == (
        'info job job=count status=success text="all counted" seconds=1.25 processed=3 errors=0'
    )
    assert lines[1].split(" ")[1:4] == ["error", "job", "job=count"]
    assert lines[2].split(" ")[1:4] == ["info", "run", "job=remove_snapshots"]
