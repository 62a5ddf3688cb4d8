"""`reconcile restart`: a person permits one restart."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from state.conditions import Condition
from state.memory import Intent
from state.store import Store

FLEET = """\
fleet: lab
clusters: {lab: {simulated: {nodes: 1, speed: 600}}}
defaults: {cluster: lab, template: t}
templates: {t: {lab: [9000]}}
"""
AT = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fleet" / "vms").mkdir(parents=True)
    (tmp_path / "fleet" / "fleet.yaml").write_text(FLEET)
    (tmp_path / "fleet" / "vms" / "web.yaml").write_text("web-1: {}\n")
    return tmp_path


def call(folder: Path, *words: str) -> Result:
    options = ["--fleet", str(folder / "fleet"), "--database", str(folder / "lab.db")]
    return CliRunner().invoke(cli, [*options, "restart", *words])


def kept(folder: Path) -> dict[str, Intent]:
    with Store.preview(str(folder / "lab.db"), at=AT) as store:
        return store.intents.of("web-1")


def test_c_24_a_restart_is_permitted_once_and_can_be_taken_back(folder: Path) -> None:
    said = call(folder, "web-1").output
    assert said.startswith("nothing of web-1 was seen to wait: the next run restarts it only if")
    assert kept(folder)["restart"].detail == ""
    assert call(folder, "web-1", "--cancel").output == "web-1 is not to be restarted\n"
    assert kept(folder) == {}


def test_what_waits_is_named(folder: Path) -> None:
    with Store.open(str(folder / "lab.db"), at=AT) as store:
        text = "waits for a stop and start: cores"
        store.conditions.replace(
            "web-1", [Condition("web-1", "RestartRequired", True, "power", text, AT)]
        )
    assert call(folder, "web-1", "--now").output.endswith(f"for that ({text})\n")
    assert kept(folder)["restart"].detail == "now"


def test_now_and_cancel_exclude_each_other_and_a_vm_must_be_known(folder: Path) -> None:
    assert call(folder, "web-1", "--now", "--cancel").exit_code == 2
    assert call(folder, "web-9").exit_code == 1
