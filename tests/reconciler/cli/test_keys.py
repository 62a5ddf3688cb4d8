"""Completion knows the fleet: what the shell would be told at each place."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from reconciler.cli import cli
from reconciler.cli.keys import completing

HEAD = """\
fleet: lab
clusters: {east: {simulated: {}}, west: {simulated: {}}}
defaults: {cluster: east, template: t}
templates: {t: {east: [9000], west: [9000]}}
"""
VMS = """\
.shared: &shared {memory: 1GiB}
web-1: *shared
cache: {count: 2}
site: {for_each: {blog: {}, shop: {}}}
list: {for_each: [a, b]}
none: null
"""
Complete = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vms" / "deep").mkdir(parents=True)
    (tmp_path / "fleet.yaml").write_text(HEAD)
    (tmp_path / "vms" / "deep" / "vms.yaml").write_text(VMS)
    return tmp_path


@pytest.fixture
def complete(folder: Path) -> Complete:
    """What a shell is offered after these words; the last one is unfinished."""
    shell = get_completion_class("bash")
    assert shell is not None
    asked = shell(cli, {}, "reconcile", "_RECONCILE_COMPLETE")

    def offered(*words: str) -> list[str]:
        database = str(folder / "lab.db")
        before = ["--fleet", str(folder), "--database", database, *words[:-1]]
        return [item.value for item in asked.get_completions(before, words[-1])]

    return offered


ALL = ["cache/1", "cache/2", "list/a", "list/b", "none", "site/blog", "site/shop", "web-1"]


@pytest.mark.parametrize(
    "words",
    [("status",), ("why",), ("log",), ("hold",), ("restart",), ("drift",), ("drift", "web-1")],
)
def test_the_keys_of_all_machines_are_offered(complete: Complete, words: tuple[str, ...]) -> None:
    assert complete(*words, "") == ALL


def test_what_was_typed_narrows_it(complete: Complete) -> None:
    assert complete("status", "si") == ["site/blog", "site/shop"]
    assert complete("--once", "--only", "ca") == ["cache/1", "cache/2"]
    assert complete("run", "--only", "web") == ["web-1"]
    assert complete("validate", "--show", "no") == ["none"]


def test_clusters_and_topics_are_offered(complete: Complete) -> None:
    assert complete("export-inventory", "--cluster", "") == ["east", "west"]
    assert complete("help", "cond") == ["conditions"]
    assert complete("help", "sp") == ["specs", "spec"]


def test_specs_in_the_database_are_offered(complete: Complete, folder: Path) -> None:
    from click.testing import CliRunner

    (folder / "fleet.yaml").write_text(f"{HEAD}sources: [files, database]\n")
    spec = folder / "spec.yaml"
    spec.write_text("{}")
    words = ["--fleet", str(folder), "--database", str(folder / "lab.db"), "spec", "put"]
    assert CliRunner().invoke(cli, [*words, "kept", str(spec)]).exit_code == 0
    assert complete("spec", "get", "") == ["kept"]
    assert "kept" in complete("status", "")


@pytest.mark.parametrize("text", ["web: [", "- a list\n"])
def test_a_half_written_file_offers_nothing_and_says_nothing(
    complete: Complete, folder: Path, text: str
) -> None:
    (folder / "vms" / "deep" / "vms.yaml").write_text(text)
    assert complete("status", "") == []
    (folder / "fleet.yaml").write_text("fleet: lab\n")
    assert complete("export-inventory", "--cluster", "") == []


def test_the_fleet_of_the_folder_is_taken_where_none_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECONCILE_FLEET", raising=False)
    monkeypatch.chdir(folder)
    shell = get_completion_class("zsh")
    assert shell is not None
    asked = shell(cli, {}, "reconcile", "_RECONCILE_COMPLETE")
    assert [item.value for item in asked.get_completions(["why"], "we")] == ["web-1"]


def test_only_plain_texts_are_completed() -> None:
    from reconciler.cli.act import hold

    before = [type(param.type) for param in hold.params if param.name != "vm"]
    completing(hold)
    assert [type(param.type) for param in hold.params if param.name != "vm"] == before
