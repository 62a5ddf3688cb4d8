"""Open what a command works on: the fleet, its store, and an API for each of its clusters."""

import gc
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from desired.catalog import Cluster, Tls, Token
from desired.files import FileSource
from desired.source import Fleet
from desired.zones import ZoneSpec
from reconciler.git import stamp
from reconciler.location import fleet_place
from reconciler.secrets import SecretError, resolve
from state.api import Json
from state.database import StoreError
from state.drivers import ZoneDriver
from state.secret import Secret
from state.store import Store

if TYPE_CHECKING:
    from reconciler.pve.client import ProxmoxApi
    from reconciler.pve.contact import TracedApi

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Opened:
    """A fleet with its store. With `preview` nothing is written anywhere.

    `database` is its file on this machine: the database, or the key of one on a server.
    """

    fleet: Fleet
    store: Store
    database: Path
    preview: bool
    stack: ExitStack = field(default_factory=ExitStack)
    _secrets: dict[str, Secret | SecretError] = field(default_factory=dict)
    _turns: dict[str, threading.Lock] = field(default_factory=dict)
    _simulated: dict[str, Cluster] = field(default_factory=dict)

    def resolve(self, reference: str) -> Secret:
        """Read a secret by its reference, relative to the fleet's folder; once in a run."""
        with self._turns.setdefault(reference, threading.Lock()):
            if reference not in self._secrets:
                self._secrets[reference] = _read(reference, Path(self.fleet.folder))
        found = self._secrets[reference]
        if isinstance(found, SecretError):
            raise SecretError(str(found))
        return found

    def connect(self, name: str) -> "TracedApi":
        """Return the API of one cluster, which has not been spoken to yet.

        A simulated cluster is started, its world kept beside the database. Raises ApiError,
        SecretError, EmbeddedFailed.
        """
        from reconciler.pve.client import ProxmoxApi

        cluster = self.fleet.clusters[name]
        read: Callable[[str], Secret] = self.resolve
        if cluster.simulated:
            with self._turns.setdefault(f"simulate {name}", threading.Lock()):
                if name not in self._simulated:
                    self._simulated[name] = self._simulate(name, cluster)
            cluster, read = self._simulated[name], _demo_secret
        folder, known = Path(self.fleet.folder), self.store.settings.get(f"servers:{name}")
        api = ProxmoxApi.open(name, cluster, self.fleet.limits, read, folder, logger, known=known)
        self.stack.callback(api.close)
        if not (cluster.simulated or self.preview):
            self.stack.callback(self._remember, name, api, api.remember())
        return api

    def dns(self, zone: ZoneSpec) -> ZoneDriver:
        """Return a zone's driver, nothing sent yet. Raises DNSError, SecretError, Lost."""
        self.store.insist()
        from reconciler.dns.drivers.opening import open_driver

        return open_driver(zone, self.resolve, Path(self.fleet.folder))

    def _remember(self, name: str, api: "ProxmoxApi", before: Json) -> None:
        """Keep what a run learned of a cluster's servers, for when no endpoint answers the next."""
        if api.remember() != before:
            with suppress(StoreError):
                self.store.settings.put(f"servers:{name}", api.remember())

    def _simulate(self, name: str, cluster: Cluster) -> Cluster:
        """Start a simulated cluster, one for all that ask; return how it is reached."""
        from reconciler.sim.embedded import Embedded
        from reconciler.sim.launch import FLEET_TOKEN, FLEET_USER, ServeOptions

        assert cluster.simulated is not None
        wanted, folder = cluster.simulated, Path(self.fleet.folder)
        options = ServeOptions(
            nodes=wanted.nodes,
            vms=wanted.vms,
            speed=wanted.speed,
            http_limits="fast",
            seed=wanted.seed,
            state=self._world(name),
            inventory=folder / wanted.inventory if wanted.inventory else None,
        )
        child = self.stack.enter_context(Embedded(options))
        return cluster.model_copy(
            update={
                "endpoints": child.urls,
                "token": Token(id=f"{FLEET_USER}!{FLEET_TOKEN}", secret="env:SIMULATED"),
                "tls": Tls(fingerprints=(child.fingerprint,)),
            }
        )

    def _world(self, name: str) -> Path:
        """Where the simulated world is kept; a preview works on a copy that is thrown away."""
        kept = self.database.with_name(f"{self.database.stem}.{name}.world.json")
        if not self.preview:
            return kept
        scratch = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="reconcile-")))
        if kept.exists():
            shutil.copy(kept, scratch / kept.name)
        return scratch / kept.name


def _demo_secret(reference: str) -> Secret:
    """The secret of every simulated cluster's token."""
    from reconciler.sim.launch import DEMO_SECRET

    return Secret(DEMO_SECRET)


def _read(reference: str, folder: Path) -> Secret | SecretError:
    """A command that hangs is waited for once, not for every VM that refers to it."""
    try:
        return resolve(reference, folder)
    except SecretError as error:
        return error


Opening = Callable[[Path, str | None, datetime | None], AbstractContextManager[Opened]]
"""How a run comes by its fleet and store: `open_live`, `open_preview`, or a law's own."""


@contextmanager
def _uncollected(stack: ExitStack) -> Iterator[None]:
    """What is made inside stays until `stack` ends, so the garbage collector shall not walk it.

    The specs of 10,000 VMs are most of a process; walking them again and again took a third of it.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
        stack.callback(gc.unfreeze)
    finally:
        if running:
            gc.enable()


@contextmanager
def _open(
    folder: Path,
    database: str | None,
    at: datetime | None,
    *,
    preview: bool,
    specs: Path | None = None,
    bare: bool = False,
) -> Iterator[Opened]:
    """`specs` is a folder to read instead (of another commit); paths in it lead from `folder`."""
    now = at or datetime.now(UTC)
    place = fleet_place(folder, database)
    with ExitStack() as stack:
        begin = Store.preview if preview else Store.open
        store = stack.enter_context(begin(place, at=now))
        with _uncollected(stack):
            commit = "" if specs else stamp(folder)
            source = FileSource(specs or folder, store.vault.key, store.specs, bare=bare)
            read = source.load(store.bindings.names(), now)
            fleet = replace(read, folder=str(folder), commit=commit)
        yield Opened(fleet, store, place.beside, preview, stack)


open_live = partial(_open, preview=False)
"""Open for working: `with open_live(folder, database, at) as opened`; makes a store if needed."""

open_preview = partial(_open, preview=True)
"""Open for looking only; where there is no store yet it is as an empty one would be."""

open_bare = partial(_open, preview=True, bare=True)
"""Open for looking at a fleet that may have no VM yet."""
