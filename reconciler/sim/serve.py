"""Serve a simulated cluster over HTTPS on this machine until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable

from reconciler.sim.api import Simulator
from reconciler.sim.http.door import Door
from reconciler.sim.http.tls import (
    TlsConnection,
    fingerprint,
    make_certificate,
    server_context,
    stored_certificate,
)
from reconciler.sim.launch import ServeOptions as ServeOptions
from reconciler.sim.samples import (
    DEMO_SECRET,
    FLEET_TOKEN,
    FLEET_USER,
    demo_world,
    recorded_world,
)
from reconciler.sim.state import StateFile
from reconciler.sim.world import World

Announce = Callable[[str], None]
SAVE_EVERY = 1.0
"""Seconds between two saves while the world changes."""


def new_world(options: ServeOptions, now: float) -> World:
    """A fresh world. Raises ValueError for numbers that make none."""
    if options.nodes < 1 or options.vms < 0:
        raise ValueError(f"nodes {options.nodes}, vms {options.vms}: at least 1 and 0 expected")
    if options.world == "recorded":
        return recorded_world(now, options.speed, options.seed)
    return demo_world(now, options.nodes, options.vms, options.seed, options.speed)


def welcome(options: ServeOptions, port: int, print_of: str) -> list[str]:
    """What to tell a person who started the cluster."""
    lines = [
        f"serving https://{options.host}:{port}/api2/json",
        f"certificate fingerprint {print_of}",
    ]
    if options.world == "recorded":
        return [*lines, "login root@pam, password pvetest"]
    return [
        *lines,
        f"API token {FLEET_USER}!{FLEET_TOKEN}={DEMO_SECRET}",
        f"login root@pam, password {DEMO_SECRET}",
    ]


def serve(options: ServeOptions, announce: Announce) -> None:
    """Serve until SIGINT or SIGTERM. `announce` gets a few lines once the port is open.

    Raises OSError when the port is taken, StateBusy when another simulator uses the state file.
    """

    def ready(port: int, print_of: str) -> None:
        for line in welcome(options, port, print_of):
            announce(line)

    run(options, ready)


def run(
    options: ServeOptions,
    ready: Callable[[int, str], None],
    watch: int | None = None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Serve until a signal comes or the file descriptor `watch` ends; then save."""
    if options.speed <= 0:
        raise ValueError(f"speed {options.speed}: more than 0 expected")
    with contextlib.ExitStack() as stack:
        file = None if options.state is None else stack.enter_context(StateFile(options.state))
        world = None if file is None else file.load()
        if world is None:
            world = new_world(options, clock())
        world.speed = options.speed
        if file is None:
            pem = make_certificate()
        else:
            pem = stored_certificate(file.path.with_name("simulator.pem"))
        for node in world.nodes.values():
            node.fingerprint = fingerprint(pem)
        simulator = Simulator(world, clock)
        server = Server(options, simulator, pem, file)
        asyncio.run(server.run(ready, watch))


class Server:
    """The listening socket, the timer that saves and what ends them."""

    def __init__(
        self, options: ServeOptions, simulator: Simulator, pem: bytes, file: StateFile | None
    ) -> None:
        self.options = options
        self.simulator = simulator
        self.pem = pem
        self.file = file

    async def run(self, ready: Callable[[int, str], None], watch: int | None) -> None:
        loop = asyncio.get_running_loop()
        door = Door(self.simulator, self.options.http_limits)
        context = server_context(self.pem)
        listener = await loop.create_server(
            lambda: TlsConnection(door, context, loop), self.options.host, self.options.port
        )
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        if watch is not None:
            loop.add_reader(watch, self._look, watch, ended)
        self.save()
        ready(listener.sockets[0].getsockname()[1], fingerprint(self.pem))
        try:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), SAVE_EVERY)
                self.save()
        finally:
            if watch is not None:
                loop.remove_reader(watch)
            listener.close()
            self.save()

    @staticmethod
    def _look(watch: int, ended: asyncio.Event) -> None:
        if not os.read(watch, 4096):
            ended.set()

    def save(self) -> None:
        """Bring the world up to now and store it if anything changed."""
        self.simulator.world.advance(self.simulator.now)
        if self.file is not None:
            self.file.save(self.simulator.world)
