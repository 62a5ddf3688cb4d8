"""What a simulated cluster is started with. Imports nothing, so that a command which only starts
a child process does not load the cluster itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEMO_SECRET = "demo"
FLEET_USER = "reconcile@pve"
FLEET_TOKEN = "fleet"
"""The API token of a demo cluster: FLEET_USER!FLEET_TOKEN=DEMO_SECRET."""

Limits = Literal["real", "fast", "off"]
"""What the web server makes its clients wait for: as Proxmox, a tenth of it, or nothing
(see `http.pace`)."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `reconcile simulate` is asked for. `state` keeps the world between two starts; a saved
    world wins over nodes, vms, seed, world and faults. `port` is the first node's, the others
    take the following ones; 0 takes free ones. `faults` are set from the start, by their fields.
    With an `inventory` the cluster is a copy of the one that it was taken of. `profile` is the
    release that the nodes of a demo cluster run."""

    nodes: int = 3
    vms: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    speed: float = 60.0
    http_limits: Limits = "real"
    seed: int = 0
    state: Path | None = None
    world: Literal["demo", "recorded"] = "demo"
    faults: tuple[Mapping[str, object], ...] = ()
    inventory: Path | None = None
    profile: Literal["8.4", "9"] = "8.4"
