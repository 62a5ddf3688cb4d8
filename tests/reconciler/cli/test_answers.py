"""Every command that answers does so for machines too, in one object that names its form."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reconciler.cli import cli
from reconciler.form import SCHEMA_VERSION

NO_ANSWER = {
    ("completion",): "prints a script for a shell",
    ("dns", "export"): "prints the list of names that DNS-15 asks for",
    ("help",): "prints prose",
    ("schema",): "prints JSON Schemas, whose form is theirs",
    ("simulate",): "serves until interrupted",
}
"""Commands without --output, and why."""
HEAD = """\
fleet: lab
clusters: {lab: {simulated: {nodes: 1, speed: 3000}}}
defaults: {cluster: lab, template: t, storage: local-lvm}
templates: {t: {lab: [9000]}}
sources: [files, database]
"""


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the path of every command that is no group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from leaves(found, (*path, name))
        else:
            yield (*path, name)


def option(path: tuple[str, ...]) -> click.Parameter | None:
    """Return the command's --output."""
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return next((one for one in command.params if "--output" in one.opts), None)


@pytest.mark.parametrize("path", list(leaves(cli)), ids=" ".join)
def test_every_command_takes_output_json_unless_it_answers_nothing(path: tuple[str, ...]) -> None:
    given = option(path)
    if path in NO_ANSWER:
        assert given is None
        return
    assert given is not None
    assert isinstance(given.type, click.Choice)
    assert "json" in given.type.choices


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet that one run has made, with a spec in its database."""
    folder = tmp_path_factory.mktemp("answers") / "fleet"
    (folder / "vms").mkdir(parents=True)
    (folder / "fleet.yaml").write_text(HEAD)
    (folder / "vms" / "web.yaml").write_text("web-1: {cloudinit: {password: generate}}\n")
    (folder / "db-1.yaml").write_text("power: unmanaged\n")
    assert call(folder, "spec", "put", "db-1", str(folder / "db-1.yaml")).exit_code == 0
    assert call(folder, "--once").exit_code == 0
    return folder


def call(folder: Path, *words: str) -> "click.testing.Result":
    database = str(folder.parent / "lab.db")
    return CliRunner().invoke(cli, ["--fleet", str(folder), "--database", database, *words])


ANSWERS: list[tuple[tuple[str, ...], str]] = [
    (("--once", "--dry-run"), "vms"),
    (("--list",), "jobs"),
    (("--clear-locks",), "at_work"),
    (("validate",), "errors"),
    (("status",), "vms"),
    (("status", "web-1"), "vms"),
    (("log", "web-1"), "runs"),
    (("why", "web-1"), "advice"),
    (("doctor",), "clusters"),
    (("drift",), "drift"),
    (("drift", "--history"), "events"),
    (("adopt-drift", "web-1"), "patch"),
    (("adopt", "--all"), "vms"),
    (("adopt", "--all", "--apply"), "adopted"),
    (("hold", "web-1", "--why", "x", "--until", "2h"), "until"),
    (("unhold", "web-1"), "lifted"),
    (("restart", "web-1"), "vms"),
    (("restart", "web-1", "--cancel"), "restart"),
    (("password", "web-1", "--show-once"), "password"),
    (("rebuild-state", "--dry-run"), "found"),
    (("db", "check"), "checks"),
    (("db", "migrate"), "after"),
    (("job", "list"), "jobs"),
    (("locks", "clear"), "at_work"),
    (("iso", "list"), "clusters"),
    (("spec", "list"), "specs"),
    (("spec", "history", "db-1"), "revisions"),
    (("spec", "diff", "db-1"), "differences"),
]


@pytest.mark.parametrize(("words", "part"), ANSWERS, ids=[" ".join(words) for words, _ in ANSWERS])
def test_an_answer_is_one_object_that_names_its_form(
    fleet: Path, words: tuple[str, ...], part: str
) -> None:
    answered = call(fleet, *words, "--output", "json")
    told = json.loads(answered.stdout)
    assert told["schema_version"] == SCHEMA_VERSION
    assert part in told


def test_the_events_of_a_run_name_their_form_first(fleet: Path) -> None:
    lines = call(fleet, "--once", "--output", "json").stdout.splitlines()
    first, *rest = map(json.loads, lines)
    assert (first["event"], first["schema_version"]) == ("run_started", SCHEMA_VERSION)
    assert "run_done" in [one["event"] for one in rest]
    assert call(fleet, "job", "run", "process_vms", "--output", "json").stdout.startswith("{")


def test_init_answers_too(tmp_path: Path) -> None:
    words = ["init", str(tmp_path / "shop"), "--output", "json"]
    told = json.loads(CliRunner().invoke(cli, words).stdout)
    assert (told["schema_version"], told["fleet"]) == (SCHEMA_VERSION, "shop")
    assert "fleet.yaml" in told["written"]


def test_errors_of_specs_have_their_place_in_fields(fleet: Path, tmp_path: Path) -> None:
    (tmp_path / "vms").mkdir()
    (tmp_path / "fleet.yaml").write_text(HEAD.replace("sources: [files, database]\n", ""))
    (tmp_path / "vms" / "bad.yaml").write_text("bad: {memory: 10}\n")
    answered = call(tmp_path, "validate", "--output", "json")
    told = json.loads(answered.stdout)
    assert (answered.exit_code, told["broken"]) == (1, ["bad"])
    assert [(one["line"], one["column"], one["field"]) for one in told["errors"]] == [
        (1, 15, "memory")
    ]
    assert "### 1 error" in call(tmp_path, "validate", "--output", "markdown").stdout


def test_markdown_is_for_a_plan_only(fleet: Path) -> None:
    assert call(fleet, "--once", "--output", "markdown").exit_code == 2
    plan = call(fleet, "--once", "--dry-run", "--output", "markdown")
    assert plan.stdout.startswith("### Plan: 0 to create")
