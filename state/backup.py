"""A copy of the database to keep: SQLite's own online backup, or pg_dump's."""

import os
import shlex
import shutil
import sqlite3
import subprocess
from pathlib import Path

from state.database import StoreError, one_line
from state.place import Place

RESTORE = "pg_restore --no-owner --dbname={url} {file}"


def back_up(place: Place, target: Path) -> int:
    """Writes what the database holds at one moment to a new file (0600); its size in bytes.

    Others may go on writing to the store. The key is not in the file. Raises StoreError.
    """
    if target.exists():
        raise StoreError(f"{target}: is there already; give a name that is free")
    draft = target.with_name(f"{target.name}.part")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        if place.file:
            _copy_file(place.file, draft)
        else:
            _dump(place, draft)
        os.link(draft, target)
    except FileExistsError as error:
        raise StoreError(f"{target}: is there already; give a name that is free") from error
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}; check the folder and its rights") from error
    finally:
        draft.unlink(missing_ok=True)
    return target.stat().st_size


def restore_words(place: Place, file: Path) -> str:
    """How the copy is put back, as a person types it."""
    if place.file:
        # A log that a killed process left belongs to what the file was.
        old = " ".join(shlex.quote(f"{place.file}{end}") for end in ("-wal", "-shm"))
        return f"rm -f {old} && cp {shlex.quote(str(file))} {shlex.quote(str(place.file))}"
    return RESTORE.format(url=shlex.quote(_plain_url(place)), file=shlex.quote(str(file)))


def _copy_file(source: Path, draft: Path) -> None:
    if not source.exists():
        raise StoreError(f"{source}: there is no store yet")
    try:
        given, taken = sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True), None
        try:
            taken = sqlite3.connect(draft)
            given.backup(taken)
            # One file, which needs no log beside it.
            taken.execute("PRAGMA journal_mode=delete")
            (said,) = taken.execute("PRAGMA integrity_check").fetchone()
        finally:
            given.close()
            if taken:
                taken.close()
    except sqlite3.Error as error:
        raise StoreError(
            f"{source}: back up: {error}; try again, or `reconcile db check`"
        ) from error
    if said != "ok":
        raise StoreError(
            f"{source}: the copy is not sound ({said}); `reconcile db check` says more"
        )


def _dump(place: Place, draft: Path) -> None:
    words = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges"]
    words += [f"--file={draft}", f"--dbname={_plain_url(place)}"]
    if shutil.which(words[0]) is None:
        typed = shlex.join(words).replace(str(draft), str(draft).removesuffix(".part"))
        raise StoreError(f"pg_dump is not installed here; where it is, run: {typed}")
    environment = dict(os.environ)
    if place.url.password is not None:
        environment["PGPASSWORD"] = str(place.url.password)
    done = subprocess.run(
        words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        said = one_line(done.stderr.decode(errors="replace"))
        raise StoreError(f"{place}: pg_dump: {said or f'exit status {done.returncode}'}")


def _plain_url(place: Place) -> str:
    """The URL as libpq's own programs take it, without the password."""
    url = place.url.set(drivername="postgresql")
    return url._replace(password=None).render_as_string(hide_password=False)
