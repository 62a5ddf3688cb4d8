"""`reconcile terminate`: what it shows, what it asks, what it refuses, and what becomes of it."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from state.store import Store

FLEET = """\
fleet: lab
clusters: {lab: {simulated: {nodes: 1, speed: 600}}}
defaults: {cluster: lab, template: debian-12, storage: local-lvm}
templates: {debian-12: {lab: [9000]}}
guard: {destroys: 100%}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet of two VMs that are ready, and one that no run has seen."""
    made = tmp_path_factory.mktemp("terminate")
    (made / "fleet" / "vms").mkdir(parents=True)
    (made / "fleet" / "fleet.yaml").write_text(FLEET)
    (made / "fleet" / "vms" / "old.yaml").write_text("old-1: {}\nold-2: {}\n")
    assert call(made, "--once").exit_code == 0
    (made / "fleet" / "vms" / "new.yaml").write_text("new-1: {}\n")
    return made


def call(folder: Path, *words: str, typed: str | None = None) -> Result:
    options = ["--fleet", str(folder / "fleet"), "--database", str(folder / "lab.db")]
    return CliRunner().invoke(cli, [*options, *words], input=typed)


def wishes(folder: Path, key: str = "old-1") -> list[str]:
    with Store.preview(str(folder / "lab.db"), at=datetime.now(UTC)) as store:
        return sorted(store.intents.of(key))


def test_every_volume_that_dies_is_shown_and_nothing_is_asked_for(folder: Path) -> None:
    said = call(folder, "terminate", "old-1", "--dry-run").output
    assert "DESTROY  scsi0 " in said and "local-lvm:vm-100-disk-0" in said
    assert said.endswith("nothing was asked for\n") and wishes(folder) == []
    words = ("terminate", "old-1", "--dry-run", "--output", "json")
    told = json.loads(call(folder, *words).stdout)
    assert told["terminate"] is False and "local-lvm:vm-100-disk-0" in told["destroys"]["old-1"][0]


def test_nobody_who_cannot_be_asked_destroys(folder: Path) -> None:
    asked = call(folder, "terminate", "old-1", typed="TERMINATE\n")
    assert asked.exit_code == 2 and "give --yes" in asked.output
    assert wishes(folder) == []


def test_an_end_is_asked_for_once_and_can_be_taken_back(folder: Path) -> None:
    assert call(folder, "terminate", "old-1", "--yes").output.endswith("the next run ends old-1\n")
    assert wishes(folder) == ["do.terminate"]
    assert call(folder, "terminate", "old-1", "--cancel").output == "old-1 is not to be ended\n"
    assert wishes(folder) == []
    said = call(folder, "terminate", "old-1", "--cancel").output
    assert said == "nobody asked for the end of old-1\n"


def test_what_was_ended_is_not_made_again_and_says_so(folder: Path) -> None:
    assert call(folder, "terminate", "old-2", "--yes").exit_code == 0
    said = call(folder, "--once", "--only", "old-*").output
    assert "[terminate] done (" in said and "--- Terminate complete" in said
    assert call(folder, "--once", "--only", "old-*").exit_code == 0
    shown = call(folder, "status", "old-2").output
    assert "removed" in shown
    refused = call(folder, "terminate", "old-2", "--yes")
    assert refused.exit_code == 1 and "old-2 has no machine" in refused.output
    said = call(folder, "terminate", "old-2", "--cancel").output
    assert said == "the next run makes old-2 anew\n" and wishes(folder, "old-2") == []


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("old-1", "--cancel", "--force"), 2, "--cancel stands alone"),
        (("old-9", "--yes"), 1, "no VM old-9"),
        (("new-1", "--yes"), 1, "there is nothing to destroy"),
        (("old-1", "--force", "--yes"), 1, "its node answers"),
    ],
)
def test_what_cannot_be_ended_is_refused(
    folder: Path, words: tuple[str, ...], status: int, told: str
) -> None:
    result = call(folder, "terminate", *words)
    assert result.exit_code == status and told in result.output


def test_who_reads_the_plan_and_types_the_word_has_approved_it(folder: Path) -> None:
    """Design 4: protected, it would wait for an approval that `--yes` does not give."""
    vms = "old-1: {protection: true}\nold-2: {}\n"
    (folder / "fleet" / "vms" / "old.yaml").write_text(vms)
    asked = call(folder, "terminate", "old-1", "--yes")
    assert "the next run ends old-1, once it is approved: reconcile approve " in asked.output
    assert call(folder, "terminate", "old-1", "--cancel").exit_code == 0
    ours, theirs = os.openpty()
    os.write(ours, b"TERMINATE\n")
    options = ["--fleet", str(folder / "fleet"), "--database", str(folder / "lab.db")]
    command = str(Path(sys.executable).with_name("reconcile"))
    words = [command, *options, "terminate", "old-1"]
    said = subprocess.run(words, stdin=theirs, capture_output=True, text=True, timeout=60)
    os.close(ours)
    os.close(theirs)
    assert said.stdout.endswith("the next run ends old-1\n")
    with Store.preview(str(folder / "lab.db"), at=datetime.now(UTC)) as store:
        assert len(store.approvals.open_changes(datetime.now(UTC))) == 1
