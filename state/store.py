"""The store: what this program must remember between runs. The world stays the truth.

Every method is one short transaction, takes and gives frozen values, and may be called from any
thread. Errors:

StoreError        it could not be done: disk full, file locked or read-only; says what to do
├── Taken         a constraint said no: the address, vmid, key or task slot is somebody's already
├── Unreadable    not our database, or a newer one's, or broken, or its key file is missing
└── Lost          the database server went away, and with it the locks of this run: it ends
"""

import fcntl
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType

from state import tables
from state.applied import Applied
from state.approvals import Approvals
from state.attempts import Attempts
from state.bindings import Bindings
from state.cache import Cache
from state.conditions import Conditions
from state.database import Database, Lost, StoreError, Taken, Unreadable, insert_once, unfenced
from state.downtime import Downtimes
from state.holds import Holds
from state.intents import Intents
from state.journal import Journal
from state.kept import Kept
from state.leases import Leases
from state.locks import Locks
from state.loops import Loops
from state.memory import Memory
from state.notices import Notices
from state.outbox import Outbox
from state.place import Place, WrongPlace, read_place
from state.placements import Placements
from state.quarantine import Quarantine
from state.queue import Queue
from state.recall import recall
from state.renewals import Renewals
from state.reservations import Reservations
from state.revision import make_current, revision_of
from state.rollouts import Rollouts
from state.secret import Secret
from state.settings import Settings
from state.specs import Specs
from state.tasks import Tasks
from state.tickets import Tickets
from state.traces import Traces
from state.usage import Usage
from state.vault import KEY_BYTES, Vault, make_key, read_key
from state.verbs import Verbs
from state.zones import Zones

__all__ = ["Lost", "Store", "StoreError", "Taken", "Unreadable"]

logger = logging.getLogger(__name__)

IDENTITY = "store.identity"


class Store:
    """The store of one fleet. `id` is in every marker; `created` says that this open made it."""

    def __init__(self, database: Database, key: bytes, id: str, created: bool) -> None:
        self._database = database
        self.id = id
        self.created = created
        self.bindings = Bindings(database)
        self.leases = Leases(database)
        self.quarantine = Quarantine(database)
        self.reservations = Reservations(database)
        self.tasks = Tasks(database)
        self.attempts = Attempts(database)
        self.intents = Intents(database)
        self.holds = Holds(database)
        self.kept = Kept(database)
        self.vault = Vault(database, key)
        self.cache = Cache(database)
        self.journal = Journal(database)
        self.approvals = Approvals(database)
        self.conditions = Conditions(database)
        self.outbox = Outbox(database)
        self.settings = Settings(database)
        self.applied = Applied(database)
        self.traces = Traces(database)
        self.placements = Placements(database)
        self.rollouts = Rollouts(database)
        self.downtimes = Downtimes(database)
        self.specs = Specs(database)
        self.zones = Zones(database)
        self.locks = Locks(database)
        self.loops = Loops(database)
        self.verbs = Verbs(database)
        self.queue = Queue(database)
        self.renewals = Renewals(database)
        self.usage = Usage(database)
        self.notices = Notices(database)
        self.tickets = Tickets(database)

    @classmethod
    def open(cls, where: str | Place, *, at: datetime) -> "Store":
        """Opens the database at a place, path or URL; makes what is missing of it.

        Made are the tables and the key file (0600); of SQLite also the folder (0700) and the file
        (0600), the key beside it as `<file>.key`. Raises Unreadable, Lost, StoreError.
        """
        place = _place(where)
        with _file_errors(place):
            if place.file is None:
                return cls._on(Database.at(place), lambda new: _key_of(place, new), at)
            key = _key_beside(place.file, place.key)
            with _alone(place.key):
                return cls._on(Database.at(place), lambda new: key, at)

    @classmethod
    def preview(cls, where: str | Place, *, at: datetime) -> "Store":
        """The same for reading only: nothing is made or changed anywhere, writing is a StoreError.

        Where there is no database yet it answers as an empty one would.
        """
        place = _place(where)
        with _file_errors(place):
            if place.file is None or place.file.exists():
                database = Database.readonly_at(place)
                if _named(database):
                    return cls._on(database, lambda new: read_key(place.key), at)
                database.close()
            store = cls.temporary(at=at)
            store._database.freeze()
            return store

    @classmethod
    def temporary(cls, *, at: datetime) -> "Store":
        """A store in memory that ends with this object."""
        return cls._on(Database.memory(), lambda new: secrets.token_bytes(KEY_BYTES), at)

    @classmethod
    def _on(cls, database: Database, key_for: Callable[[bool], bytes], at: datetime) -> "Store":
        """The store on a database; `key_for` gives the key of a new one or of a known one."""
        try:
            make_current(database)
            stored = Settings(database).get(IDENTITY)
            key = key_for(stored is None)
            identity, created = _identify(database, key, at)
        except (StoreError, OSError):
            database.close()
            raise
        return cls(database, key, identity, created)

    def memories(self, keys: Iterable[str] | None = None) -> dict[str, Memory]:
        """Everything about each VM by key, in a handful of queries at one moment.

        All that is known without `keys` (failures of other subjects stand under their names);
        with them exactly those, an empty Memory for a key that nothing is known of.
        """
        return recall(self._database, keys)

    def adopt(self, identity: str, at: datetime) -> None:
        """Takes over a lost store's id, which its VMs' markers name; the key stays this store's."""
        check = Secret(identity).fingerprint(self.vault.key)
        self.settings.put(IDENTITY, {"id": identity, "check": check, "created_at": at.isoformat()})
        self.id = identity

    def fenced(self, fence: Callable[[], None] = unfenced) -> None:
        """Has a lock asked before each write from now on, which raises Lost to forbid it."""
        self._database.fence = fence

    def insist(self) -> None:
        """The same before a write elsewhere, on a cluster or at a provider. Raises Lost."""
        self._database.fence()

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _place(where: str | Place) -> Place:
    try:
        return where if isinstance(where, Place) else read_place(where)
    except WrongPlace as error:
        raise Unreadable(str(error)) from None


