"""The git repository that a fleet's folder lies in: its commit, what it fetches, and its past.

git runs as a process of its own: no shell, no hooks, no prompts. Whatever a person or a repository
named goes in behind `--end-of-options`, or as the full hash that git made of it.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from desired.files import FLEET_FILE, SUFFIXES

PATIENCE, PATIENCE_REMOTE = 30.0, 60.0
"""Seconds that git may take, here and with a remote."""

SPECS = (FLEET_FILE, "packages", "pools", "vms", "zones")
QUIETLY = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "submodule.recurse=false"),
)
SSH_ONLY = (
    *("-c", "gpg.program=false"),
    *("-c", "gpg.openpgp.program=false"),
    *("-c", "gpg.x509.program=false"),
)
FOREIGN = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
)
"""Set by a git that started us (a hook, an alias): they point at its own repository."""

OWN = {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}

_CREDENTIALS = re.compile(r"://[^/@\s]+@")


class GitError(Exception):
    """What git refused, or what a repository is not fit for; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository around a fleet's folder."""

    folder: Path

    def run(
        self,
        *words: str,
        more: Mapping[str, str] | None = None,
        text: str = "",
        seconds: float = PATIENCE,
    ) -> str:
        """Return what git prints. Raises GitError with its last line."""
        env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        try:
            done = subprocess.run(
                ["git", *QUIETLY, *words],
                cwd=self.folder,
                env={**env, **OWN, **(more or {})},
                input=text,
                capture_output=True,
                text=True,
                errors="surrogateescape",
                timeout=seconds,
                start_new_session=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise GitError(f"{error.filename} is not there: git must be installed") from error
        except subprocess.TimeoutExpired as error:
            raise GitError(f"took more than {seconds:.0f} s: {_verb(words)}") from error
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            told = next((line for line in said if line.startswith("fatal:")), said[-1])
            raise GitError(f"{_verb(words)}: {_CREDENTIALS.sub('://***@', told)}")
        return done.stdout

    def commit(self, name: str) -> str:
        """Return the full hash of the commit that a name means. Raises GitError."""
        try:
            wanted = ("--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            return self.run("rev-parse", *wanted).strip()
        except GitError as error:
            raise GitError(f"{self.folder}: no commit {name!r} in its repository") from error

    def insist_on_ready(self) -> None:
        """Raise GitError unless a branch with an upstream is checked out and nothing is edited."""
        try:
            self.run("rev-parse", "--show-toplevel")
        except GitError as error:
            raise GitError(f"{self.folder} is in no git repository: {error}") from error
        try:
            self.run("symbolic-ref", "--quiet", "HEAD")
        except GitError as error:
            advice = "check out the branch to pull (`git switch BRANCH`)"
            raise GitError(f"{self.folder}: no branch is checked out; {advice}") from error
        changed = self.run("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no")
        edited = [entry[3:] for entry in changed.split("\0") if entry] or _edited(self.folder)
        if edited:
            advice = "commit them, or take them back (`git restore`)"
            raise GitError(f"{self.folder}: edits that no commit has, in {edited[0]}; {advice}")

    def fetch(self) -> str:
        """Fetch the branch's upstream and return the commit that a pull would stand at.

        Raises GitError when that is no fast-forward.
        """
        try:
            self.run("rev-parse", "--verify", "--quiet", "@{upstream}")
        except GitError as error:
            advice = "`git branch --set-upstream-to REMOTE/BRANCH`"
            raise GitError(
                f"{self.folder}: the branch follows no remote branch; {advice}"
            ) from error
        only = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        self.run("fetch", *only, seconds=PATIENCE_REMOTE)
        here, there = self.commit("HEAD"), self.commit("@{upstream}")
        if self._leads(here, there):
            return there
        if self._leads(there, here):
            return here
        raise GitError(
            f"{self.folder}: {here[:12]} here and {there[:12]} there have parted, so this is no "
            "fast-forward; rebase or reset the branch here"
        )

    def _leads(self, older: str, newer: str) -> bool:
        try:
            self.run("merge-base", "--is-ancestor", older, newer)
        except GitError:
            return False
        return True

    def verify(self, commit: str, signers: Path | None) -> None:
        """Raise GitError unless a commit (a full hash) is signed, by one of the signers if given.

        Without them git's own settings say which signatures are good.
        """
        options: tuple[str, ...] = ()
        if signers is not None:
            if not signers.is_file():
                raise GitError(f"git.allowed_signers: {signers} is not there; expected a file")
            options = ("-c", f"gpg.ssh.allowedSignersFile={signers}", *SSH_ONLY)
        try:
            self.run(*options, "verify-commit", commit)
        except GitError as error:
            raise GitError(
                f"commit {commit[:12]} bears no good signature, and `git.require_signed` demands "
                f"one ({error}); nothing was pulled"
            ) from error

    def forward(self, commit: str) -> None:
        """Fast-forward the branch that is checked out, and its files, to a full hash."""
        self.run("merge", "--ff-only", "--quiet", commit)

    @contextmanager
    def past(self, commit: str) -> Iterator[Path]:
        """Yield a scratch copy of the folder as at a commit (a full hash); nothing here is touched.

        Its index is a scratch one too. A folder that did not exist then is not there.
        """
        with tempfile.TemporaryDirectory(prefix="reconcile-") as scratch:
            index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            prefix = self.run("rev-parse", "--show-prefix").rstrip("\n")
            self.run("read-tree", commit, more=index)
            names = self.run("ls-files", "-z", "--cached", more=index)
            files = Path(scratch) / "files"
            into = ("--quiet", f"--prefix={files}/", "-z", "--stdin")
            self.run("checkout-index", *into, text=names, more=index)
            yield files / prefix


def stamp(folder: Path) -> str:
    """Return the commit that a folder of specs is at, `+dirty` if they differ from it.

    Empty where there is no repository, no commit, or no git that would read it.
    """
    whole = folder.resolve()
    if not any((place / ".git").exists() for place in (whole, *whole.parents)):
        return ""
    try:
        commit = Repository(folder).commit("HEAD")
        return f"{commit}+dirty" if _edited(folder) else commit
    except GitError:
        return ""


def short(commit: str) -> str:
    """Return a commit's first twelve letters, and whether it is dirty."""
    name, plus, dirty = commit.partition("+")
    return f"{name[:12]}{plus}{dirty}"


def _edited(folder: Path) -> list[str]:
    """Return the files of specs that differ from the commit, those that git ignores included."""
    options = ("-z", "--untracked-files=all", "--ignored=traditional", "--no-renames")
    asked = ("--no-optional-locks", "status", "--porcelain", *options, "--", *SPECS)
    names = [entry[3:] for entry in Repository(folder).run(*asked).split("\0")]
    return [name for name in names if _is_spec(name)]


def _is_spec(name: str) -> bool:
    hidden = name.rpartition("/")[2].startswith(".")
    return name.endswith(("/", *SUFFIXES)) and not hidden


def _verb(words: tuple[str, ...]) -> str:
    """Return git's command among its words, for people."""
    return "git " + next(
        word
        for word, before in zip(words, ("", *words), strict=False)
        if not word.startswith("-") and before != "-c"
    )
