"""`reconcile backup` over HTTPS: asked, made, listed, protected, removed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from tests.grounds import Grounds

WEB = "web: {memory: 1GiB, backup: {storage: local}}\n"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Grounds]:
    with Grounds(tmp_path, {"vms/vms.yaml": WEB}) as grounds:
        grounds.settle()
        yield grounds


def call(fleet: Grounds, *words: str, typed: str = "") -> Result:
    options = ["--fleet", str(fleet.fleet), "--database", fleet.where]
    return CliRunner().invoke(cli, [*options, *words], input=typed)


def said(fleet: Grounds, *words: str) -> str:
    done = call(fleet, *words)
    assert done.exit_code == 0, done.output
    return done.output


def test_task_04_a_backup_by_hand_is_made_listed_protected_and_removed(fleet: Grounds) -> None:
    """TASK-04: the record says how it ended, and nothing of it stays open."""
    assert said(fleet, "backup", "list") == "no backups\n"
    told = said(fleet, "backup", "web", "--wait", "--token", "t-1")
    assert told.startswith("web is backed up by the next run of backup_status\nweb: done: local:")
    volume = told.split("done: ")[1].strip()
    again = call(fleet, "backup", "web", "--token", "t-1")
    assert "was asked by this token before" in again.output
    listed = json.loads(said(fleet, "backup", "list", "web", "--output", "json"))["backups"]
    assert [(one["volume"], one["ours"], one["verified"]) for one in listed] == [
        (volume, True, True)
    ]
    assert "is protected" in said(fleet, "backup", "protect", volume)
    assert "is protected: reconcile backup" in call(fleet, "backup", "delete", volume).output
    said(fleet, "backup", "protect", volume, "--off")
    assert "give --yes in place" in call(fleet, "backup", "delete", volume).output
    said(fleet, "backup", "delete", volume, "--yes")
    assert said(fleet, "backup", "list") == "no backups\n"
    with fleet.store() as store:
        assert store.intents.of("web") == {}
        assert [one.detail["by"] for one in store.outbox.past("backup_done")] != []


def test_a_backup_is_tried_and_what_is_no_backup_is_refused(fleet: Grounds) -> None:
    nowhere = call(fleet, "backup", "web", "--storage", "nowhere", "--wait")
    assert nowhere.exit_code == 1
    assert "nowhere takes no backups in cluster demo; those that do: " in nowhere.output
    none = call(fleet, "backup", "test-restore", "web")
    assert "no verified backup of web is there" in none.output
    volume = said(fleet, "backup", "web", "--wait").split("done: ")[1].strip()
    before = fleet.shot()["vms"].keys()
    words = ("test-restore", "web", "--within", "1s", "--output", "json")
    tried = json.loads(call(fleet, "backup", *words).stdout)
    assert (tried["vm"], tried["volume"], tried["well"]) == ("web", volume, True)
    assert fleet.shot()["vms"].keys() == before
    refused = call(fleet, "backup", "protect", "local:backup/none")
    assert (refused.exit_code, "expected one backup" in refused.output) == (1, True)