def _named(database: Database) -> bool:
    """Whether a store was made here; what is older than that may be, but holds nothing yet."""
    try:
        if not revision_of(database):
            return False
        return Settings(database).get(IDENTITY) is not None
    except StoreError:
        database.close()
        raise


def _identify(database: Database, key: bytes, at: datetime) -> tuple[str, bool]:
    """The store's id, made with the store; and whether that was now. Checks the key."""
    settings = Settings(database)
    stored, created = settings.get(IDENTITY), False
    if stored is None:
        made = secrets.token_hex(4)
        check = Secret(made).fingerprint(key)
        value = {"id": made, "check": check, "created_at": at.isoformat()}
        with database.writing("name the store") as link:
            created = insert_once(link, tables.settings, {"name": IDENTITY, "value": value})
        stored = settings.get(IDENTITY)
    if not isinstance(stored, dict):
        raise Unreadable(f"{database.where}: the store has lost its name; restore it from a backup")
    identity = str(stored["id"])
    if Secret(identity).fingerprint(key) != stored["check"]:
        raise Unreadable(
            f"{database.where}: the key file holds the key of another database; put back the one"
            " saved with it"
        )
    return identity, created


def _key_of(place: Place, new: bool) -> bytes:
    """The key of a server's database, made when the database is new."""
    if not new:
        return read_key(place.key)
    place.key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any((folder / ".git").exists() for folder in place.key.absolute().parents):
        logger.warning("%s lies in a git repository: never commit it (.gitignore)", place.key)
    return make_key(place.key)


def _key_beside(path: Path, key: Path) -> bytes:
    """The key of a file, made with its folder and the file when there is no database yet."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        return read_key(key)
    made = make_key(key)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return made


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time creates or upgrades."""
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _file_errors(place: Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = "give `database:` another path" if place.file else "name another key file (?key=)"
        raise StoreError(
            f"{place.beside}: {error.strerror}: {error.filename}; check owner and rights, or"
            f" {advice}"
        ) from error
