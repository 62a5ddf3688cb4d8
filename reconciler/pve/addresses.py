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
"""Seconds for which a server that was not reached, or hung, is tried only after the others."""
STAND_INS = 4
"""So many nodes that are no endpoints are tried for one request, when no endpoint answers."""
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

    Nodes that are no endpoints stand in when no endpoint answers. `known` is what `remember` gave
    an earlier run. Behind endpoints on loopback (a tunnel, the simulator) the nodes' own addresses
    mean nothing.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        direct: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        known: Json = None,
    ) -> None:
        self._named = tuple(parse_endpoint(text) for text in endpoints)
        self._endpoints = list(self._named)
        loopback = all(_loopback(origin.host) for origin in self._endpoints)
        self._direct = not loopback if direct is None else direct
        self._clock = clock
        self._nodes: dict[str, Origin] = {}
        self._known: dict[str, str] = {}
        self._latest: Origin | None = None
        self._sulking: dict[Origin, float] = {}
        self._lock = threading.Lock()
        self._recall(known)

    def _recall(self, known: Json) -> None:
        """Believe an earlier run only of the same endpoints; they may be another cluster's now."""
        if not isinstance(known, Mapping) or known.get("endpoints") != self._texts():
            return
        nodes = known.get("nodes")
        if self._direct and isinstance(nodes, Mapping):
            self._known = {str(name): str(ip) for name, ip in nodes.items()}
        first = next((one for one in self._named if str(one) == known.get("first")), None)
        if first is not None:
            self.reached(first)

    def _texts(self) -> Json:
        return [str(origin) for origin in self._named]

    def remember(self) -> Json:
        """Return what the next run should know: the nodes' addresses, and whom to try first."""
        with self._lock:
            nodes: Json = dict(self._known)
            return {"endpoints": self._texts(), "nodes": nodes, "first": str(self._endpoints[0])}

    @property
    def endpoints(self) -> tuple[Origin, ...]:
        with self._lock:
            return tuple(self._endpoints)

    @property
    def latest(self) -> Origin | None:
        """The server that answered last, None before the first answer."""
        return self._latest

    def is_endpoint(self, origin: Origin) -> bool:
        return origin in self._named

    def learn(self, rows: Json) -> None:
        """Take the nodes' addresses out of an answer of `/cluster/status`."""
        if not self._direct or not isinstance(rows, list):
            return
        known = {
            str(row["name"]): str(row["ip"])
            for row in rows
            if isinstance(row, Mapping) and row.get("type") == "node" and row.get("ip")
        }
        with self._lock:
            self._known = known
            self._nodes = {name: Origin(ip, self._named[0].port) for name, ip in known.items()}

    def of(self, path: str) -> list[Origin]:
        """Return the servers to try for a path, best first."""
        match = _NODE.search(path)
        with self._lock:
            own = self._nodes.get(match[1]) if match else None
            mine = [own] if own and self._awake(own) else []
            up = [one for one in self._endpoints if self._awake(one)]
            down = [one for one in self._endpoints if not self._awake(one)]
            order = [*mine, *up, *self._stand_ins(), *down]
        return list(dict.fromkeys(order))

    def _stand_ins(self) -> list[Origin]:
        port = self._named[0].port
        nodes = (Origin(ip, port) for _, ip in sorted(self._known.items()))
        return [one for one in nodes if one not in self._named and self._awake(one)][:STAND_INS]

    def _awake(self, origin: Origin) -> bool:
        return self._sulking.get(origin, 0.0) <= self._clock()

    def lane(self, path: str, origin: Origin) -> str:
        """Return whose workers the request keeps busy: the owner node's, else the server's."""
        match = _NODE.search(path)
        return match[1] if match else str(origin)

    def answers_alone(self, path: str, origin: Origin) -> bool:
        """Whether the server itself has to answer, so that silence is its own fault: it does not
        forward the path to another node."""
        match = _NODE.search(path)
        return match is None or self._nodes.get(match[1]) == origin

    def reached(self, origin: Origin) -> None:
        """The server answered: of the endpoints it is tried first from now on."""
        with self._lock:
            self._latest = origin
            if origin in self._endpoints and self._endpoints[0] != origin:
                self._endpoints.remove(origin)
                self._endpoints.insert(0, origin)

    def missed(self, origin: Origin) -> None:
        """The server was not reached, hung, or stands outside of the quorum."""
        with self._lock:
            self._sulking[origin] = self._clock() + SULK
