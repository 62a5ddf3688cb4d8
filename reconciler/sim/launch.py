"""What a simulated cluster is started with. Imports nothing, so that a command which only starts
a child process does not load the cluster itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEMO_SECRET = "demo"
FLEET_USER = "reconcile@pve"
FLEET_TOKEN = "fleet"
"""The API token of a demo cluster: FLEET_USER!FLEET_TOKEN=DEMO_SECRET."""

Limits = Literal["real", "fast", "off"]
"""real: as Proxmox; fast: without the 3 s before a 401; off: connections stay open as well."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `reconcile simulate` is asked for. `state` keeps the world between two starts; a saved
    world wins over nodes, vms, seed and world. `port` 0 takes a free one."""

    nodes: int = 3
    vms: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    speed: float = 60.0
    http_limits: Limits = "real"
    seed: int = 0
    state: Path | None = None
    world: Literal["demo", "recorded"] = "demo"
