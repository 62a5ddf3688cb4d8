"""`reconcile run` as it is asked for: what is refused while a person still looks."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli import cli, main
from reconciler.show.events import JsonReporter
from reconciler.show.service import LogReporter


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--interval", "500ms"), "500ms"),
        (("--interval", "0s"), "--interval: expected 1s or more, seen 0s"),
        (("--interval", "10s", "--jitter", "10s"), "--jitter must be shorter than --interval"),
        (("--verbose", "--quiet"), "exclude each other"),
        (("--time-limit", "0"), "time-limit"),
        (("--output", "markdown"), "--output"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(cli, ["run", *words])
    assert (done.exit_code, said in done.output) == (2, True), done.output


def test_a_folder_without_a_fleet_ends_it_while_a_person_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["reconcile", "--fleet", str(tmp_path), "run"])
    assert main() == 1
    assert "fleet.yaml" in capfd.readouterr().err


def test_a_service_has_a_log_and_never_a_bar() -> None:
    from reconciler.cli.output import service_reporter

    assert isinstance(service_reporter("json", verbose=False, quiet=False), JsonReporter)
    assert isinstance(service_reporter("text", verbose=True, quiet=False), LogReporter)
