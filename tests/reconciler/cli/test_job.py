"""`reconcile job` and its kin: list, show, run, dry-run, enable, disable, edit, remove."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click.testing
import pytest
from click.testing import CliRunner

from reconciler.cli import cli
from reconciler.cli.settings import EXIT_CHANGES, EXIT_FAILED, EXIT_USAGE
from reconciler.loops import registry
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.loops.process import process_vms
from state.store import Store
from tests.reconciler.loops.jobs import Plain, label

HEAD = """\
fleet: jobs
clusters: {lab: {simulated: {nodes: 1, speed: 600}}}
defaults: {cluster: lab, template: debian-12, storage: local-lvm, domain: example.net}
templates: {debian-12: {lab: [9000]}}
limits: {workers: 1}
schedule: {timezone: Europe/Berlin, every: {remove_snapshots: daily at 02:30}}
"""


@pytest.fixture
def count() -> Plain:
    return Plain(act=lambda _: LoopResult(processed=1, message="counted", details=("one",)))


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: Plain) -> Path:
    """A fleet whose program knows two loops more."""
    (tmp_path / "vms").mkdir()
    (tmp_path / "fleet.yaml").write_text(HEAD)
    (tmp_path / "vms" / "web.yaml").write_text("web-1: {}\n")

    def loops() -> tuple[Loop, ...]:
        return (process_vms(), count.loop(), label())

    for place in ("reconciler.loops.cycle", "reconciler.loops.registry"):
        monkeypatch.setattr(f"{place}.built_in", loops)
    return tmp_path


def call(folder: Path, *words: str) -> "click.testing.Result":
    database = str(folder / "jobs.db")
    return CliRunner().invoke(cli, ["--fleet", str(folder), "--database", database, *words])


def told(folder: Path, *words: str) -> dict[str, object]:
    found = json.loads(call(folder, *words, "--output", "json").stdout)
    assert isinstance(found, dict)
    return found


def test_cli_04_once_runs_every_due_job_and_says_what_came_of_each(
    fleet: Path, count: Plain
) -> None:
    """CLI-04, TASK-08, TASK-11"""
    done = call(fleet, "--once")
    assert done.exit_code == 0, done.output
    assert "[process_vms] Done (" in done.output
    assert "[count] Done (" in done.output
    assert "[label] Done (" in done.output
    assert "Run of 3 loops done (" in done.output
    assert "process_vms" in call(fleet, "scheduled-tasks", "--time-limit=30").output
    assert len(count.runs) == 1


def test_cli_04_list_tasks_is_job_list(fleet: Path) -> None:
    """CLI-04, C-02"""
    call(fleet, "--once", "-q")
    listed = call(fleet, "job", "list").output
    assert listed.splitlines()[0].split() == [
        *("JOB", "SCHEDULE", "LAST", "RUN", "STATUS", "NEXT", "RUN", "WHAT", "IT", "DOES")
    ]
    assert call(fleet, "list-tasks").output == call(fleet, "--list").output == listed


def test_cli_04_run_names_one_job_in_every_spelling(fleet: Path, count: Plain) -> None:
    """CLI-04, C-02: whether it is due or not."""
    for words in (("job", "run", "count"), ("--run-task=count",), ("--run=count",)):
        done = call(fleet, *words)
        assert done.exit_code == 0, done.output
        assert "count success: counted" in done.output
    assert len(count.runs) == 3
    assert call(fleet, "--run=processVms", "--quiet").exit_code == 0
    unknown = call(fleet, "job", "run", "nap")
    assert isinstance(unknown.exception, SystemExit)
    assert "no job nap; there is process_vms, count, label" in unknown.output


def test_frm_18_show_tells_the_output_of_the_last_run(fleet: Path) -> None:
    """FRM-18"""
    call(fleet, "job", "run", "count")
    assert call(fleet, "job", "show", "count").output.endswith("output\none\n")
    shown = told(fleet, "job", "show", "count")
    assert (shown["output"], shown["status"], shown["processed"]) == ("one", "success", 1)
    assert "no job nap" in call(fleet, "job", "show", "nap").output


def test_frm_06_a_dry_run_of_either_kind(fleet: Path) -> None:
    """FRM-06"""
    call(fleet, "--once", "--only", "web-*", "-q")
    plain = call(fleet, "job", "dry-run", "count")
    assert plain.exit_code == EXIT_CHANGES
    assert plain.output.splitlines()[0] == "Dry run: nothing was changed or sent."
    assert told(fleet, "job", "dry-run", "count")["details"] == ["one"]
    planned = call(fleet, "job", "dry-run", "label")
    assert planned.exit_code == EXIT_CHANGES
    assert "~ web-1" in planned.output
    assert "web-1" in call(fleet, "--run-task=label", "--dry-run", "--output", "markdown").output
    assert call(fleet, "job", "run", "label", "-q").exit_code == 0
    assert call(fleet, "job", "dry-run", "label").exit_code == 0
    assert call(fleet, "job", "dry-run", "process_vms").exit_code == 0


def test_an_error_of_a_job_is_the_commands(fleet: Path, count: Plain) -> None:
    count.act = lambda _: LoopResult("error", errors=1, message="no server answers")
    assert call(fleet, "job", "run", "count").exit_code == EXIT_FAILED
    assert call(fleet, "job", "dry-run", "count").exit_code == EXIT_FAILED
    assert "count error: no server answers" in call(fleet, "job", "list").output


def test_task_07_a_job_is_disabled_enabled_and_rescheduled(fleet: Path) -> None:
    """TASK-07, FRM-17"""

    def of(name: str) -> dict[str, object]:
        return told(fleet, "job", "show", name)

    assert call(fleet, "job", "disable", "count").output == "count: off\n"
    assert (of("count")["active"], of("count")["next_run"]) == (False, None)
    assert "disabled" in call(fleet, "job", "list").output
    assert call(fleet, "job", "enable", "count").output == "count: on\n"
    edited = call(fleet, "job", "edit", "count", "--schedule", "daily at 02:30")
    assert edited.output == "count: daily at 02:30\n"
    assert (of("count")["schedule"], of("count")["source"]) == ("daily at 02:30", "job edit")
    reset = call(fleet, "job", "edit", "count", "--reset")
    assert reset.output == "count: as fleet.yaml says\n"
    assert of("count")["schedule"] == "hourly"
    wrong = call(fleet, "job", "edit", "count", "--schedule", "at night")
    assert "--schedule: expected a schedule such as" in wrong.output
    assert "give --schedule TEXT, or --reset" in call(fleet, "job", "edit", "count").output


def test_frm_07_only_a_job_without_code_is_removed(fleet: Path) -> None:
    """FRM-07, FRM-17"""
    assert "count is built in and stays" in call(fleet, "job", "remove", "count").output
    assert "no job gone" in call(fleet, "job", "remove", "gone").output
    with Store.open(str(fleet / "jobs.db"), at=datetime(2026, 3, 1, tzinfo=UTC)) as store:
        store.loops.reschedule("gone", "hourly")
    assert "orphaned" in call(fleet, "job", "list").output
    assert call(fleet, "job", "remove", "gone").output == "gone: removed\n"
    assert "orphaned" not in call(fleet, "job", "list").output


def test_a_mistaken_line_is_refused(fleet: Path) -> None:
    for words in (("job", "run", "count"), ("scheduled-tasks",)):
        both = call(fleet, *words, "-v", "-q")
        assert "exclude each other" in both.output
        assert both.exit_code in (2, EXIT_USAGE)


def test_a_wrong_schedule_is_told_with_its_place(fleet: Path) -> None:
    (fleet / "fleet.yaml").write_text(HEAD.replace("daily at 02:30", "daily at 2:30"))
    said = call(fleet, "validate").output
    assert "fleet.yaml:6:" in said
    assert "schedule.every.remove_snapshots: expected a schedule such as" in said
    assert "a time of day is HH:MM or HH:MM:SS, not 2:30" in said


def test_the_registry_is_the_programs_own() -> None:
    assert registry.built_in()[0].name == "process_vms"


def test_an_occasion_says_who_asked(fleet: Path, count: Plain) -> None:
    seen: list[Occasion] = []
    count.act = lambda occasion: seen.append(occasion)
    call(fleet, "job", "run", "count")
    assert "@" in seen[0].by
