"""The fleet as it was, or would be, at another commit: `--as-of`, and what `--pull` lets in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from desired.errors import SpecError, UnusableSource
from desired.files import FileSource
from reconciler.config import Opened, open_preview
from reconciler.git import GitError, Repository, short


@dataclass(frozen=True, slots=True)
class Pulled:
    """The commit that the folder was at, and the one that it is at now: full hashes."""

    before: str
    after: str

    def __str__(self) -> str:
        if self.before == self.after:
            return f"pulled: nothing new since {short(self.after)}"
        return f"pulled: {short(self.before)} -> {short(self.after)}"


@dataclass(frozen=True, slots=True)
class AsOf:
    """Opens the fleet as at a commit, for looking only: an `Opening`.

    The specs are that commit's; the store, the database's specs and whatever a path in
    `fleet.yaml` leads to are today's.
    """

    commit: str

    @contextmanager
    def __call__(self, folder: Path, database: str | None, at: datetime | None) -> Iterator[Opened]:
        """Raises GitError, UnusableSource, StoreError."""
        repository = Repository(folder)
        commit = repository.commit(self.commit)
        with (
            repository.past(commit) as specs,
            _told(specs, commit),
            open_preview(folder, database, at, specs=specs) as opened,
        ):
            errors = tuple(_placed(error, specs, commit) for error in opened.fleet.errors)
            opened.fleet = replace(opened.fleet, commit=commit, errors=errors)
            yield opened


def pull(folder: Path) -> Pulled:
    """Fast-forward the folder's branch to its upstream, if that may be (`git:` of fleet.yaml).

    A commit whose `fleet.yaml` cannot be used, or whose store is another one, is not let in: a
    later pull could not get by it. Raises GitError, UnusableSource.
    """
    head = FileSource(folder).head()
    repository = Repository(folder)
    repository.insist_on_ready()
    before, after = repository.commit("HEAD"), repository.fetch()
    if head.git.require_signed:
        signers = head.git.allowed_signers
        repository.verify(after, folder / Path(signers).expanduser() if signers else None)
    if before != after:
        with repository.past(after) as specs, _told(specs, after):
            wanted = FileSource(specs).head()
            if (wanted.database, wanted.fleet) != (head.database, head.fleet):
                raise GitError(
                    f"commit {short(after)} names another `database:` or `fleet:`; pull it by hand"
                    " (`git pull --ff-only`) when no run is at work, and move the store"
                )
        repository.forward(after)
    return Pulled(before, after)


@contextmanager
def _told(specs: Path, commit: str) -> Iterator[None]:
    try:
        yield
    except UnusableSource as error:
        raise UnusableSource(tuple(_placed(one, specs, commit) for one in error.errors)) from error


def _placed(error: SpecError, specs: Path, commit: str) -> SpecError:
    """Return the error at `COMMIT:vms/web.yaml` instead of a scratch file that is gone by then."""

    def told(text: str) -> str:
        return text.replace(f"{specs}/", f"{short(commit)}:").replace(str(specs), short(commit))

    place = replace(error.place, file=told(error.place.file))
    return replace(error, place=place, message=told(error.message))
