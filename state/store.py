"""The store: what this program must remember between runs. The world stays the truth.

Every method is one short transaction, takes and gives frozen values, and may be called from any
thread. Errors:

StoreError        it could not be done: disk full, file locked or read-only; says what to do
├── Taken         a constraint said no: the address, vmid, key or task slot is somebody's already
└── Unreadable    not our database, or a newer one's, or broken, or its key file is missing
"""

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType

from state.applied import Applied
from state.approvals import Approvals
from state.attempts import Attempts
from state.bindings import Bindings
from state.cache import Cache
from state.conditions import Conditions
from state.database import Database, StoreError, Taken, Unreadable, sqlite_path
from state.holds import Holds
from state.intents import Intents
from state.journal import Journal
from state.leases import Leases
from state.memory import Memory
from state.outbox import Outbox
from state.recall import recall
from state.revision import make_current
from state.secret import Secret
from state.settings import Settings
from state.specs import Specs
from state.tasks import Tasks
from state.traces import Traces
from state.vault import KEY_BYTES, Vault, make_key, read_key

__all__ = ["Store", "StoreError", "Taken", "Unreadable"]

IDENTITY = "store.identity"


class Store:
    """The store of one fleet. `id` is in every marker; `created` says that this open made it."""

    def __init__(self, database: Database, key: bytes, id: str, created: bool) -> None:
        self._database = database
        self.id = id
        self.created = created
        self.bindings = Bindings(database)
        self.leases = Leases(database)
        self.tasks = Tasks(database)
        self.attempts = Attempts(database)
        self.intents = Intents(database)
        self.holds = Holds(database)
        self.vault = Vault(database, key)
        self.cache = Cache(database)
        self.journal = Journal(database)
        self.approvals = Approvals(database)
        self.conditions = Conditions(database)
        self.outbox = Outbox(database)
        self.settings = Settings(database)
        self.applied = Applied(database)
        self.traces = Traces(database)
        self.specs = Specs(database)

    @classmethod
    def open(cls, url: str, *, at: datetime) -> "Store":
        """Opens the database at a path or `sqlite:///` URL; makes what is missing of it.

        Made are the folder (0700), the file (0600) and beside it the key file `<file>.key`
        (0600). Raises Unreadable, StoreError.
        """
        path = sqlite_path(url)
        with _file_errors(path):
            key = _key_beside(path)
            with _alone(_key_path(path)):
                return cls._on(Database.file(path), key, at)

    @classmethod
    def preview(cls, url: str, *, at: datetime) -> "Store":
        """The same for reading only: nothing is made or changed on disk, writing is a StoreError.

        Where there is no database yet it answers as an empty one would.
        """
        path = sqlite_path(url)
        with _file_errors(path):
            if not path.exists():
                store = cls.temporary(at=at)
                store._database.freeze()
                return store
            return cls._on(Database.readonly(path), read_key(_key_path(path)), at)

    @classmethod
    def temporary(cls, *, at: datetime) -> "Store":
        """A store in memory that ends with this object."""
        return cls._on(Database.memory(), secrets.token_bytes(KEY_BYTES), at)

    @classmethod
    def _on(cls, database: Database, key: bytes, at: datetime) -> "Store":
        try:
            make_current(database)
            identity, created = _identify(Settings(database), key, database.where, at)
        except StoreError:
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


def _identify(settings: Settings, key: bytes, where: str, at: datetime) -> tuple[str, bool]:
    """The store's id, made with the store; and whether that was now. Checks the key."""
    stored = settings.get(IDENTITY)
    if not isinstance(stored, dict):
        made = secrets.token_hex(4)
        check = Secret(made).fingerprint(key)
        settings.put(IDENTITY, {"id": made, "check": check, "created_at": at.isoformat()})
        return made, True
    identity = str(stored["id"])
    if Secret(identity).fingerprint(key) != stored["check"]:
        raise Unreadable(
            f"{where}.key: the key of another database; put back the one saved with it"
        )
    return identity, False


def _key_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.key")


def _key_beside(path: Path) -> bytes:
    """The key of a database, made with its folder and file when there is no database yet."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size:
        return read_key(_key_path(path))
    key = make_key(_key_path(path))
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return key


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time creates or upgrades."""
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror}: {error.filename}; check owner and rights, or give"
            " `database:` another path"
        ) from error
