"""The port of one node: open while the node lives, refusing connections while it is dead."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from reconciler.sim.world import World


def bound(host: str, port: int, node: str) -> socket.socket:
    """A socket that holds the port without listening, so that connections are refused."""
    (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
    except OSError as error:
        made.close()
        raise OSError(
            error.errno, f"port {port} of {node}: {(error.strerror or '').lower()}"
        ) from error
    return made


class Listener:
    """`client` makes the protocol of one connection."""

    def __init__(
        self, node: str, host: str, port: int, client: Callable[[], asyncio.Protocol]
    ) -> None:
        self.node = node
        self.host = host
        self.client = client
        self.socket = bound(host, port, node)
        self.port: int = self.socket.getsockname()[1]
        self.server: asyncio.Server | None = None

    async def follow(self, world: World) -> None:
        """Open or close the port as the node is now. A silent node's port stays open: nothing
        that is sent to it is answered."""
        node = world.nodes.get(self.node)
        alive = node is not None and (node.online or node.silent)
        if alive and self.server is None:
            loop = asyncio.get_running_loop()
            self.server = await loop.create_server(self.client, sock=self.socket)
        elif not alive and self.server is not None:
            self.close()
            self.socket = bound(self.host, self.port, self.node)

    def close(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None
        self.socket.close()
