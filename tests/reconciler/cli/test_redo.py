"""`reconcile redo` and `reconcile password --reset`: what they refuse, and what they write down."""

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
"""
WEB = "web-1: {agent: true, cloudinit: {user: ops, password: generate}}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet of one VM that is ready, and one that no run has seen."""
    made = tmp_path_factory.mktemp("redo")
    (made / "fleet" / "vms").mkdir(parents=True)
    (made / "fleet" / "fleet.yaml").write_text(FLEET)
    (made / "fleet" / "vms" / "web.yaml").write_text(WEB)
    assert call(made, "--once").exit_code == 0
    (made / "fleet" / "vms" / "new.yaml").write_text("new-1: {}\n")
    return made


def call(folder: Path, *words: str) -> Result:
    options = ["--fleet", str(folder / "fleet"), "--database", str(folder / "lab.db")]
    return CliRunner().invoke(cli, [*options, *words])


def wishes(folder: Path) -> list[str]:
    with Store.preview(str(folder / "lab.db"), at=datetime.now(UTC)) as store:
        return sorted(store.intents.of("web-1"))


def test_c_13_it_is_said_what_will_be_written_and_can_be_taken_back(folder: Path) -> None:
    said = call(folder, "redo", "web-1", "set_cpu_ram", "--dry-run").output
    assert said.startswith("the next run makes set_cpu_ram (Set CPU & RAM) of web-1 again:\n  PUT ")
    assert wishes(folder) == []
    assert call(folder, "redo", "web-1", "Set CPU & RAM").output == said
    assert wishes(folder) == ["redo"]
    assert call(folder, "redo", "web-1", "--cancel").output.startswith("no step of web-1")
    assert wishes(folder) == []


def test_a_step_that_writes_nothing_of_this_vm_says_so(folder: Path) -> None:
    assert "  nothing to write" in call(folder, "redo", "web-1", "set_firewall", "--dry-run").output


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("web-1",), 2, "give either a step, or --cancel"),
        (("web-1", "ready", "--cancel"), 2, "give either a step, or --cancel"),
        (("web-1", "fly"), 1, "no step 'fly'"),
        (("web-9", "ready"), 1, "no VM web-9"),
        (("new-1", "ready"), 1, "there is no machine yet"),
    ],
)
def test_what_cannot_be_repeated_is_refused(
    folder: Path, words: tuple[str, ...], status: int, told: str
) -> None:
    result = call(folder, "redo", *words)
    assert (result.exit_code, told in result.output) == (status, True)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("web-1",), 2, "it can be shown only once"),
        (("web-1", "--show-once", "--set-from", "env:X"), 2, "--set-from gives your own"),
        (("new-1", "--reset"), 1, "is not deployed yet"),
        (("web-1", "--show-once", "--user", "deploy"), 1, "no password was generated"),
    ],
)
def test_c_06_what_cannot_be_set_or_shown_is_refused(
    folder: Path, words: tuple[str, ...], status: int, told: str
) -> None:
    result = call(folder, "password", *words)
    assert (result.exit_code, told in result.output) == (status, True)
