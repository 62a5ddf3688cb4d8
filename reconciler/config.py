"""Open what a command works on: the fleet, its store, and an API for each of its clusters."""

import gc
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from desired.catalog import Cluster, FleetFile, Tls, Token
from desired.errors import Place, SpecError, UnusableSource
from desired.files import FileSource
from desired.source import Fleet
from reconciler.git import stamp
from reconciler.secrets import SecretError, resolve
from state.secret import Secret
from state.store import Store

if TYPE_CHECKING:
    from reconciler.pve.contact import TracedApi

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Opened:
    """A fleet with its store. With `preview` nothing is written anywhere."""

    fleet: Fleet
    store: Store
    database: Path
    preview: bool
    stack: ExitStack = field(default_factory=ExitStack)
    _secrets: dict[str, Secret | SecretError] = field(default_factory=dict)

    def resolve(self, reference: str) -> Secret:
        """Read a secret by its reference, relative to the fleet's folder; once in a run."""
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
            cluster, read = self._simulate(name, cluster)
        folder = Path(self.fleet.folder)
        api = ProxmoxApi.open(name, cluster, self.fleet.limits, read, folder, logger)
        self.stack.callback(api.close)
        return api

    def _simulate(self, name: str, cluster: Cluster) -> tuple[Cluster, Callable[[str], Secret]]:
        from reconciler.sim.embedded import Embedded
        from reconciler.sim.launch import DEMO_SECRET, FLEET_TOKEN, FLEET_USER, ServeOptions

        assert cluster.simulated is not None
        wanted = cluster.simulated
        options = ServeOptions(
            nodes=wanted.nodes,
            vms=wanted.vms,
            speed=wanted.speed,
            http_limits="fast",
            seed=wanted.seed,
            state=self._world(name),
        )
        child = self.stack.enter_context(Embedded(options))
        reached = cluster.model_copy(
            update={
                "endpoints": (child.url,),
                "token": Token(id=f"{FLEET_USER}!{FLEET_TOKEN}", secret="env:SIMULATED"),
                "tls": Tls(fingerprints=(child.fingerprint,)),
            }
        )
        return reached, lambda reference: Secret(DEMO_SECRET)

    def _world(self, name: str) -> Path:
        """Where the simulated world is kept; a preview works on a copy that is thrown away."""
        kept = self.database.with_name(f"{self.database.stem}.{name}.world.json")
        if not self.preview:
            return kept
        scratch = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="reconcile-")))
        if kept.exists():
            shutil.copy(kept, scratch / kept.name)
        return scratch / kept.name


def _read(reference: str, folder: Path) -> Secret | SecretError:
    """A command that hangs is waited for once, not for every VM that refers to it."""
    try:
        return resolve(reference, folder)
    except SecretError as error:
        return error


Opening = Callable[[Path, str | None, datetime | None], AbstractContextManager[Opened]]
"""How a run comes by its fleet and store: `open_live`, `open_preview`, or a law's own."""


def database_path(folder: Path, head: FleetFile, asked: str | None) -> Path:
    """Return where the store is: as asked, else `database:`, else below XDG_STATE_HOME.

    A fleet on a real cluster must say where (design 4, A lost store). Raises UnusableSource.
    """
    url = asked or head.database
    if url:
        path = Path(url.removeprefix("sqlite:///")).expanduser()
        return path if asked else folder / path
    real = sorted(name for name, cluster in head.clusters.items() if not cluster.simulated)
    if real:
        message = f"cluster {real[0]} is real, so say where the store is kept: database: "
        message += "/var/lib/reconcile/fleet.db (and back it up); expected a path, seen none"
        place = Place(str(folder / "fleet.yaml"))
        raise UnusableSource((SpecError(place, "database", message),))
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return home / "reconcile" / f"{head.fleet}.db"


def lock_path(folder: Path, database: str | None) -> Path:
    """Return the file of the runner's lock: beside the store."""
    path = database_path(folder, FileSource(folder).head(), database)
    return path.with_name(path.name + ".lock")


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
) -> Iterator[Opened]:
    """`specs` is a folder to read instead (of another commit); paths in it lead from `folder`."""
    now = at or datetime.now(UTC)
    path = database_path(folder, FileSource(folder).head(), database)
    with ExitStack() as stack:
        begin = Store.preview if preview else Store.open
        store = stack.enter_context(begin(str(path), at=now))
        with _uncollected(stack):
            commit = "" if specs else stamp(folder)
            source = FileSource(specs or folder, store.vault.key, store.specs)
            read = source.load(store.bindings.names(), now)
            fleet = replace(read, folder=str(folder), commit=commit)
        yield Opened(fleet, store, path, preview, stack)


open_live = partial(_open, preview=False)
"""Open for working: `with open_live(folder, database, at) as opened`; makes a store if needed."""

open_preview = partial(_open, preview=True)
"""Open for looking only; where there is no store yet it is as an empty one would be."""
