"""What pveproxy makes its clients wait for, and what a call costs a node.

Sources: pve-http-server PVE/APIServer/AnyEvent.pm (delays, time-outs), pve-manager
PVE/Service/pveproxy.pm (workers); costs were measured on Proxmox VE 8.4.1 (pve-api.md 15).
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.sim.launch import Limits
from reconciler.sim.routes import Route

MILLISECOND = 0.001
LOCAL_READ = 0.7 * MILLISECOND
DAEMON_READ = 4 * MILLISECOND
DAEMON_WRITE = 8 * MILLISECOND
COSTS = {
    "GET /cluster/resources": 1 * MILLISECOND,
    "GET /nodes/{node}/qemu": 7 * MILLISECOND,
    "GET /nodes/{node}/qemu/{vmid}/status/current": 12 * MILLISECOND,
}
"""Where a call takes longer than others of its kind."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, unless said otherwise.

    `unauthorized` before a 401; `unreachable` before the 595 of a dead node; `proxy` after which
    a forwarded call is a 596; `lock` that a call waits for a lock; `idle` of silence and
    `requests` (a number) after which a connection is closed; `workers` of each daemon of a node
    (None: no limit), `cost` the factor of what a call takes them.
    """

    unauthorized: float
    unreachable: float
    proxy: float
    lock: float
    idle: float
    requests: int
    workers: int | None
    cost: float

    @property
    def closing(self) -> bool:
        """Whether connections are closed after errors, silence and many requests."""
        return self.workers is not None


PACES: dict[Limits, Pace] = {
    "real": Pace(3.0, 3.0, 30.0, 10.0, 5.0, 100, 3, 1.0),
    "fast": Pace(0.3, 0.3, 3.0, 1.0, 5.0, 100, 3, 0.1),
    "off": Pace(0.0, 0.0, 0.0, 10.0, 0.0, 0, None, 0.0),
}


def cost(route: Route) -> float:
    """Seconds that a call keeps a worker busy, beside what it waits for."""
    usual = LOCAL_READ
    if route.protected:
        usual = DAEMON_READ if route.method == "GET" else DAEMON_WRITE
    return COSTS.get(f"{route.method} {route.path}", usual)
