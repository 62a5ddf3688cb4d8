"""`reconcile init`, as somebody who has nothing yet: what it writes is sound and runs at once."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from desired.schema import schema_files
from reconciler.beginning import TEXTS, fleet_name
from reconciler.cli import cli

WEB = "https://pve1.example.net:8006"


def init(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["init", str(folder), *words])


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new repository."""
    folder = tmp_path_factory.mktemp("new") / "shop"
    done = init(folder)
    assert done.exit_code == 0
    assert done.output.splitlines()[-1].startswith(f"next: cd {folder} && reconcile --once")
    return folder


def in_it(folder: Path, words: str, more: Mapping[str, str] | None = None) -> "Done":
    """Run a shell's line in the folder, with `reconcile` on its path and a home of its own."""
    bin_dir = folder.parent / "bin"
    bin_dir.mkdir(exist_ok=True)
    program = bin_dir / "reconcile"
    program.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c "
        "'import sys; from reconciler.cli import main; sys.exit(main())' \"$@\"\n"
    )
    program.chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{bin_dir}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "XDG_STATE_HOME": str(folder.parent / "state"),
        **(more or {}),
    }
    return subprocess.run(
        ["sh", "-c", words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


Done = subprocess.CompletedProcess[str]


def test_what_its_readme_says_works_at_once(new: Path) -> None:
    """Validate, plan, make the machines, and then there is nothing left to do."""
    lines = re.findall(r"^    (reconcile [^#\n]+?) +#", (new / "README.md").read_text(), re.M)
    assert lines == [
        "reconcile validate",
        "reconcile --once --dry-run",
        "reconcile --once",
        "reconcile status",
    ]
    done = {line: in_it(new, line) for line in lines}
    assert [one.returncode for one in done.values()] == [0, 2, 0, 0], done
    assert "3 VMs: 3 ready, 3 changed, 0 failed" in done["reconcile --once"].stdout
    assert done["reconcile status"].stdout.splitlines()[-1] == "3 VMs: 3 ready"
    assert in_it(new, "reconcile --once --dry-run").returncode == 0


def test_the_ci_check_writes_the_plan_and_fails_on_broken_specs_only(
    new: Path, tmp_path: Path
) -> None:
    fleet = tmp_path / "fleet"
    shutil.copytree(new, fleet)
    done = in_it(fleet, "./ci/check")
    assert done.returncode == 0, done.stderr
    assert (fleet / "plan.md").read_text().startswith("### Plan: 3 to create")
    (fleet / "vms" / "web.yaml").write_text("web-1: {memory: 10}\n")
    assert in_it(fleet, "./ci/check").returncode == 1
    assert "`" in (fleet / "plan.md").read_text()
    assert "vms/web.yaml:1:" in (fleet / "plan.md").read_text()


def test_the_folder_may_be_a_new_git_repository_and_ignores_what_is_secret(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    assert init(folder).exit_code == 0
    for name in ("fleet.key", "x.db", "x.db-wal", "token"):
        (folder / name).write_text("")
    seen = subprocess.run(
        ["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=all"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not re.search(r"\.key|\.db|token", seen.stdout)
    assert ".schema/vms.schema.json" in seen.stdout


def test_every_text_is_used_and_no_mark_is_left(new: Path) -> None:
    known = {"fleet-simulated.yaml", "fleet-real.yaml", "gitignore", "steps-simulated.md"}
    known |= {"steps-real.md", *TEXTS}
    root = Path(str(files("reconciler"))) / "starter"
    assert {str(one.relative_to(root)) for one in root.rglob("*") if one.is_file()} == known
    for path in new.rglob("*"):
        if path.is_file():
            assert not re.search(r"<[A-Z]+>", path.read_text()), path


def test_editors_get_the_schema_of_each_file(new: Path) -> None:
    for name in ("fleet.yaml", "packages/small.yaml", "pools/public.yaml", "vms/web.yaml"):
        first = (new / name).read_text().splitlines()[0]
        schema = first.removeprefix("# yaml-language-server: $schema=")
        assert ((new / name).parent / schema).resolve().is_file()
    assert {one.name for one in (new / ".schema").iterdir()} == set(schema_files())


def complaints(new: Path) -> list[str]:
    """What systemd says of the units where there is one; that the program is elsewhere is fine."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return []
    paths = sorted(str(one) for one in (new / "systemd").iterdir())
    words = [program, "verify", *paths]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "reconcile" in line]
    return [line for line in said if "/usr/local/bin/reconcile is not executable" not in line]


def test_units_run_the_service_as_systemd_wants_it(new: Path) -> None:
    units = {}
    for path in (new / "systemd").iterdir():
        unit = configparser.ConfigParser(interpolation=None, strict=True)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read(path)
        units[path.name] = unit
    service, once = (
        units["reconcile.service"]["Service"],
        units["reconcile-once.service"]["Service"],
    )
    assert (service["Type"], once["Type"]) == ("notify", "oneshot")
    for line in (service["ExecStart"], once["ExecStart"]):
        words = line.split()[1:]
        assert CliRunner().invoke(cli, [*words, "--help"]).exit_code == 0
    assert once["SuccessExitStatus"] == "75"
    assert "OnCalendar" in units["reconcile-once.timer"]["Timer"]
    assert complaints(new) == []
    cron = (new / "cron" / "reconcile").read_text().splitlines()[-1]
    assert cron.startswith("* * * * * reconcile /usr/local/bin/reconcile ")


def test_ci_examples_are_yaml_and_call_the_check(new: Path) -> None:
    for name in ("gitlab.yml", "github.yml"):
        text = (new / "ci" / name).read_text()
        assert isinstance(yaml.safe_load(text), dict)
        assert "sh ci/check" in text


def test_a_real_cluster_is_asked_for_by_its_nodes(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    assert init(folder, "--name", "shop", "--cluster-url", WEB, "--cluster-url", WEB).exit_code == 0
    head = yaml.safe_load((folder / "fleet.yaml").read_text())
    assert head["clusters"]["main"]["endpoints"] == [WEB, WEB]
    assert (head["fleet"], head["database"]) == ("shop", "/var/lib/reconcile/shop.db")
    told = CliRunner().invoke(cli, ["--fleet", str(folder), "validate"])
    assert told.output == "fleet shop: 3 VMs, no errors\n"
    assert "Before the first run" in (folder / "README.md").read_text()


def test_a_folder_with_files_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    done = init(tmp_path)
    assert done.exit_code == 1
    assert "is not empty: notes; nothing was written" in done.output
    assert [one.name for one in tmp_path.iterdir()] == ["notes"]


def test_force_adds_what_is_missing_and_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text("mine")
    (tmp_path / "README.md").symlink_to(tmp_path / "gone")
    done = init(tmp_path, "--force", "--output", "json")
    told = json.loads(done.output)
    assert (done.exit_code, told["kept"]) == (0, ["README.md", "fleet.yaml"])
    assert (tmp_path / "fleet.yaml").read_text() == "mine"
    assert not (tmp_path / "gone").exists()
    again = init(tmp_path, "--force")
    assert "= fleet.yaml (was there, left as it is)" in again.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cluster-url", "pve1"), "--cluster-url: "),
        (("--name", "My Shop"), "--name: "),
        (("--simulated", "--cluster-url", WEB), "exclude each other"),
    ],
)
def test_what_would_make_no_sound_fleet_is_refused(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = init(tmp_path / "new", *words)
    assert (done.exit_code, said in done.output) == (2, True)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = init(tmp_path / "file" / "below")
    assert done.exit_code == 1
    assert "Not a directory" in done.output


@pytest.mark.parametrize(
    ("folder", "name"),
    [("/srv/My Shop!", "my-shop"), ("/srv/shop", "shop"), ("/srv/--", "fleet"), ("/9", "fleet-9")],
)
def test_the_fleet_is_called_as_its_folder(folder: str, name: str) -> None:
    assert fleet_name(Path(folder)) == name
