"""Which server a request goes to: the node that owns the path if it can be reached, else any."""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from reconciler.pve.transport import Origin
from state.api import Json

PORT = 8006
SULK = 300.0
"""Seconds for which a node's own address is not tried again after it could not be reached."""
_NODE = re.compile(r"/nodes/([^/]+)/")


def parse_endpoint(text: str) -> Origin:
    """Return the server of `https://pve1.example:8006`; raises ValueError for anything else."""
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"expected an endpoint such as https://pve1.example:8006, seen {text!r}")
    return Origin(parts.hostname, parts.port or PORT)


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Addresses:
    """The cluster's endpoints in order, the one that answered last first, and the nodes' own.

    Behind endpoints on loopback (a tunnel, the simulator) the nodes' own addresses mean nothing.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        direct: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = [parse_endpoint(text) for text in endpoints]
        loopback = all(_loopback(origin.host) for origin in self._endpoints)
        self._direct = not loopback if direct is None else direct
        self._clock = clock
        self._nodes: dict[str, Origin] = {}
        self._sulking: dict[Origin, float] = {}
        self._lock = threading.Lock()

    @property
    def endpoints(self) -> tuple[Origin, ...]:
        with self._lock:
            return tuple(self._endpoints)

    def is_endpoint(self, origin: Origin) -> bool:
        return origin in self._endpoints

    def learn(self, rows: Json) -> None:
        """Take the nodes' addresses out of an answer of `/cluster/status`."""
        if not self._direct or not isinstance(rows, list):
            return
        port = self._endpoints[0].port
        nodes = {
            str(row["name"]): Origin(str(row["ip"]), port)
            for row in rows
            if isinstance(row, Mapping) and row.get("type") == "node" and row.get("ip")
        }
        with self._lock:
            self._nodes = nodes

    def of(self, path: str) -> list[Origin]:
        """Return the servers to try for a path, best first."""
        match = _NODE.search(path)
        with self._lock:
            own = self._nodes.get(match[1]) if match else None
            if own and self._sulking.get(own, 0.0) <= self._clock():
                return [own, *(one for one in self._endpoints if one != own)]
            return list(self._endpoints)

    def lane(self, path: str, origin: Origin) -> str:
        """Return whose workers the request keeps busy: the owner node's, else the server's."""
        match = _NODE.search(path)
        return match[1] if match else str(origin)

    def reached(self, origin: Origin) -> None:
        """The server answered: of the endpoints it is tried first from now on."""
        with self._lock:
            if origin in self._endpoints and self._endpoints[0] != origin:
                self._endpoints.remove(origin)
                self._endpoints.insert(0, origin)

    def missed(self, origin: Origin) -> None:
        """The server could not be reached."""
        with self._lock:
            self._sulking[origin] = self._clock() + SULK
