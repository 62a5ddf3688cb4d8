"""Where a fleet keeps its store, and the lock of whoever works on it."""

import os
from dataclasses import dataclass
from pathlib import Path

from desired.catalog import FleetFile
from desired.errors import Place as Spot
from desired.errors import SpecError, UnusableSource
from desired.files import FileSource
from reconciler.lock import PROCESS_VMS, Lock, NoLock, loop_lock
from reconciler.secrets import resolve
from reconciler.tenure import Terms
from state.place import Place, WrongPlace, file_place, read_place
from state.store import Unreadable

REFERENCES = ("env:", "file:", "exec:")
CLEAR = (
    "database: a reference expected in the place of the password"
    " (postgresql://user:env:PGPASSWORD@host/name), or one for the whole URL (env:DATABASE_URL);"
    " seen a password in clear"
)


def store_place(folder: Path, head: FleetFile, asked: str | None) -> Place:
    """Return where the store is: as asked, else `database:`, else below XDG_STATE_HOME.

    A fleet on a real cluster must say where (design 4, A lost store). The URL, or the password in
    it, may be a secret's reference. Of a server's database the key file is `FLEET.key` beside
    fleet.yaml, unless the URL names another (`?key=PATH`). Raises UnusableSource, SecretError,
    Unreadable.
    """
    text, base = (asked, Path()) if asked else (head.database, folder)
    if not text:
        return file_place(_default(folder, head))
    referred = text.startswith(REFERENCES)
    try:
        if referred:
            text = resolve(text, base).reveal()
        place = read_place(text, base, folder / f"{head.fleet}.key")
    except WrongPlace as error:
        raise Unreadable(str(error)) from None
    return place if referred else _with_password(place, base)


def _with_password(place: Place, base: Path) -> Place:
    """The place with the password that its URL refers to."""
    password = place.url.password
    if password is None:
        return place
    if not password.startswith(REFERENCES):
        raise Unreadable(CLEAR)
    return Place(place.url.set(password=resolve(password, base).reveal()), place.key)


def _default(folder: Path, head: FleetFile) -> Path:
    real = sorted(name for name, cluster in head.clusters.items() if not cluster.simulated)
    if real:
        message = f"cluster {real[0]} is real, so say where the store is kept: database: "
        message += "/var/lib/reconcile/fleet.db (and back it up); expected a path, seen none"
        raise UnusableSource((SpecError(Spot(str(folder / "fleet.yaml")), "database", message),))
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return home / "reconcile" / f"{head.fleet}.db"


def fleet_place(folder: Path, asked: str | None) -> Place:
    """Return where the store of the fleet in a folder is; raises as `store_place` does."""
    return store_place(folder, FileSource(folder).head(), asked)


def fleet_lock(folder: Path, asked: str | None) -> Lock:
    """Return the lock of a fleet's runner: it stands where the store does."""
    return fleet_locks(folder, asked).of(PROCESS_VMS)


@dataclass(frozen=True, slots=True)
class FleetLocks:
    """The locks of a fleet's loops, by the loop's name; with `none` there are none to be had."""

    place: Place
    terms: Terms
    none: bool = False

    def of(self, name: str) -> Lock:
        return NoLock() if self.none else loop_lock(self.place, name, self.terms)


def fleet_locks(folder: Path, asked: str | None, *, none: bool = False) -> FleetLocks:
    """Return the locks of a fleet in a folder; raises as `store_place` does."""
    head = FileSource(folder).head()
    return FleetLocks(store_place(folder, head, asked), Terms(head.locks.timeout), none)
