"""The repository around a fleet: its stamp, what a pull lets in, and a fleet of the past."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from desired.errors import UnusableSource
from reconciler.git import GitError, Repository, short, stamp
from reconciler.past import AsOf, Pulled, pull

AT = datetime(2026, 11, 20, 8, 5, 3, tzinfo=UTC)
FLEET = """\
fleet: lab
clusters: {lab: {simulated: {nodes: 1, speed: 600}}}
defaults: {cluster: lab, template: t}
templates: {t: {lab: [9000]}}
"""
ENV = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.net",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.net",
}


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class Pair:
    """A bare repository, a colleague's clone of it, and ours with the fleet in a subfolder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.theirs, self.ours = folder / "theirs", folder / "ours"
        self.fleet = self.ours / "infra" / "fleet"
        self.first = ""

    @classmethod
    def made(cls, folder: Path) -> "Pair":
        pair, bare = cls(folder), str(folder / "bare.git")
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", bare)
        git(folder, "clone", "--quiet", bare, str(pair.theirs))
        git(pair.theirs, "switch", "--quiet", "--orphan", "main")
        pair.first = pair.push({"fleet.yaml": FLEET, "vms/web.yaml": "web-1: {}\n"})
        git(folder, "clone", "--quiet", bare, str(pair.ours))
        return pair

    def copied(self, folder: Path) -> "Pair":
        for name in ("bare.git", "theirs", "ours"):
            shutil.copytree(self.folder / name, folder / name, copy_function=shutil.copy2)
        for config in (folder / "theirs", folder / "ours"):
            path = config / ".git" / "config"
            path.write_text(path.read_text().replace(str(self.folder), str(folder)))
        pair = Pair(folder)
        pair.first = self.first
        return pair

    def push(self, files: dict[str, str], *options: str) -> str:
        """Commit files of the fleet as the colleague and push them; the commit."""
        for name, text in files.items():
            path = self.theirs / "infra" / "fleet" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.theirs, "add", "--all")
        git(self.theirs, *options, "commit", "--quiet", "--message", "Edit")
        git(self.theirs, "push", "--quiet", "--force", "origin", "HEAD:main")
        return git(self.theirs, "rev-parse", "HEAD")

    def tree(self) -> dict[str, bytes]:
        """Every file of ours, git's own included, to the byte."""
        return {str(path): path.read_bytes() for path in self.ours.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENV.items():
            patch.setenv(name, value)
        return Pair.made(tmp_path_factory.mktemp("git"))


@pytest.fixture
def pair(template: Pair, tmp_path: Path) -> Pair:
    return template.copied(tmp_path)


def test_a_stamp_is_the_commit_of_the_folder(pair: Pair) -> None:
    assert stamp(pair.fleet) == pair.first
    assert short(pair.first) == pair.first[:12]


@pytest.mark.parametrize(
    ("name", "dirty"),
    [
        ("vms/web.yaml", True),
        ("vms/deep/new.yml", True),
        ("packages/new.yaml", True),
        ("fleet.yaml", True),
        ("vms/ignored.yaml", True),
        ("fleet.db", False),
        ("vms/.#web.yaml", False),
        ("vms/notes.txt", False),
    ],
)
def test_a_stamp_is_dirty_when_a_spec_differs_from_the_commit(
    pair: Pair, name: str, dirty: bool
) -> None:
    (pair.ours / ".git" / "info" / "exclude").write_text("ignored.yaml\n")
    path = pair.fleet / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# edited\n")
    assert stamp(pair.fleet) == pair.first + ("+dirty" if dirty else "")
    assert short(stamp(pair.fleet)).endswith("+dirty") == dirty


def test_a_removed_spec_makes_a_stamp_dirty(pair: Pair) -> None:
    (pair.fleet / "vms" / "web.yaml").unlink()
    assert stamp(pair.fleet) == f"{pair.first}+dirty"


def test_a_folder_in_no_repository_or_one_without_a_commit_has_no_stamp(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    assert stamp(tmp_path / "fleet") == ""
    git(tmp_path, "init", "--quiet")
    assert stamp(tmp_path / "fleet") == ""


def test_another_repositorys_environment_does_not_lead_astray(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "bare.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert stamp(pair.fleet) == pair.first


def test_without_git_there_is_no_stamp_and_nothing_to_pull(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert stamp(pair.fleet) == ""
    with pytest.raises(GitError, match="git must be installed"):
        pull(pair.fleet)


def test_a_git_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(GitError, match="more than 0 s: git fetch"):
        Repository(tmp_path).run("-c", "a.b=c", "fetch", seconds=0.05)


def test_a_pull_is_a_fast_forward(pair: Pair) -> None:
    assert pull(pair.fleet) == Pulled(pair.first, pair.first)
    second = pair.push({"vms/web.yaml": "web-1: {}\nweb-2: {}\n"})
    pulled = pull(pair.fleet)
    assert pulled == Pulled(pair.first, second)
    assert str(pulled) == f"pulled: {pair.first[:12]} -> {second[:12]}"
    assert str(pull(pair.fleet)) == f"pulled: nothing new since {second[:12]}"
    assert (pair.fleet / "vms" / "web.yaml").read_text() == "web-1: {}\nweb-2: {}\n"
    assert stamp(pair.fleet) == second


def test_a_pull_that_was_cut_short_after_its_fetch_is_gone_on_with(pair: Pair) -> None:
    second = pair.push({"vms/web.yaml": "web-2: {}\n"})
    assert Repository(pair.fleet).fetch() == second
    assert stamp(pair.fleet) == pair.first
    assert pull(pair.fleet).after == second


def test_a_pull_runs_no_hook(pair: Pair, tmp_path: Path) -> None:
    told = tmp_path / "told"
    for name in ("post-merge", "reference-transaction", "post-checkout", "pre-auto-gc"):
        hook = pair.ours / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} >> {told}\n")
        hook.chmod(0o755)
    second = pair.push({"vms/web.yaml": "web-2: {}\n"})
    assert pull(pair.fleet).after == second
    assert not told.exists()


def test_commits_of_ours_that_nobody_has_yet_are_no_reason_to_stop(pair: Pair) -> None:
    (pair.fleet / "vms" / "web.yaml").write_text("web-3: {}\n")
    git(pair.ours, "commit", "--quiet", "--all", "--message", "Ours")
    here = git(pair.ours, "rev-parse", "HEAD")
    assert pull(pair.fleet) == Pulled(here, here)


def test_a_pull_that_is_no_fast_forward_is_refused(pair: Pair) -> None:
    pair.push({"vms/web.yaml": "web-2: {}\n"})
    (pair.fleet / "vms" / "web.yaml").write_text("web-3: {}\n")
    git(pair.ours, "commit", "--quiet", "--all", "--message", "Ours")
    here = git(pair.ours, "rev-parse", "HEAD")
    with pytest.raises(GitError, match="have parted, so this is no fast-forward"):
        pull(pair.fleet)
    assert stamp(pair.fleet) == here


def test_a_rewritten_branch_is_refused(pair: Pair) -> None:
    git(pair.theirs, "switch", "--quiet", "--orphan", "other")
    pair.push({"fleet.yaml": FLEET, "vms/web.yaml": "web-9: {}\n"})
    with pytest.raises(GitError, match="no fast-forward"):
        pull(pair.fleet)
    assert stamp(pair.fleet) == pair.first


@pytest.mark.parametrize("name", ["infra/fleet/vms/web.yaml", "infra/fleet/vms/new.yaml", "other"])
def test_a_pull_over_edits_is_refused(pair: Pair, name: str) -> None:
    (pair.ours / "other").write_text("tracked\n")
    git(pair.ours, "add", "other")
    git(pair.ours, "commit", "--quiet", "--message", "Other")
    (pair.ours / name).write_text("edited: {}\n")
    with pytest.raises(GitError, match=f"edits that no commit has, in {name}; commit them"):
        pull(pair.fleet)


def test_a_pull_without_a_branch_or_its_upstream_or_a_repository_is_refused(
    pair: Pair, tmp_path: Path
) -> None:
    git(pair.ours, "switch", "--quiet", "--create", "alone")
    with pytest.raises(GitError, match="follows no remote branch"):
        pull(pair.fleet)
    git(pair.ours, "switch", "--quiet", "--detach")
    with pytest.raises(GitError, match="no branch is checked out"):
        pull(pair.fleet)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "fleet.yaml").write_text(FLEET)
    with pytest.raises(GitError, match="is in no git repository"):
        pull(tmp_path / "bare")


def test_a_remote_that_is_gone_is_an_error_without_its_password(pair: Pair) -> None:
    git(pair.ours, "remote", "set-url", "origin", "https://ann:pass@127.0.0.1:1/x.git")
    with pytest.raises(GitError, match="git fetch: ") as error:
        pull(pair.fleet)
    assert "pass" not in str(error.value)


def test_a_branch_with_the_name_of_an_option_is_only_a_name(pair: Pair) -> None:
    ref = "refs/heads/--upload-pack=false"
    git(pair.ours, "update-ref", ref, "HEAD")
    git(pair.ours, "symbolic-ref", "HEAD", ref)
    with pytest.raises(GitError, match="follows no remote branch"):
        pull(pair.fleet)


@pytest.mark.parametrize("line", ["clusters: 7", "nonsense: ["])
def test_a_commit_whose_fleet_file_cannot_be_used_is_not_let_in(pair: Pair, line: str) -> None:
    bad = pair.push({"fleet.yaml": f"fleet: lab\n{line}\n"})
    with pytest.raises(UnusableSource, match=f"^{bad[:12]}:fleet.yaml:"):
        pull(pair.fleet)
    assert stamp(pair.fleet) == pair.first
    good = pair.push({"fleet.yaml": FLEET})
    assert pull(pair.fleet).after == good


def test_a_commit_that_names_another_store_is_not_let_in(pair: Pair) -> None:
    pair.push({"fleet.yaml": f"{FLEET}database: elsewhere.db\n"})
    with pytest.raises(GitError, match="another `database:`"):
        pull(pair.fleet)
    assert stamp(pair.fleet) == pair.first


class Signer:
    """An SSH key made for one test, and the options by which git signs with it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key = folder / name
        made = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.key))
        subprocess.run(made, check=True)
        signed = ("gpg.format=ssh", "commit.gpgsign=true", f"user.signingkey={self.key}")
        self.options = tuple(word for one in signed for word in ("-c", one))

    def line(self) -> str:
        return f"ann@example.net {self.key.with_suffix('.pub').read_text()}"


SIGNED = f"{FLEET}git: {{require_signed: true, allowed_signers: ../signers}}\n"


def test_only_a_commit_signed_by_one_who_may_is_pulled(pair: Pair, tmp_path: Path) -> None:
    ann, eve = Signer(tmp_path, "ann"), Signer(tmp_path, "eve")
    trusted = pair.push({"fleet.yaml": SIGNED, "../signers": ann.line()}, *ann.options)
    assert pull(pair.fleet).after == trusted
    second = pair.push({"vms/a.yaml": "a: {}\n"}, *ann.options)
    assert pull(pair.fleet).after == second
    for options in ((), eve.options):
        bad = pair.push({"vms/b.yaml": f"b: {{}} # {len(options)}\n"}, *options)
        with pytest.raises(GitError, match=f"commit {bad[:12]} bears no good signature"):
            pull(pair.fleet)
        assert stamp(pair.fleet) == second
    # Eve adding herself is of no use: those who stand there before the pull are asked.
    pair.push({"../signers": ann.line() + eve.line()}, *eve.options)
    with pytest.raises(GitError, match="no good signature"):
        pull(pair.fleet)


def test_the_commit_that_stands_there_already_must_be_signed_too(
    pair: Pair, tmp_path: Path
) -> None:
    pair.push({"fleet.yaml": SIGNED, "../signers": Signer(tmp_path, "ann").line()})
    git(pair.ours, "pull", "--quiet", "--ff-only")
    with pytest.raises(GitError, match="no good signature"):
        pull(pair.fleet)


def test_signers_that_are_not_there_let_nothing_in(pair: Pair) -> None:
    pair.push({"fleet.yaml": SIGNED})
    git(pair.ours, "pull", "--quiet", "--ff-only")
    with pytest.raises(GitError, match=r"git\.allowed_signers: .* is not there"):
        pull(pair.fleet)


def test_without_signers_gits_own_settings_say_who_may(pair: Pair, tmp_path: Path) -> None:
    ann = Signer(tmp_path, "ann")
    signed = pair.push({"fleet.yaml": f"{FLEET}git: {{require_signed: true}}\n"}, *ann.options)
    git(pair.ours, "pull", "--quiet", "--ff-only")
    with pytest.raises(GitError, match="no good signature"):
        pull(pair.fleet)
    (tmp_path / "signers").write_text(ann.line())
    git(pair.ours, "config", "gpg.ssh.allowedSignersFile", str(tmp_path / "signers"))
    assert pull(pair.fleet).after == signed


def test_the_past_is_read_from_a_scratch_folder_and_nothing_here_is_touched(
    pair: Pair, tmp_path: Path
) -> None:
    second = pair.push({"vms/web.yaml": "web-1: {}\nweb-2: {}\n"})
    pull(pair.fleet)
    (pair.fleet / "vms" / "web.yaml").write_text("edited: {}\n")
    before = pair.tree()
    for name, vms in ((pair.first, ["web-1"]), ("HEAD", ["web-1", "web-2"]), ("main~1", ["web-1"])):
        with AsOf(name)(pair.fleet, str(tmp_path / "x.db"), AT) as opened:
            assert sorted(opened.fleet.vms) == vms
            assert opened.fleet.folder == str(pair.fleet)
            assert opened.fleet.commit == (second if name == "HEAD" else pair.first)
    assert pair.tree() == before
    assert git(pair.ours, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize("name", ["--output=x", "-h", "nowhere", "", "HEAD:infra", "--all"])
def test_what_is_no_commit_is_an_error_and_never_an_option(
    pair: Pair, tmp_path: Path, name: str
) -> None:
    with pytest.raises(GitError, match="no commit"), AsOf(name)(pair.fleet, None, AT):
        pass
    assert not list(tmp_path.rglob("x"))


def test_errors_of_the_past_stand_at_its_commit(pair: Pair, tmp_path: Path) -> None:
    files = {
        "vms/web.yaml": "web-1: {memory: 1}\n",
        "vms/b.yaml": "a: {}\n",
        "vms/c.yaml": "a: {}\n",
    }
    second = pair.push(files)
    pull(pair.fleet)
    with AsOf("HEAD")(pair.fleet, str(tmp_path / "x.db"), AT) as opened:
        at = second[:12]
        assert [str(error) for error in opened.fleet.errors] == [
            f"{at}:vms/c.yaml:1:1: a: defined twice, first at {at}:vms/b.yaml:1:1",
            f"{at}:vms/web.yaml:1:17: memory: expected a size with its unit such as 10GiB, seen 1",
        ]
    with pytest.raises(UnusableSource, match=r"expected a folder with fleet\.yaml") as error:
        empty = git(pair.ours, "commit-tree", "-m", "x", git(pair.ours, "mktree", "--missing"))
        with AsOf(empty)(pair.fleet, str(tmp_path / "x.db"), AT):
            pass
    assert str(error.value).startswith(empty[:12])
