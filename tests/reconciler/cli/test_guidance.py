"""`reconcile help`: every topic has a page, and the pages tell of what is there."""

import ast
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from reconciler.cli import COMMANDS, cli
from reconciler.cli.guidance import MADE, page
from reconciler.cli.settings import EXITS
from reconciler.cli.topics import TOPICS
from reconciler.conditions import MEANINGS
from reconciler.show.events import EVENT_NAMES
from reconciler.why import ADVICE

ROOT = Path(__file__).parents[3]
ROOMS = (
    "handlers",
    "reconciler/adopt",
    "reconciler/allocation",
    "reconciler/backups",
    "reconciler/rollout",
    "reconciler/safeguard",
)
NAME = re.compile(r"[A-Z]+[a-z]+([A-Z][a-z]+)*")
NO_CONDITIONS = frozenset(
    {"False", "NoSpec", "Settled", "Course", "Spec", "Seen", "Tools", "Result"}
)
"""Words of that form which are none."""


def named(tree: ast.AST) -> Iterator[str]:
    """Yield each text of a condition's form (`Type` or `Type=False`) that is no annotation."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            part = getattr(node, field, None)
            if isinstance(part, ast.AST):
                skipped |= {id(inner) for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            word = node.value.partition("=")[0]
            if id(node) not in skipped and NAME.fullmatch(word):
                yield word


def raised() -> set[str]:
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    paths += [ROOT / "reconciler" / f"{name}.py" for name in ("guard", "plan", "outcome", "drain")]
    paths.append(ROOT / "reconciler" / "dns" / "fleet.py")
    found = {word for path in paths if path.exists() for word in named(ast.parse(path.read_text()))}
    return found - NO_CONDITIONS


def test_every_condition_that_may_be_raised_is_explained_and_no_other() -> None:
    """A new condition needs a line in reconciler/conditions.py."""
    raised_here = raised() | {"Drifted", "Ready", "Unmanaged"}
    assert raised_here - MEANINGS.keys() == set()
    assert MEANINGS.keys() - raised_here == set()


def test_advice_is_given_for_conditions_that_there_are() -> None:
    assert ADVICE.keys() <= MEANINGS.keys()


def test_the_page_of_conditions_has_meaning_and_advice_of_each() -> None:
    text = " ".join(page("conditions").split())
    for name, meaning in MEANINGS.items():
        assert f"{name} {meaning}." in text
    assert all(advice.format(key="VM") in text for advice in ADVICE.values())


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_a_page_that_fits_a_terminal(topic: str) -> None:
    lines = CliRunner().invoke(cli, ["help", topic]).output.splitlines()
    assert lines[1] == "=" * len(lines[0])
    assert max(map(len, lines)) <= 110


def test_no_page_is_left_over() -> None:
    there = {path.name for path in files("reconciler").joinpath("pages").iterdir()}
    assert there == {f"{topic}.txt" for topic in TOPICS if topic not in MADE}
    with pytest.raises(KeyError):
        page("cooking")


def test_pages_name_only_commands_and_options_that_there_are() -> None:
    text = "\n".join(page(topic) for topic in TOPICS)
    commands = set(re.findall(r"(?:`|^ *(?:\d\. +)?)reconcile ([a-z][a-z-]+)", text, re.M))
    assert commands <= COMMANDS.keys()
    context = click.Context(cli)
    pages = [CliRunner().invoke(cli, ["--help"]).output]
    for name in COMMANDS:
        assert cli.get_command(context, name) is not None
        pages.append(CliRunner().invoke(cli, [name, "--help"]).output)
    known = {option for text in pages for option in re.findall(r"--[a-z-]+", text)}
    assert set(re.findall(r"(?<=\s)--[a-z][a-z-]+", text)) <= known | {"--to"}


def test_the_exit_statuses_are_the_same_everywhere() -> None:
    readme = (ROOT / "docs" / "commands.md").read_text()
    table = re.findall(r"^\| (\d+) \| (.+) \|$", readme, re.M)
    assert [(int(number), words) for number, words in table] == list(EXITS)
    told = CliRunner().invoke(cli, ["--help"]).output + page("exit-codes")
    for number, words in EXITS:
        assert told.count(f"{number:>4}  {words}") == 2


def test_the_log_of_a_service_is_told_in_full() -> None:
    words = re.findall(r"^    ([a-z]+) ", page("service"), re.M)
    assert {"step", "paused", "failed", "waiting", "note", "request", "job", "run"} <= set(words)
    assert len(EVENT_NAMES) == 11


def test_without_a_topic_all_are_listed() -> None:
    told = CliRunner().invoke(cli, ["help"]).output
    assert all(f"  {topic} " in told for topic in TOPICS)


def test_a_command_is_explained_by_its_name() -> None:
    assert CliRunner().invoke(cli, ["help", "spec", "put"]).output.startswith("Usage: cli spec put")


@pytest.mark.parametrize(
    ("words", "near"),
    [(("condition",), "conditions"), (("spec", "gat"), "get"), (("log", "x"), "")],
)
def test_what_there_is_not_is_answered_with_near_names(words: tuple[str, ...], near: str) -> None:
    done = CliRunner().invoke(cli, ["help", *words])
    assert done.exit_code == 2
    assert f"no topic or command {' '.join(words)}" in done.output
    assert near in done.output
