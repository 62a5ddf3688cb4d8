"""One call on its way through the workers of the node that answers it.

pveproxy and pvedaemon have three workers each per node, so a burst queues. The node that was
asked forwards what another node or its own pvedaemon answers, and gives up after 30 s (596); the
work goes on then, and also when the client is gone. Source: PVE/APIServer/AnyEvent.pm
(proxy_request).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from reconciler.sim.answer import Answer
from reconciler.sim.api import Call
from reconciler.sim.errors import Blocked, Dropped
from reconciler.sim.http import pace
from reconciler.sim.http.daemon import Daemon
from reconciler.sim.http.door import Door
from reconciler.sim.http.timers import Timers

if TYPE_CHECKING:
    import asyncio

TIMED_OUT = Answer(596, "Connection timed out")
SOON = 0.001
Done = Callable[[Answer | None], None]


class Errand:
    """`done` gets the answer, None for a connection that is to be cut."""

    __slots__ = ("call", "cost", "daemon", "done", "door", "late", "loop", "timer")

    def __init__(self, door: Door, call: Call, loop: Timers, done: Done) -> None:
        self.door = door
        self.call = call
        self.loop = loop
        self.done = done
        self.daemon: Daemon | None = None
        self.cost = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.late = False

    def start(self) -> None:
        waits = self.door.pace
        place = None if waits.workers is None else self.call.place()
        if place is None:
            self._attempt()
        elif place.dead:
            self.loop.call_later(waits.unreachable, self._attempt)
        else:
            self.cost = pace.cost(place.route) * waits.cost
            self.daemon = self.door.daemon(place.node, place.route.protected)
            if place.far:
                self.timer = self.loop.call_later(waits.proxy, self._expire)
            self.daemon.take(self._attempt)

    def _attempt(self) -> None:
        answer: Answer | None = None
        try:
            answer = self.call.attempt()
        except Blocked as blocked:
            wait = max(SOON, blocked.until - self.door.simulator.now)
            self.loop.call_later(wait, self._attempt)
            return
        except Dropped:
            pass
        busy = self.cost + (answer.busy if answer else 0.0)
        if busy:
            self.loop.call_later(busy, self._end, answer)
        else:
            self._end(answer)

    def _end(self, answer: Answer | None) -> None:
        if self.daemon is not None:
            self.daemon.leave()
        if self.timer is not None:
            self.timer.cancel()
        if not self.late:
            self.done(answer)

    def _expire(self) -> None:
        self.late = True
        self.done(TIMED_OUT)
