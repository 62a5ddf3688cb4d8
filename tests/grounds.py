"""A simulated cluster behind real HTTPS, a fleet's folder beside it, and runs over the wire.

`run` is a whole run in this process through the real client; `cli` is a process of its own.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import urllib3

from reconciler.clock import SystemClock
from reconciler.dryrun import dry_run
from reconciler.loop import run_once
from reconciler.options import RunOptions
from reconciler.report import DryRun, Summary
from reconciler.sim.embedded import Embedded
from reconciler.sim.launch import DEMO_SECRET, FLEET_TOKEN, FLEET_USER, ServeOptions
from reconciler.sim.world import World
from state.store import Store
from tests.lab import Told
from tests.portrait import Portrait, portrait
from tests.stores import lose, where

ROOT = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-c", "import sys; from reconciler.cli import main; sys.exit(main())")
WORLD = "world.json"
"""A saved world in the grounds' folder is what they begin with."""
HEAD = """\
fleet: scene
clusters:
  demo:
    endpoints: ["{url}"]
    token: {{id: "{user}!{token}", secret: "file:token"}}
    tls: {{fingerprints: ["{fingerprint}"]}}
defaults: {{cluster: demo, template: debian-12, storage: local-lvm, domain: example.net}}
templates:
  debian-12: {{demo: [9000, 9001, 9002]}}
  ubuntu-24: {{demo: [9100]}}
"""
POOLS = """\
public-v4: {bridge: vmbr0, vlan: 100, network: 203.0.113.0/24, gateway: 203.0.113.1}
tiny-v4: {bridge: vmbr0, vlan: 200, network: 198.51.100.0/30, gateway: 198.51.100.1}
"""


@dataclass
class LaterClock(SystemClock):
    """The machine's clock, put on by `ahead` seconds."""

    ahead: float = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)


class Grounds:
    """One cluster `demo` of three nodes, and a fleet that reaches it by its address."""

    def __init__(self, folder: Path, files: Mapping[str, str], speed: float = 600.0) -> None:
        self.fleet, self.database = folder / "fleet", folder / "store.db"
        self.where = where(self.database)
        self.clock = LaterClock()
        self.told = Told()
        state = folder / WORLD if (folder / WORLD).exists() else None
        self.server = Embedded(ServeOptions(speed=speed, http_limits="fast", state=state))
        self.pool = urllib3.HTTPSConnectionPool(
            "127.0.0.1",
            self.server.port,
            cert_reqs="CERT_NONE",
            assert_fingerprint=self.server.fingerprint,
        )
        self.write({"fleet.yaml": self.head(), "token": DEMO_SECRET, "pools/pools.yaml": POOLS})
        (self.fleet / "token").chmod(0o600)
        self.write(files)

    def head(self, **given: str) -> str:
        """The text of fleet.yaml."""
        known = {
            "url": self.server.url,
            "user": FLEET_USER,
            "token": FLEET_TOKEN,
            "fingerprint": self.server.fingerprint,
        }
        return HEAD.format(**{**known, **given})

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.fleet / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    # ------------------------------------------------------------------ running

    def options(self, **options: Any) -> RunOptions:
        return RunOptions(self.fleet, self.where, **options)

    def run(self, **options: Any) -> Summary:
        """One `reconcile --once` in this process."""
        self.told = Told()
        return run_once(self.options(**options), self.told, self.clock)

    def settle(self, runs: int = 8, apart: float = 1000.0, **options: Any) -> Summary:
        """Run until all is ready and a run has nothing left to write."""
        for _ in range(runs):
            summary = self.run(**options)
            if summary.ready == summary.vms and summary.writes == 0:
                return summary
            self.later(apart)
        said = "\n".join(str(event) for event in self.told.events)
        raise AssertionError(f"not settled after {runs} runs: {summary}\n{said}")

    def dry(self) -> DryRun:
        return dry_run(self.options(), Told(), self.clock)

    def words(self, *given: str) -> list[str]:
        """A command line about this fleet."""
        return [*COMMAND, "--fleet", str(self.fleet), "--database", self.where, *given]

    def cli(self, *given: str) -> "subprocess.CompletedProcess[str]":
        """Run the command line in a process of its own."""
        return subprocess.run(
            self.words(*given), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )

    def later(self, seconds: float) -> None:
        """Let time pass for both sides, without waiting for it."""
        self.clock.ahead += seconds
        self.sim("POST", "clock", offset=self.clock.ahead)

    def lose_store(self) -> None:
        """Lose the database and its key, as a broken disk would."""
        lose(self.database)
        self.where = where(self.database)

    def store(self) -> Store:
        return Store.preview(self.where, at=self.clock.now())

    # ------------------------------------------------------------------ the other side

    def sim(self, verb: str, path: str, /, **given: Any) -> Any:
        """Turn a screw of the simulator: `faults`, `clock`, `world`, `calls`."""
        body = json.dumps(given) if given else None
        answer = self.pool.request(verb, f"/sim/{path}", body=body, retries=3)
        assert answer.status == 200, answer.data
        return answer.json()

    def fault(self, kind: str, **given: Any) -> None:
        self.sim("POST", "faults", kind=kind, **given)

    def ask(self, method: str, path: str, /, **params: Any) -> Any:
        """Do something as root@pam, as a person would in the GUI; fails unless it is accepted."""
        login = {"username": "root@pam", "password": DEMO_SECRET}
        ticket = self._api("POST", "/access/ticket", {}, login)["data"]
        headers = {
            "Cookie": f"PVEAuthCookie={ticket['ticket']}",
            "CSRFPreventionToken": ticket["CSRFPreventionToken"],
        }
        return self._api(method, path, headers, params)["data"]

    def _api(self, method: str, path: str, headers: dict[str, str], params: Any) -> Any:
        url, text = f"/api2/json{path}", urlencode(params)
        if method in ("GET", "DELETE"):
            answer = self.pool.request(method, f"{url}?{text}", headers=headers, retries=3)
        else:
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
            answer = self.pool.request(method, url, body=text, headers=headers, retries=3)
        assert answer.status == 200, (answer.status, answer.reason, answer.data)
        return answer.json()

    def world(self) -> World:
        return World.load(self.sim("GET", "world"))

    def shot(self) -> Portrait:
        with self.store() as store:
            return portrait(self.world(), store)

    def close(self) -> None:
        self.pool.close()
        self.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
