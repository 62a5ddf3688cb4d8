"""`reconcile job new`, `check`, `remove`, `list`: own jobs on the command line."""

import json
import subprocess
import sys
from pathlib import Path

import click
import click.testing
import pytest
from click.testing import CliRunner

from reconciler.cli import cli
from reconciler.cli.settings import EXIT_CHANGES, EXIT_FAILED

HEAD = """\
fleet: own
clusters: {lab: {simulated: {nodes: 1, speed: 600}}}
defaults: {cluster: lab, template: debian-12, storage: local-lvm, domain: example.net}
templates: {debian-12: {lab: [9000]}}
handlers_dir: site/jobs
"""


USAGE = click.UsageError.exit_code


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    (tmp_path / "vms").mkdir()
    (tmp_path / "fleet.yaml").write_text(HEAD)
    (tmp_path / "vms" / "web.yaml").write_text("web-1: {}\n")
    return tmp_path


def call(folder: Path, *words: str) -> "click.testing.Result":
    database = str(folder / "jobs.db")
    return CliRunner().invoke(cli, ["--fleet", str(folder), "--database", database, *words])


def listed(folder: Path) -> dict[str, str]:
    found = json.loads(call(folder, "job", "list", "--output", "json").stdout)
    return {one["job"]: f"{one['status']} {one['active']}" for one in found["jobs"]}


def test_a_new_job_comes_with_a_test_that_passes(fleet: Path) -> None:
    for words in (("mine",), ("keyboard", "--handler")):
        made = call(fleet, "job", "new", *words)
        assert made.exit_code == 0, made.output
    jobs = fleet / "site" / "jobs"
    pytest_words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(jobs)]
    tested = subprocess.run(
        [sys.executable, *pytest_words, str(jobs)],
        cwd=jobs,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert "3 passed" in tested.stdout
    assert call(fleet, "job", "check").output == "2 jobs found, 0 errors\n"
    assert listed(fleet)["mine"] == "never False"
    again = call(fleet, "job", "new", "mine")
    assert again.exit_code == EXIT_FAILED and "is there already" in again.output


def test_frm_01_a_new_job_is_tried_dry_then_enabled_and_run(fleet: Path) -> None:
    """FRM-01, FRM-06, FRM-18"""
    call(fleet, "job", "new", "mine")
    dry = call(fleet, "job", "dry-run", "mine")
    assert dry.exit_code == 0, dry.output
    assert "Dry run: nothing was changed or sent." in dry.output
    assert "0 VMs are ready" in dry.output
    assert call(fleet, "job", "enable", "mine").output == "mine: on\n"
    ran = call(fleet, "job", "run", "mine")
    assert ran.exit_code == 0, ran.output
    assert listed(fleet)["mine"] == "success True"
    shown = call(fleet, "job", "show", "mine").output
    assert "daily at 02:30:00 (its metadata)" in shown and "0 VMs are ready" in shown


def test_a_name_that_is_taken_or_odd_is_refused(fleet: Path) -> None:
    for name in ("process_vms", "Mine", "a@b"):
        found = call(fleet, "job", "new", name)
        assert found.exit_code == USAGE and "lower-case letters" in found.output


def test_without_handlers_dir_it_says_what_to_add(fleet: Path) -> None:
    (fleet / "fleet.yaml").write_text(HEAD.replace("handlers_dir: site/jobs\n", ""))
    assert "handlers_dir: jobs" in call(fleet, "job", "new", "mine").output
    assert (fleet / "jobs" / "mine.py").is_file()


def test_frm_13_wrong_metadata_are_told_by_check_and_by_list(fleet: Path) -> None:
    """FRM-13"""
    call(fleet, "job", "new", "mine")
    call(fleet, "job", "enable", "mine")
    (fleet / "site" / "jobs" / "mine.yaml").write_text("name: X\ninterval: soon\n")
    found = call(fleet, "job", "check")
    assert found.exit_code == EXIT_FAILED
    assert "mine.yaml:2:11: interval: expected a whole number, seen 'soon'" in found.output
    validated = call(fleet, "validate")
    assert validated.exit_code == EXIT_FAILED and "mine.yaml:2:11" in validated.output
    assert listed(fleet)["mine"] == "broken True"
    for told in (call(fleet, "job", "list"), call(fleet, "health")):
        assert "broken: its metadata or code cannot be used" in told.output
    ran = call(fleet, "job", "run", "mine")
    assert ran.exit_code == USAGE and "reconcile job check says why" in ran.output
    assert "its code" not in call(fleet, "job", "enable", "nobody").output
    kept = call(fleet, "job", "remove", "mine")
    assert kept.exit_code == USAGE and "the code of mine is there" in kept.output


def test_frm_12_an_uninstalled_plugin_is_removed_by_one_word(fleet: Path) -> None:
    """FRM-07, FRM-12"""
    tools = fleet / "site" / "jobs" / "tools"
    tools.mkdir(parents=True)
    (tools / "plugin.yaml").write_text("name: Tools\nactive: false\n")
    for name in ("one", "two"):
        (tools / f"{name}.py").write_text("")
        (tools / f"{name}.yaml").write_text("name: X\ninterval: 60\n")
        call(fleet, "job", "enable", f"{name}@tools")
    assert listed(fleet)["one@tools"] == "suspended True"
    for path in tools.iterdir():
        path.unlink()
    assert listed(fleet)["one@tools"] == "orphaned True"
    gone = call(fleet, "job", "remove", "*@tools")
    assert gone.output == "one@tools, two@tools: removed\n"
    assert not {one for one in listed(fleet) if "@" in one}
    assert call(fleet, "job", "remove", "*@tools").exit_code == USAGE


def test_a_dry_run_of_a_job_that_would_do_something_ends_with_2(fleet: Path) -> None:
    """FRM-06"""
    call(fleet, "job", "new", "mine")
    code = fleet / "site" / "jobs" / "mine.py"
    code.write_text("def run(job):\n    open('/tmp/own-never', 'w')\n")
    found = call(fleet, "job", "dry-run", "mine")
    assert found.exit_code == EXIT_CHANGES
    assert "refused: write /tmp/own-never" in found.output
