"""Runs by git: stamped with the commit of their specs, after a pull, or as at another commit."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli import cli, main
from reconciler.config import open_preview
from reconciler.dryrun import dry_run
from reconciler.git import GitError
from reconciler.options import RunOptions
from reconciler.past import AsOf
from reconciler.report import DryRun, Remark, RunStarted
from reconciler.show.plan import plan_json, render_plan
from reconciler.show.run import TextReporter
from reconciler.show.text import Paint
from reconciler.specs import open_desk
from state.specs import Edit
from tests.lab import Lab, Told

FILES = {
    "fleet.yaml": "fleet: demo\n"
    "clusters: {demo: {simulated: {}}}\n"
    "defaults: {cluster: demo, template: debian-12, storage: local-lvm}\n"
    "templates: {debian-12: {demo: [9000]}}\n",
    "vms/a.yaml": "a: {}\n",
}
ANN = ("-c", "user.name=Ann", "-c", "user.email=ann@example.net")


def git(folder: Path, *words: str) -> str:
    asked = ["git", "-C", str(folder), *ANN, *words]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


class GitLab(Lab):
    """A data centre whose fleet is a branch that follows one of a bare repository."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, FILES)
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(folder / "bare"))
        git(self.fleet, "init", "--quiet", "--initial-branch=main")
        git(self.fleet, "remote", "add", "origin", str(folder / "bare"))
        self.first = self.commit()
        git(self.fleet, "push", "--quiet", "--set-upstream", "origin", "main")

    def commit(self) -> str:
        git(self.fleet, "add", "--all")
        git(self.fleet, "commit", "--quiet", "--message", "Edit")
        return git(self.fleet, "rev-parse", "HEAD")

    def colleague(self, files: dict[str, str]) -> str:
        """Let a colleague push files on top of ours."""
        self.write(files)
        commit = self.commit()
        git(self.fleet, "push", "--quiet")
        git(self.fleet, "reset", "--quiet", "--hard", "HEAD~1")
        return commit

    def commits(self) -> list[str]:
        with self.store() as store:
            return [run.commit for run in store.journal.runs()]

    def dry_at(self, commit: str) -> DryRun:
        options = RunOptions(self.fleet, str(self.database))
        return dry_run(options, Told(), self.clock, self._opening(AsOf(commit)))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitLab:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return GitLab(tmp_path)


def test_a_run_is_stamped_with_the_commit_of_its_specs(lab: GitLab) -> None:
    lab.run()
    started = [one for one in lab.told.events if isinstance(one, RunStarted)]
    assert [one.commit for one in started] == [lab.first]
    lines: list[str] = []
    TextReporter(lines.append, Paint(), zone=UTC).report(*started)
    assert lines[-1] == f"specs at commit {lab.first[:12]}"
    lab.write({"vms/b.yaml": "b: {}\n"})
    lab.run()
    assert lab.commits() == [f"{lab.first}+dirty", lab.first]
    dry = lab.dry()
    assert plan_json(dry)["commit"] == f"{lab.first}+dirty"
    assert render_plan(dry, Paint()).splitlines()[0] == f"specs at commit {lab.first[:12]}+dirty"


def test_status_says_which_commit_the_last_run_went_by(lab: GitLab) -> None:
    lab.run()
    words = ("--fleet", str(lab.fleet), "--database", str(lab.database), "status")
    told = CliRunner().invoke(cli, words).output.splitlines()[-1]
    assert told.startswith("last run 1, ")
    assert told.endswith(f": specs at commit {lab.first[:12]}")


def test_a_run_pulls_before_it_reads_the_specs(lab: GitLab) -> None:
    second = lab.colleague({"vms/b.yaml": "b: {}\n"})
    assert lab.run(pull=True).vms == 2
    remarks = [one.text for one in lab.told.events if isinstance(one, Remark)]
    assert f"pulled: {lab.first[:12]} -> {second[:12]}" in remarks
    assert lab.commits() == [second]


def test_where_nothing_can_be_pulled_nothing_is_run(lab: GitLab) -> None:
    lab.run()
    lab.write({"vms/b.yaml": "b: {}\n"})
    with pytest.raises(GitError, match="edits that no commit has"):
        lab.run(pull=True)
    assert not lab.wire.of(lab.wire.run)
    assert len(lab.commits()) == 1


def test_a_dry_run_of_a_commit_writes_nothing_anywhere(lab: GitLab) -> None:
    lab.settle()
    second = lab.colleague({"vms/a.yaml": "a: {description: new}\n", "vms/b.yaml": "b: {}\n"})
    before = lab.bytes()
    dry = lab.dry_at(second)
    assert {vm.key: vm.kind for vm in dry.vms} == {"a": "change", "b": "create"}
    assert dry.commit == second
    assert {vm.kind for vm in lab.dry_at("HEAD").vms} == {"unchanged"}
    assert lab.bytes() == before
    assert not git(lab.fleet, "status", "--porcelain")
    assert not lab.wire.writes(lab.wire.run)


def test_stored_specs_are_todays_whatever_the_commit(lab: GitLab) -> None:
    second = lab.colleague({"fleet.yaml": FILES["fleet.yaml"] + "sources: [files, database]\n"})
    with open_desk(lab.fleet, str(lab.database), lab.clock.now()) as desk:
        desk.store.specs.edit([Edit("b", {})], "ann", lab.clock.now())
    assert [vm.key for vm in lab.dry().vms] == ["a"]
    assert [vm.key for vm in lab.dry_at(second).vms] == ["a", "b"]


def test_paths_of_another_commit_lead_from_todays_folder(lab: GitLab) -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    (lab.fleet / "token").write_text("s3cret\n")
    with AsOf("HEAD")(lab.fleet, str(lab.database), at) as opened:
        assert opened.resolve("file:token").reveal() == "s3cret"
    with open_preview(lab.fleet, str(lab.database), at) as opened:
        assert opened.fleet.folder == str(lab.fleet)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--once", "--as-of", "HEAD"), "--as-of is for looking"),
        (("--as-of", "HEAD"), "--as-of is for looking"),
        (("--once", "--dry-run", "--pull"), "a dry run nothing"),
        (("--pull",), "this belongs to --once: --pull"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: tuple[str, ...], told: str) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert told in result.output


def test_the_command_says_what_git_refuses_and_fails(
    lab: GitLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["reconcile", "--fleet", str(lab.fleet), "--database", str(lab.database), "--once"]
    monkeypatch.setattr("sys.argv", [*options, "--dry-run", "--as-of=--output=x"])
    assert main() == 1
    assert "no commit '--output=x' in its repository\nnothing was run" in capsys.readouterr().err
    git(lab.fleet, "switch", "--quiet", "--detach")
    monkeypatch.setattr("sys.argv", [*options, "--pull"])
    assert main() == 1
    assert "git: " in (told := capsys.readouterr().err) and "no branch is checked out" in told
