"""The sample fleet as a person runs it: the command in a process of its own, over HTTPS."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from desired.files import FileSource
from desired.source import Fleet
from reconciler.sim.world import World
from state.store import Store
from tests.grounds import COMMAND, ROOT
from tests.portrait import Portrait, portrait
from tests.stores import where

FLEET = ROOT / "desired" / "fleet"
AT = datetime(2026, 11, 20, tzinfo=UTC)
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Sample:
    """A copy of the sample fleet below `folder`, with its database and its world."""

    folder: Path

    @classmethod
    def copy(cls, folder: Path) -> "Sample":
        shutil.copytree(FLEET, folder / "fleet")
        return cls(folder)

    @property
    def database(self) -> Path:
        return self.folder / "demo.db"

    @property
    def world_file(self) -> Path:
        """Beside the database; beside the key where that is on a server."""
        return next(self.folder.glob("demo.*world.json"))

    def words(self, *given: str) -> list[str]:
        fleet, database = str(self.folder / "fleet"), where(self.database)
        return [*COMMAND, "--fleet", fleet, "--database", database, *given]

    def cli(self, *given: str) -> Done:
        return subprocess.run(
            self.words(*given), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )

    def store(self) -> Store:
        return Store.preview(where(self.database), at=AT)

    def world(self) -> World:
        saved = json.loads((self.world_file).read_text())
        return World.load(saved.get("world", saved))

    def specs(self) -> Fleet:
        with self.store() as store:
            return FileSource(self.folder / "fleet", store.vault.key).load(
                store.bindings.names(), AT
            )

    def shot(self) -> Portrait:
        with self.store() as store:
            return portrait(self.world(), store)


def events(done: Done) -> list[dict[str, Any]]:
    """The JSON lines of a run."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def summary(done: Done) -> dict[str, Any]:
    """What the run of `process_vms` comes to."""
    ends = (one for one in events(done) if one["event"] == "run_done")
    found: dict[str, Any] = next(one["summary"] for one in ends if one["task"] == "process_vms")
    return found


def requests(done: Done) -> list[tuple[str, str]]:
    """Method and path of each API request of a verbose run."""
    told = [one for one in events(done) if one["event"] == "request"]
    return [(one["method"], one["path"]) for one in told]


def writes(done: Done) -> list[tuple[str, str]]:
    return [one for one in requests(done) if one[0] != "GET"]
