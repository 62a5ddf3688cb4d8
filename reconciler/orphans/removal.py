"""Who took a spec away: the commit that did, or the author of the delete in the database."""

import re
from pathlib import Path

from desired.source import Fleet
from reconciler.git import SPECS, GitError, Repository, short
from state.journal import Run
from state.store import Store


def removed_by(fleet: Fleet, store: Store, key: str, last: Run | None) -> str:
    """Say who removed the spec of a key since the last run; empty where nothing tells."""
    newest = next(iter(store.specs.history(key.partition("/")[0])), None)
    if newest is not None and (last is None or newest.at >= last.started_at):
        verb = "deleted" if newest.document_json is None else "edited"
        return f"{verb} in the database by {newest.author}"
    if not fleet.commit:
        return ""
    if fleet.commit.endswith("+dirty"):
        return f"an edit that no commit has, on {short(fleet.commit)}"
    before = last.commit.partition("+")[0] if last else ""
    try:
        return _commit_of(Path(fleet.folder), fleet.commit, before, key)
    except GitError:
        return ""


def _commit_of(folder: Path, commit: str, before: str, key: str) -> str:
    """The newest commit since the last run in which a line with the key changed, or any spec."""
    repository = Repository(folder)
    since = f"{before}..{commit}" if before and before != commit else commit
    group, _, item = key.partition("/")
    words = [group] if not item else [item, "count", "for_each"]
    pattern = "|".join(map(_alone, words))
    shown = ("log", "-1", "--no-show-signature", "--format=%h %an <%ae>")
    for wanted in (("-E", f"-G{pattern}"), ()):
        said = repository.run(*shown, *wanted, since, "--", *SPECS).strip()
        if said:
            return f"commit {said}"
    return ""


def _alone(word: str) -> str:
    """A pattern of git's for a word that is no part of a longer one."""
    rest = "[^A-Za-z0-9._-]"
    return f"(^|{rest}){re.escape(word)}($|{rest})"
