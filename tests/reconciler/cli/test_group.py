"""The command line as a person meets it: words, exit statuses, and what is loaded when."""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler import VERSION
from reconciler.cli import COMMANDS, cli, main
from reconciler.cli.settings import Settings

ROOT = Path(__file__).parents[3]
HEAVY = ("pydantic", "sqlalchemy", "jinja2", "yaml", "rich", "cryptography", "urllib3", "alembic")


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A sound fleet of two VMs on a simulated cluster."""
    folder = tmp_path / "fleet"
    (folder / "vms").mkdir(parents=True)
    (folder / "fleet.yaml").write_text(
        "fleet: lab\n"
        "clusters: {lab: {simulated: {nodes: 1, speed: 600}}}\n"
        "defaults: {cluster: lab, template: t}\n"
        "templates: {t: {lab: [9000]}}\n"
    )
    (folder / "vms" / "web.yaml").write_text("web-1: {domain: example.net}\nweb-2: {}\n")
    return folder


def call(fleet: Path, *words: str) -> Result:
    database = fleet.parent / "lab.db"
    runner = CliRunner()
    return runner.invoke(cli, ["--fleet", str(fleet), "--database", str(database), *words])


def run_main(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["reconcile", *words])
    return main()


def test_the_version_is_one_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION == version("pve-reconcile")
    assert CliRunner().invoke(cli, ["--version"]).output == f"reconcile, version {VERSION}\n"


def test_the_version_is_told_without_loading_anything_heavy() -> None:
    code = (
        "import sys; sys.argv = ['reconcile', '--version']\n"
        "from reconciler.cli import main\n"
        "main()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_every_command_explains_itself_with_examples(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*command, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.output


def test_validate_counts_a_sound_fleet(fleet: Path) -> None:
    result = call(fleet, "validate")
    assert (result.exit_code, result.output) == (0, "fleet lab: 2 VMs, no errors\n")


def test_validate_names_file_line_and_column_and_fails(fleet: Path) -> None:
    (fleet / "vms" / "bad.yaml").write_text("bad: {memory: 10}\n")
    result = call(fleet, "validate")
    assert result.exit_code == 1
    assert f"{fleet}/vms/bad.yaml:1:15: memory: expected a size" in result.output
    assert result.output.endswith("1 error; 1 VM of 3 cannot be used\n")


def test_validate_shows_one_spec_as_merged(fleet: Path) -> None:
    shown = json.loads(call(fleet, "validate", "--show", "web-1").output)
    assert (shown["key"], shown["cluster"], shown["domain"]) == ("web-1", "lab", "example.net")
    assert shown["schema_version"] == 1


def test_a_shown_spec_is_in_the_words_of_a_spec(fleet: Path) -> None:
    (fleet / "vms" / "in.yaml").write_text(
        "in-1: {firewall: {rules: [{in: ACCEPT, dport: 22, proto: tcp}]}}\n"
    )
    shown = json.loads(call(fleet, "validate", "--show", "in-1").output)
    rule = shown["firewall"]["rules"][0]
    assert (rule["in"], rule["dport"]) == ("ACCEPT", "22")


def test_options_of_a_run_do_nothing_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, "--dry-run", "--quiet") == 64
    assert "this belongs to --once: --dry-run, --quiet" in capsys.readouterr().err


def test_schemas_are_printed_or_written(fleet: Path, tmp_path: Path) -> None:
    assert "properties" in json.loads(call(fleet, "schema", "fleet").output)
    assert call(fleet, "schema", "--write", str(tmp_path / "out")).exit_code == 0
    assert (tmp_path / "out" / "vms.schema.json").is_file()
    assert call(fleet, "schema").exit_code == 2


def test_status_tells_of_vms_that_no_run_has_seen_and_makes_no_database(fleet: Path) -> None:
    result = call(fleet, "status")
    assert result.output.splitlines()[-1] == "2 VMs: 2 new"
    assert not (fleet.parent / "lab.db").exists()
    rows = json.loads(call(fleet, "status", "--output", "json").output)
    assert [row["state"] for row in rows["vms"]] == ["creation", "creation"]


@pytest.mark.parametrize("domain", ["example.net", ".example.net"])
def test_c_16_the_full_name_is_name_and_domain_with_or_without_a_leading_dot(
    fleet: Path, domain: str
) -> None:
    """C-16"""
    (fleet / "vms" / "web.yaml").write_text(f"web-1: {{domain: {domain}}}\n")
    assert "name       web-1.example.net\n" in call(fleet, "status", "web-1").output


def test_log_and_why_of_a_new_vm_say_that_nothing_was_done(fleet: Path) -> None:
    assert call(fleet, "log", "web-1").output == "web-1: no run has worked on it yet\n"
    assert json.loads(call(fleet, "log", "web-1", "--output", "json").output)["runs"] == []
    assert "run 7 did nothing" in call(fleet, "log", "web-1", "--run", "7").output
    assert "no run has worked on it yet" in call(fleet, "why", "web-1").output
    assert json.loads(call(fleet, "why", "web-1", "--output", "json").output)["key"] == "web-1"


def test_an_unknown_vm_is_answered_with_near_names(fleet: Path) -> None:
    result = call(fleet, "why", "web-3")
    assert result.exit_code == 1
    assert "no VM web-3 in fleet lab; did you mean web-2 or web-1?" in result.output


def test_a_hold_stands_until_it_is_lifted(fleet: Path) -> None:
    assert call(fleet, "hold", "web-1", "--why", "testing", "--until", "2h").exit_code == 0
    assert "testing" in call(fleet, "status", "web-1").output
    assert call(fleet, "unhold", "web-1").output == "web-1 goes on with the next run\n"
    assert call(fleet, "unhold", "web-1").output == "web-1 was not held\n"
    assert call(fleet, "hold", "web-9", "--why", "x").exit_code == 1


@pytest.mark.parametrize("until", ["soon", "2020-01-01T00:00", "5"])
def test_a_hold_needs_a_moment_that_is_still_to_come(fleet: Path, until: str) -> None:
    assert call(fleet, "hold", "web-1", "--why", "x", "--until", until).exit_code == 2


def test_a_hold_may_end_at_a_moment_of_the_calendar(fleet: Path) -> None:
    result = call(fleet, "hold", "web-1", "--why", "x", "--until", "2999-01-01T00:00")
    assert result.output == "web-1 is held until 2999-01-01 00:00:00: x\n"


def test_c_17_a_password_is_shown_once_and_only_on_purpose(fleet: Path) -> None:
    """C-17"""
    from datetime import UTC, datetime

    from state.secret import Secret
    from state.store import Store

    assert "no password was generated" in call(fleet, "password", "web-1", "--show-once").output
    with Store.open(str(fleet.parent / "lab.db"), at=datetime.now(UTC)) as store:
        store.vault.keep("web-1", "password", Secret("hunter2"))
    assert "hunter2" not in call(fleet, "password", "web-1").output
    assert call(fleet, "password", "web-1", "--show-once").output == "hunter2\n"
    again = call(fleet, "password", "web-1", "--show-once")
    assert again.exit_code == 1
    assert "hunter2" not in again.output


def test_c_02_jobs_answer_to_their_names_in_both_spellings(fleet: Path) -> None:
    """C-02"""
    from reconciler.cli.job import known_job

    settings = Settings(fleet)
    assert known_job("processVirtualMachines", settings) == known_job("process_vms", settings)
    assert known_job("process_vms", settings).name == "process_vms"
    assert "process_vms" in call(fleet, "job", "list").output
    assert call(fleet, "--list").output == call(fleet, "job", "list").output
    assert call(fleet, "--run-task=mow_the_lawn").exit_code == 2


def test_lock_04_there_is_never_a_lock_to_clear(fleet: Path) -> None:
    """LOCK-04"""
    assert call(fleet, "--clear-locks").output == call(fleet, "locks", "clear").output
    assert "nobody is at work" in call(fleet, "locks", "clear").output


@pytest.mark.parametrize(
    "words",
    [
        ("--nonsense",),
        ("nonsense",),
        ("--once", "--verbose", "--quiet"),
        ("--once", "--dry-run", "--approve", "ab12"),
        ("--once", "--list"),
        ("--dry-run", "status"),
        (),
    ],
)
def test_a_wrong_command_line_has_a_status_of_its_own(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, *words) == 64
    out, err = capfd.readouterr()
    assert "Usage:" in out + err


def test_specs_that_cannot_be_used_end_a_command_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, "--fleet", str(tmp_path), "status") == 1
    assert "nothing was done" in capfd.readouterr().err


def test_a_strange_database_ends_a_command_in_words(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = fleet.parent / "broken.db"
    broken.write_text("this is no database")
    words = ("--fleet", str(fleet), "--database", str(broken), "status")
    assert run_main(monkeypatch, *words) == 1
    assert capfd.readouterr().err.startswith("database: ")


def test_a_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.cli.opening import person

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000 - 7)
    assert person().startswith("uid-3999999993@")


def test_completion_scripts_name_the_command(fleet: Path) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_RECONCILE_COMPLETE" in call(fleet, "completion", shell).output


def test_the_fleet_is_looked_for_here_and_in_the_sample_place(
    fleet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.cli.settings import default_fleet

    monkeypatch.chdir(fleet)
    assert default_fleet() == fleet
    monkeypatch.chdir(ROOT)
    assert default_fleet() == ROOT / "desired" / "fleet"
    monkeypatch.chdir(fleet.parent)
    assert default_fleet() == fleet.parent
