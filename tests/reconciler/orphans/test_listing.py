"""`reconcile orphans`: who is listed, who removed the spec, and what is said of prune."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from tests.orphanage import TINY, Orphanage


def git(folder: Path, *words: str, author: str = "Ann Other <ann@example.net>") -> None:
    name, _, mail = author.rstrip(">").partition(" <")
    who = ("-c", f"user.name={name}", "-c", f"user.email={mail}")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def committed(folder: Path) -> Orphanage:
    """Two VMs and a group, all committed."""
    lab = Orphanage(folder, {"a": TINY, "b": TINY, "c": {**TINY, "count": 2}}, prune="false")
    git(lab.fleet, "init", "-q")
    git(lab.fleet, "add", ".")
    git(lab.fleet, "commit", "-qm", "Begin")
    lab.settle()
    return lab


def call(lab: Orphanage, *words: str) -> Result:
    runner = CliRunner()
    place = ["--fleet", str(lab.fleet), "--database", str(lab.database)]
    return runner.invoke(cli, [*place, "orphans", *words], catch_exceptions=False)


def test_the_commit_that_removed_a_spec_is_named(tmp_path: Path) -> None:
    lab = committed(tmp_path)
    lab.specs({"a": TINY, "c": {**TINY, "count": 2}})
    git(lab.fleet, "commit", "-qam", "Remove b")
    lab.specs({"a": TINY, "c": {**TINY, "count": 1}})
    git(lab.fleet, "commit", "-qam", "Lower c", author="Bob <bob@example.net>")
    lab.specs({"a": {**TINY, "tags": ["web"]}, "c": {**TINY, "count": 1}})
    git(lab.fleet, "commit", "-qam", "Something else", author="Eve <eve@example.net>")
    lab.run()
    found = lab.orphans
    assert found["b"].by.startswith("commit ")
    assert found["b"].by.endswith(" Ann Other <ann@example.net>")
    assert found["c/2"].by.endswith(" Bob <bob@example.net>")
    assert "Ann Other" in next(
        str(event) for event in lab.told.events if "b: its spec is gone" in str(event)
    )


def test_an_edit_without_a_commit_is_said_so(tmp_path: Path) -> None:
    lab = committed(tmp_path)
    lab.specs({"a": TINY, "c": {**TINY, "count": 2}})
    lab.run()
    assert lab.orphans["b"].by.startswith("an edit that no commit has, on ")


def test_where_no_line_with_its_name_was_changed_the_last_commit_is_named(tmp_path: Path) -> None:
    lab = committed(tmp_path)
    lab.specs({}, "all")
    lab.write({"vms/all.yaml": "a: {memory: 1GiB}\n"})
    git(lab.fleet, "commit", "-qam", "Write anew", author="Bob <bob@example.net>")
    lab.run()
    assert lab.orphans["c/1"].by.endswith("Bob <bob@example.net>")


def test_the_author_of_a_delete_in_the_database_is_named(tmp_path: Path) -> None:
    lab = Orphanage(tmp_path, {"a": TINY}, sources="files, database")
    lab.edit(b=TINY, c={**TINY, "count": 2})
    lab.settle()
    lab.edit(b=None, c={**TINY, "count": 1})
    lab.run()
    found = lab.orphans
    assert found["b"].by == "deleted in the database by ann"
    assert found["c/2"].by == "edited in the database by ann"


def test_orphans_are_listed_as_text_json_and_markdown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = committed(tmp_path)
    lab.specs({"a": TINY})
    lab.run()
    monkeypatch.setattr("reconciler.cli.opening.now", lambda: lab.at)
    text = call(lab)
    assert text.exit_code == 2
    assert text.output.endswith("Orphans: 3 VMs have no spec.\n")
    assert "= b: left as it is: `prune` is off" in text.output
    told = json.loads(call(lab, "b", "--output", "json").output)
    assert told["schema_version"] == 1
    (one,) = told["orphans"]
    assert (one["vm"], one["prune_at"], one["due"], one["ticks"]) == ("b", None, False, 2)
    assert one["removed_by"].startswith("an edit")
    table = call(lab, "--output", "markdown").output
    assert table.startswith("| vm | node | vmid | since | removed by | pruned |")
    assert "| never |" in table
    lab.name(prune="{grace: 0s}")
    assert "from" in call(lab).output
    lab.run()
    lab.run()
    assert "the next run" in call(lab).output


def test_a_fleet_without_orphans_says_so(tmp_path: Path) -> None:
    lab = Orphanage(tmp_path, {"a": TINY})
    lab.settle()
    assert call(lab).output == "Orphans: 0 VMs have no spec.\n"
    assert call(lab, "--output", "markdown").output == "Every VM has a spec.\n"
    assert call(lab).exit_code == 0
