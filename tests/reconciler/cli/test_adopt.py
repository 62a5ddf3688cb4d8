"""`reconcile adopt` at the command line: what it refuses, and what it never overwrites."""

import json
from pathlib import Path

import click.testing
import pytest
from click.testing import CliRunner

from reconciler.cli import cli
from reconciler.cli.settings import EXIT_FAILED

HEAD = """\
fleet: shop
clusters: {demo: {simulated: {nodes: 1, vms: 4, speed: 1000000}}}
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster with VMs of others, and a fleet that has none."""
    folder = tmp_path_factory.mktemp("adopt") / "fleet"
    folder.mkdir()
    (folder / "fleet.yaml").write_text(HEAD)
    return folder


def call(fleet: Path, *words: str) -> click.testing.Result:
    database = str(fleet.parent / "lab.db")
    return CliRunner().invoke(cli, ["--fleet", str(fleet), "--database", database, "adopt", *words])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say which VMs"),
        (("--all", "--force"), "--force goes with --write"),
        (("--all", "--write", "elsewhere", "--apply"), "write into its folder"),
        (("--all", "--cluster", "nowhere"), "unknown cluster nowhere"),
    ],
)
def test_what_makes_no_sense_is_refused(fleet: Path, words: tuple[str, ...], said: str) -> None:
    found = call(fleet, *words)
    assert found.exit_code == 2 and said in found.output


def test_it_shows_writes_refuses_and_takes_over(fleet: Path) -> None:
    shown = call(fleet, "--all")
    assert "VMs can be adopted as they are" in shown.output and not (fleet / "vms").exists()
    written = call(fleet, "--all", "--write", str(fleet), "--output", "json")
    (path, *_) = [fleet / one["path"] for one in json.loads(written.stdout)["files"]]
    text = path.read_text()
    path.write_text(text + "# mine\n")
    kept = call(fleet, "--all", "--write", str(fleet))
    assert kept.exit_code == EXIT_FAILED and "nothing was written" in kept.output
    assert path.read_text().endswith("# mine\n")
    forced = call(fleet, "--all", "--write", str(fleet), "--force", "--apply")
    assert path.read_text() == text, forced.output
    assert "adopted, " in forced.output and "is " in forced.output
    again = call(fleet, "--all", "--apply")
    assert "VMs passed over" in again.output
    assert again.output.endswith("0 VMs adopted, 0 left out.\n") and again.exit_code == 0


def test_a_vm_that_is_asked_for_and_left_out_is_a_failure(fleet: Path) -> None:
    found = call(fleet, "--vmid", "99999")
    assert found.exit_code == EXIT_FAILED and "has no vm 99999" in found.output
