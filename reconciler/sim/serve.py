"""Serve a simulated cluster over HTTPS on this machine until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial

from reconciler.sim.api import Simulator
from reconciler.sim.copied.world import copied_world
from reconciler.sim.faults.fault import read_fault
from reconciler.sim.http.door import Door
from reconciler.sim.http.listener import Listener
from reconciler.sim.http.tls import (
    TlsConnection,
    fingerprint,
    make_certificate,
    server_context,
    stored_certificate,
)
from reconciler.sim.launch import ServeOptions as ServeOptions
from reconciler.sim.profile import become
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
Ports = Mapping[str, int]
Ready = Callable[[Ports, str], None]
"""Called with the ports by node and the certificate's fingerprint once all are open."""

LOOK_EVERY = 0.1
SAVE_SHARE = 10
"""A save may take a tenth of the time; a small world is saved at every look."""


def new_world(options: ServeOptions, now: float) -> World:
    """A fresh world. Raises ValueError for numbers or a file that make none, OSError."""
    if options.nodes < 1 or options.vms < 0:
        raise ValueError(f"nodes {options.nodes}, vms {options.vms}: at least 1 and 0 expected")
    if options.inventory is not None:
        return copied_world(options.inventory, now, options.speed, options.seed)
    if options.world == "recorded":
        return recorded_world(now, options.speed, options.seed)
    world = demo_world(now, options.nodes, options.vms, options.seed, options.speed)
    become(world, options.profile)
    return world


def welcome(options: ServeOptions, ports: Ports, print_of: str) -> list[str]:
    """What to tell a person who started the cluster."""
    first, *others = (f"https://{options.host}:{port}" for port in ports.values())
    lines = [f"serving {first}/api2/json"]
    if others:
        lines.append("other nodes " + " ".join(others))
    lines.append(f"certificate fingerprint {print_of}")
    if options.world == "recorded" and options.inventory is None:
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

    def ready(ports: Ports, print_of: str) -> None:
        for line in welcome(options, ports, print_of):
            announce(line)

    run(options, ready)


def run(
    options: ServeOptions,
    ready: Ready,
    watch: int | None = None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Serve until a signal comes or the file descriptor `watch` ends; then save."""
    if options.speed <= 0:
        raise ValueError(f"speed {options.speed}: more than 0 expected")
    with contextlib.ExitStack() as stack:
        file = None if options.state is None else stack.enter_context(StateFile(options.state))
        world = None if file is None else file.load()
        begun = world is None
        world = world or new_world(options, clock())
        world.speed = options.speed
        if file is None:
            pem = make_certificate()
        else:
            pem = stored_certificate(file.path.with_name(f"{file.path.name}.pem"))
        for node in world.nodes.values():
            node.fingerprint = fingerprint(pem)
        simulator = Simulator(world, clock)
        for one in options.faults if begun else ():
            simulator.faults.add(read_fault(one, texts=True))
        server = Server(options, simulator, pem, file)
        asyncio.run(server.run(ready, watch))


class Server:
    """The nodes' ports, the timer that saves and what ends them."""

    def __init__(
        self, options: ServeOptions, simulator: Simulator, pem: bytes, file: StateFile | None
    ) -> None:
        self.options = options
        self.simulator = simulator
        self.pem = pem
        self.file = file
        simulator.save = self.save
        self.listeners: list[Listener] = []
        self.save_from = 0.0
        self.ending = False

    async def run(self, ready: Ready, watch: int | None) -> None:
        loop = asyncio.get_running_loop()
        stirred = asyncio.Event()

        def end() -> None:
            self.ending = True
            stirred.set()

        def look() -> None:
            assert watch is not None
            if not os.read(watch, 4096):
                end()

        try:
            await self._listen(loop, stirred)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, end)
            if watch is not None:
                loop.add_reader(watch, look)
            self.save()
            ready({one.node: one.port for one in self.listeners}, fingerprint(self.pem))
            while not self.ending:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stirred.wait(), LOOK_EVERY)
                stirred.clear()
                await self._follow()
        finally:
            if watch is not None:
                loop.remove_reader(watch)
            for one in self.listeners:
                one.close()
            self.save()

    async def _listen(self, loop: asyncio.AbstractEventLoop, stirred: asyncio.Event) -> None:
        door = Door(self.simulator, self.options.http_limits)
        door.stirred = stirred.set
        context = server_context(self.pem)
        for position, node in enumerate(self.simulator.world.nodes):
            port = self.options.port + position if self.options.port else 0
            client = partial(TlsConnection, door, context, loop, node)
            self.listeners.append(Listener(node, self.options.host, port, client))
        await self._open()

    async def _open(self) -> None:
        for one in self.listeners:
            await one.follow(self.simulator.world)

    async def _follow(self) -> None:
        """Bring world and ports up to now, and save when that does not take too long."""
        self.simulator.world.advance(self.simulator.now)
        self.simulator.faults.pass_time()
        await self._open()
        if time.monotonic() >= self.save_from:
            self.save()

    def save(self) -> str | None:
        """Bring the world up to now and store it if anything changed; the file's path, if any."""
        self.simulator.world.advance(self.simulator.now)
        if self.file is None:
            return None
        began = time.monotonic()
        self.file.save(self.simulator.world)
        ended = time.monotonic()
        self.save_from = ended + SAVE_SHARE * (ended - began)
        return str(self.file.path)
